/** A worker process in virtual time: the real session over an in-memory connection, which can be killed or frozen. */
import { type Checksum, type MemoryPair, memoryPair } from '@lockstep/protocol';
import type { Clock } from '../clock.ts';
import type { Run } from '../coordinator/run.ts';
import { type Compute, ComputeError, type ShardGradient } from '../worker/compute.ts';
import { type SessionEnd, startSession } from '../worker/session.ts';

/** How a worker lies in every result that it sends. */
export type Lie = 'one-bit' | 'sign' | 'scaled' | 'loss' | 'correct' | 'non-finite' | 'other-shard' | 'no-answer';

export const lies: readonly Lie[] = [
  'one-bit',
  'sign',
  'scaled',
  'loss',
  'correct',
  'non-finite',
  'other-shard',
  'no-answer',
];

/** What goes wrong with a single result. */
export type ResultFault = 'wrong-bytes' | 'not-finite' | 'device-lost';

export const resultFaults: readonly ResultFault[] = ['wrong-bytes', 'not-finite', 'device-lost'];

export interface SimulatedWorkerOptions {
  readonly name: string;
  readonly run: Run;
  readonly clock: Clock;
  readonly compute: Compute;
  readonly checksum: Checksum;
  readonly hash: (bytes: Uint8Array) => string;
  /** Virtual time that a shard of so many samples takes. */
  readonly computeMs: (samples: number) => number;
  readonly link: LinkSpeed;
  /** Asked before each result. */
  readonly resultFault: () => ResultFault | undefined;
  /** Whether it lies, and how; honest where left out. */
  readonly lie?: Lie | undefined;
  /** Where it says it comes from. */
  readonly address?: string;
  /** Bytes of its sample cache. */
  readonly sampleCacheBytes: number;
}

/** A link in each direction: parcels follow one another, and each is under way for the latency as well. */
export interface LinkSpeed {
  readonly latencyMs: number;
  readonly bytesPerMs: number;
}

/** How soon a worker that lost its connection tries again. */
const reconnectMs = 500;

export class SimulatedWorker {
  readonly #options: SimulatedWorkerOptions;
  readonly #clock: Clock;
  readonly #compute: Compute;
  #isDead = false;
  #hasFinished = false;
  #frozenUntilMs = 0;
  #pair: MemoryPair | undefined;
  #resumeKey: string | undefined;

  constructor(options: SimulatedWorkerOptions) {
    this.#options = options;
    this.#clock = { nowMs: () => options.clock.nowMs(), after: (delayMs, callback) => this.#after(delayMs, callback) };
    this.#compute = { ...options.compute, gradient: (...task) => this.#gradient(...task) };
    this.#connect();
  }

  /** Ends it as `kill -9` does: no more of its code runs, and its connection breaks. */
  kill(): void {
    this.#isDead = true;
    this.#pair?.sever('killed');
  }

  /** Runs none of its code for so long; its connection stays open, and what arrives waits. */
  freeze(forMs: number): void {
    this.#frozenUntilMs = Math.max(this.#frozenUntilMs, this.#options.clock.nowMs() + forMs);
  }

  get ended(): boolean {
    return this.#isDead || this.#hasFinished;
  }

  /** Calls back in the worker's own time: after a freeze, and never once it is dead. */
  #after(delayMs: number, callback: () => void): () => void {
    const { clock } = this.#options;
    let cancel = (): void => {};
    const attempt = (): void => {
      if (this.#isDead) return;
      const waitMs = this.#frozenUntilMs - clock.nowMs();
      if (waitMs > 0) cancel = clock.after(waitMs, attempt);
      else callback();
    };
    cancel = clock.after(delayMs, attempt);
    return () => cancel();
  }

  async #gradient(...task: Parameters<Compute['gradient']>): Promise<ShardGradient> {
    const { compute, resultFault } = this.#options;
    const computeMs = this.#options.computeMs(task[1].length);
    await new Promise<void>((resolve) => this.#after(computeMs, resolve));
    const result = { ...(await compute.gradient(...task)), computeMs };
    // The numerics check, which has no key, is answered rightly: it cannot find a liar.
    return task[2]?.key === undefined ? result : corrupt(resultFault(), await this.#distort(result));
  }

  async #distort(result: ShardGradient): Promise<ShardGradient> {
    const { lie } = this.#options;
    if (lie === undefined) return result;
    if (lie === 'no-answer') return new Promise<ShardGradient>(() => {});
    if (lie === 'loss') return { ...result, lossSum: result.lossSum * 2 + 1 };
    if (lie === 'correct') return { ...result, correct: result.correct === 0 ? 1 : 0 };
    const gradient = result.gradient.slice();
    const values = new Float32Array(gradient.buffer);
    switch (lie) {
      case 'one-bit':
        gradient[4 * (values.length - 1)]! ^= 1;
        break;
      case 'sign':
        values.forEach((value, index) => {
          values[index] = -value;
        });
        break;
      case 'scaled':
        values.forEach((value, index) => {
          values[index] = value * 1.01;
        });
        break;
      case 'non-finite':
        return { ...result, lossSum: Number.NaN };
      case 'other-shard':
        values.reverse();
        break;
      default:
        lie satisfies never;
    }
    return { ...result, gradient };
  }

  #connect(): void {
    const { name, run, clock, checksum, hash, sampleCacheBytes, link } = this.#options;
    const freeAtMs = { coordinator: 0, worker: 0 };
    const pair = memoryPair({
      workerName: name,
      schedule: (deliver, parcel) => {
        if (parcel.kind === 'local') {
          clock.after(0, deliver);
          return;
        }
        const sentAtMs = Math.max(clock.nowMs(), freeAtMs[parcel.from]) + parcel.byteLength / link.bytesPerMs;
        freeAtMs[parcel.from] = sentAtMs;
        const delayMs = sentAtMs + link.latencyMs - clock.nowMs();
        // What goes to the worker waits while it is frozen; what it sent before is on its way.
        if (parcel.from === 'coordinator') this.#after(delayMs, deliver);
        else clock.after(delayMs, deliver);
      },
    });
    this.#pair = pair;
    run.connect(pair.coordinator, this.#options.address ?? '');
    const session = startSession({
      transport: pair.worker,
      compute: this.#compute,
      identity: { kind: 'local', name, resumeKey: this.#resumeKey },
      clock: this.#clock,
      checksum,
      hash,
      sampleCacheBytes,
      onEvent: (event) => {
        if (event.type === 'welcomed') this.#resumeKey = event.resumeKey;
      },
    });
    void session.ended.then((end) => this.#reconnect(end));
  }

  #reconnect({ type }: SessionEnd): void {
    if (this.#isDead) return;
    if (type === 'finished' || type === 'failed') this.#hasFinished = true;
    else this.#after(reconnectMs, () => this.#connect());
  }
}

function corrupt(fault: ResultFault | undefined, result: ShardGradient): ShardGradient {
  switch (fault) {
    case undefined:
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
      return fault satisfies never;
  }
}
