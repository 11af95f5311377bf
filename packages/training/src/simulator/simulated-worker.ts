/** A worker process in virtual time: the real session over an in-memory connection, which can be killed or frozen. */
import { type Checksum, type MemoryPair, memoryPair } from '@lockstep/protocol';
import type { Clock } from '../clock.ts';
import type { Run } from '../coordinator/run.ts';
import { type Compute, ComputeError, type ShardGradient } from '../worker/compute.ts';
import { Session, type SessionEnd } from '../worker/session.ts';

/** How a worker lies in every result that it sends. */
export const lies = {
  'one-bit': (result) =>
    withGradient(result, (values, bytes) => {
      const lowest = 4 * (values.length - 1);
      bytes[lowest] = bytes[lowest]! ^ 1;
    }),
  sign: (result) => withGradient(result, (values) => values.set(values.map((value) => -value))),
  scaled: (result) => withGradient(result, (values) => values.set(values.map((value) => value * 1.01))),
  reversed: (result) => withGradient(result, (values) => void values.reverse()),
  loss: (result) => ({ ...result, lossSum: result.lossSum * 2 + 1 }),
  correct: (result) => ({ ...result, correct: result.correct === 0 ? 1 : 0 }),
  'non-finite': (result) => ({ ...result, lossSum: Number.NaN }),
  'no-answer': () => new Promise<ShardGradient>(() => {}),
} satisfies Record<string, (result: ShardGradient) => ShardGradient | Promise<ShardGradient>>;

export type Lie = keyof typeof lies;

function withGradient(result: ShardGradient, change: (values: Float32Array, bytes: Uint8Array) => void): ShardGradient {
  const gradient = result.gradient.slice();
  change(new Float32Array(gradient.buffer), gradient);
  return { ...result, gradient };
}

/** What goes wrong with a single result. */
type ResultFault = (result: ShardGradient) => ShardGradient;

export const resultFaults: readonly ResultFault[] = [
  (result) => ({ ...result, gradient: result.gradient.subarray(4) }),
  (result) => {
    const gradient = result.gradient.slice();
    new Float32Array(gradient.buffer, 0, 1)[0] = Number.NaN;
    return { ...result, gradient };
  },
  () => {
    throw new ComputeError('device-lost', 'the simulated device was lost');
  },
];

interface SimulatedWorkerOptions {
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
    const fault = resultFault() ?? ((result) => result);
    const result = { ...(await compute.gradient(...task)), computeMs };
    const lie = this.#options.lie;
    // The numerics check, which has no key, is answered rightly: it cannot find a liar.
    return task[2]?.key === undefined ? result : fault(lie === undefined ? result : await lies[lie](result));
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
    const session = new Session({
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
