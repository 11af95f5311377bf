/** A worker process in virtual time: the real session over an in-memory connection, which can be killed or frozen. */
import { type Checksum, type MemoryPair, memoryPair } from '@lockstep/protocol';
import type { Clock } from '../clock.ts';
import type { Run } from '../coordinator/run.ts';
import { type Compute, ComputeError, type ShardGradient } from '../worker/compute.ts';
import { type SessionEnd, startSession } from '../worker/session.ts';

/** What goes wrong inside a worker, asked before each result. */
export type Mishap = 'none' | 'wrong-bytes' | 'not-finite' | 'device-lost';

export interface SimulatedWorkerOptions {
  readonly name: string;
  readonly run: Run;
  readonly clock: Clock;
  readonly compute: Compute;
  readonly checksum: Checksum;
  readonly hash: (bytes: Uint8Array) => string;
  /** Virtual time that a shard of so many samples takes. */
  readonly computeMs: (samples: number) => number;
  /** Virtual time that a parcel of so many bytes is under way. */
  readonly transitMs: (bytes: number) => number;
  readonly mishap: () => Mishap;
  /** Bytes of samples that it keeps. */
  readonly keepBytes: number;
}

export interface SimulatedWorker {
  /** Ends it as `kill -9` does: nothing of it runs any more, and its connection breaks. */
  kill(): void;
  /** Nothing of it runs for so long; its connection stays open, and what arrives waits. */
  freeze(forMs: number): void;
  readonly ended: boolean;
}

/** How soon a worker that lost its connection tries again. */
const reconnectMs = 500;

export function startSimulatedWorker(options: SimulatedWorkerOptions): SimulatedWorker {
  const { clock, run, name } = options;
  let isDead = false;
  let hasFinished = false;
  let frozenUntilMs = 0;
  let pair: MemoryPair | undefined;
  let resumeKey: string | undefined;

  /** Runs later in the worker's own time: after a freeze, and never in a dead worker. */
  const later = (delayMs: number, callback: () => void): (() => void) => {
    let cancel = (): void => {};
    const attempt = (): void => {
      if (isDead) return;
      const wait = frozenUntilMs - clock.nowMs();
      if (wait > 0) cancel = clock.after(wait, attempt);
      else callback();
    };
    cancel = clock.after(delayMs, attempt);
    return () => cancel();
  };
  const ownClock: Clock = { nowMs: () => clock.nowMs(), after: later };

  const compute: Compute = {
    ...options.compute,
    async gradient(pixels, labels, key) {
      const computeMs = options.computeMs(labels.length);
      await new Promise<void>((resolve) => later(computeMs, resolve));
      return spoil(options.mishap(), { ...(await options.compute.gradient(pixels, labels, key)), computeMs });
    },
  };

  const connect = (): void => {
    const mine = memoryPair({
      workerName: name,
      schedule: (deliver, parcel) => {
        const delayMs = parcel.kind === 'local' ? 0 : options.transitMs(parcel.byteLength);
        // What goes to the worker waits while it is frozen; what it sent before is on its way.
        if (parcel.from === 'coordinator' && parcel.kind !== 'local') later(delayMs, deliver);
        else clock.after(delayMs, deliver);
      },
    });
    pair = mine;
    run.connect(mine.coordinator);
    const session = startSession({
      transport: mine.worker,
      compute,
      identity: { kind: 'local', name, resumeKey },
      clock: ownClock,
      checksum: options.checksum,
      hash: options.hash,
      sampleCacheBytes: options.keepBytes,
      onEvent: (event) => {
        if (event.type === 'welcomed') resumeKey = event.resumeKey;
      },
    });
    void session.ended.then((end) => after(end));
  };

  const after = (end: SessionEnd): void => {
    if (isDead) return;
    if (end.type === 'finished' || end.type === 'failed') hasFinished = true;
    else later(reconnectMs, connect);
  };

  connect();
  return {
    kill() {
      isDead = true;
      pair?.sever('killed');
    },
    freeze(forMs) {
      frozenUntilMs = Math.max(frozenUntilMs, clock.nowMs() + forMs);
    },
    get ended() {
      return isDead || hasFinished;
    },
  };
}

function spoil(mishap: Mishap, result: ShardGradient): ShardGradient {
  switch (mishap) {
    case 'none':
      return result;
    case 'wrong-bytes':
      return { ...result, gradient: result.gradient.subarray(4) };
    case 'not-finite': {
      const gradient = result.gradient.slice();
      new Float32Array(gradient.buffer, 0, 1)[0] = Number.NaN;
      return { ...result, gradient };
    }
    case 'device-lost':
      throw new ComputeError('device-lost', 'the simulated device was lost');
    default:
      return mishap satisfies never;
  }
}
