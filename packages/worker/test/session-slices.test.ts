/** A session whose compute pauses between the slices of a shard must handle messages meanwhile. */

import { createLocalCompute, createNumericsCheck } from '@lockstep/compute';
import { initialize } from '@lockstep/nn';
import { bytesOf, type CoordinatorMessage, memoryPair, type WorkerMessage } from '@lockstep/protocol';
import { encodeBatch } from '@lockstep/rules';
import { expect, it } from 'vitest';
import { hash, hostBackend } from '../../compute/test/support.ts';
import { VirtualClock } from '../../sim/src/simulated-process.ts';
import { model } from '../../sim/test/support.ts';
import { Session } from '../src/session.ts';

const microbatchSize = 2;

async function settle(): Promise<void> {
  for (let turn = 0; turn < 10; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
}

/** Starts a session on a slow compute: every slice takes 60 ms, and every pause lasts until the test ends it. */
async function startSlowSession() {
  let nowMs = 0;
  const pauses: (() => void)[] = [];
  const slowClock = {
    nowMs: () => (nowMs += 60),
    after(_delayMs: number, callback: () => void) {
      pauses.push(callback);
      return () => {};
    },
  };
  const pair = memoryPair({ encode: true });
  const received: WorkerMessage[] = [];
  pair.coordinator.listen({ onMessage: (message) => received.push(message), onClose: () => {} });
  new Session({
    transport: pair.worker,
    compute: createLocalCompute(await hostBackend(), slowClock),
    identity: { kind: 'node', name: 'slow' },
    clock: new VirtualClock(),
    hash,
  });
  return {
    received,
    pauses,
    async send(...messages: CoordinatorMessage[]) {
      for (const message of messages) pair.coordinator.send(message);
      await settle();
    },
    async endPause() {
      pauses.shift()?.();
      await settle();
    },
  };
}

const task = (lo: number, n: number): CoordinatorMessage => {
  const count = n * microbatchSize;
  const samples = new Uint8Array(4 * count).fill(7);
  return { type: 'task', step: 0, lo, n, count, samples, targets: new Uint8Array(2 * count) };
};

it('answers a ping in the middle of a shard, and leaves the shard for the next task when it is canceled', async () => {
  const session = await startSlowSession();
  const limits = { heartbeatMs: 1_000, maxFrameBytes: 1_000_000, chunkBytes: 2 ** 18 };
  const types = { sampleType: 'u8', targetType: 'classes' } as const;
  const described = { model, microbatchSize, sampleShape: [4], ...types };
  await session.send({ type: 'welcome', id: 'w1', resumeKey: 'key', ...described, ...limits });
  const { weights, ...batch } = createNumericsCheck(model, microbatchSize);
  await session.send({ type: 'numericsCheck', weights, ...encodeBatch(batch) });
  while (session.pauses.length > 0) await session.endPause();
  await session.send({ type: 'weights', step: 0, bytes: bytesOf(initialize(model, 1)) });
  session.received.length = 0;

  await session.send(task(0, 8), task(8, 1));
  await session.endPause();
  expect(session.pauses).toHaveLength(1);
  await session.send({ type: 'ping', sentAtMs: 12.5 });
  expect(session.received).toEqual([{ type: 'pong', sentAtMs: 12.5 }]);

  await session.send({ type: 'cancel', step: 0, lo: 0, n: 8 });
  await session.endPause();
  expect(session.pauses).toEqual([]);
  expect(session.received.slice(1)).toMatchObject([{ type: 'gradient', lo: 8, n: 1 }]);
});
