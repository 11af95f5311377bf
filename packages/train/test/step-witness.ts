/** A worker inside the test that records the steps it computes, and reconnects as every worker does. */
import { once } from 'node:events';
import { createLocalCompute } from '@lockstep/compute';
import { subprotocol, type WorkerTransport, webSocketTransport } from '@lockstep/protocol';
import { openBackend } from '@lockstep/tensor';
import { systemClock } from '@lockstep/worker';
import { Membership } from '@lockstep/worker/internal';
import { WebSocket } from 'ws';
import { sha256 } from '../src/node/sha256.ts';

export interface StepWitness {
  /** The step of the worker's last result. */
  readonly lastStep: () => number;
  /** Resolves when the worker computes this step or a later one. */
  readonly reached: (step: number) => Promise<void>;
  readonly ended: Membership['ended'];
}

const maxFrameBytes = 64 * 1024 * 1024;

async function connect(url: string): Promise<WorkerTransport> {
  const socket = new WebSocket(url, subprotocol);
  const transport = webSocketTransport(socket, { side: 'worker', remote: url, maxFrameBytes });
  await once(socket, 'open');
  return transport;
}

export async function openStepWitness(url: string): Promise<StepWitness> {
  const { backend } = await openBackend('auto');
  let last = -1;
  const waiting = new Set<() => void>();
  const membership = new Membership({
    compute: createLocalCompute(backend, systemClock),
    identity: { kind: 'node', name: 'witness' },
    clock: systemClock,
    hash: sha256,
    random: Math.random,
    connect: () => connect(url),
    onEvent(event) {
      if (event.type !== 'computed') return;
      last = event.step;
      for (const check of [...waiting]) check();
    },
  });
  return {
    lastStep: () => last,
    reached: (step) =>
      new Promise((resolve) => {
        const check = (): void => {
          if (last < step) return;
          waiting.delete(check);
          resolve();
        };
        // Counts only steps from now on: earlier ones were in the run of an earlier process.
        waiting.add(check);
      }),
    ended: membership.ended,
  };
}
