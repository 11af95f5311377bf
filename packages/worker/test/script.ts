/** A real worker session; the test plays the coordinator, the compute and the clock. */

import type { Compute, ShardGradient } from '@lockstep/compute';
import { classField, scaledField } from '@lockstep/data';
import {
  bytesOf,
  type Closing,
  type CoordinatorMessage,
  type MessageOf,
  memoryPair,
  type WorkerMessage,
} from '@lockstep/protocol';
import { hash } from '../../compute/test/support.ts';
import { placing } from '../../protocol/test/placing.ts';
import { VirtualClock } from '../../sim/src/simulated-process.ts';
import { Session, type SessionEnd, type SessionEvent, type SessionOptions } from '../src/session.ts';

interface Job {
  readonly labels: number[];
  /** First byte of the weights that the shard was computed with. */
  readonly weights: number;
  /** Seed of what is random in the model. */
  readonly seed: number | undefined;
  readonly isCanceled: () => boolean;
  finish(changes?: Partial<ShardGradient>): Promise<void>;
  fail(error: Error): Promise<void>;
}

/** Memory that arriving bytes are read into. */
interface Memory {
  /** Whether bytes arrive in the memory that the session gives for them. */
  readonly isShared?: boolean;
  /** Whether the compute gives the memory of its weights. */
  readonly ofCompute?: boolean;
}

export class Script {
  readonly clock = new VirtualClock();
  /** Messages from the session. */
  readonly received: WorkerMessage[] = [];
  readonly events: SessionEvent[] = [];
  readonly opened: unknown[] = [];
  /** Shards requested of the compute; `finish` or `fail` answers one. */
  readonly jobs: Job[] = [];
  openError: Error | undefined;
  end: SessionEnd | undefined;
  closing: Closing | undefined;
  /** How often the compute's weights were set. */
  timesSet = 0;
  readonly #weights = new Uint8Array(20);
  readonly #pair = memoryPair({ encode: true, schedule: (deliver) => void this.clock.after(0, deliver) });
  readonly session;

  constructor(identity: Partial<SessionOptions['identity']> = {}, sampleCacheBytes = 0, memory: Memory = {}) {
    this.#pair.coordinator.listen({
      onMessage: (message) => this.received.push(message),
      onClose: (closing) => {
        this.closing = closing;
      },
    });
    const { worker } = this.#pair;
    this.session = new Session({
      transport: memory.isShared ? placing(worker) : worker,
      compute: { ...this.#compute(), ...(memory.ofCompute && { weightsMemory: () => this.#weights.subarray() }) },
      identity: { kind: 'node', name: 'tester', ...identity },
      clock: this.clock,
      hash,
      sampleCacheBytes,
      onEvent: (event) => this.events.push(event),
    });
    void this.session.ended.then((end) => {
      this.end = end;
    });
  }

  #compute(): Compute {
    return {
      backend: 'scripted',
      numericMode: 'scripted arithmetic',
      threads: 3,
      open: async (setup) => {
        this.opened.push(setup);
        if (this.openError) throw this.openError;
      },
      setWeights: (bytes) => {
        this.timesSet += 1;
        this.#weights.set(bytes);
      },
      gradient: (_samples, labels, { key, isCanceled = () => false } = {}) =>
        new Promise((resolve, reject) => {
          const result = {
            gradient: new Uint8Array(8).fill(1),
            lossSum: 2,
            correct: 0,
            count: labels.length,
            computeMs: 7,
          };
          const weights = this.#weights[0]!;
          this.jobs.push({
            labels: [...labels],
            weights,
            seed: key?.seed,
            isCanceled,
            finish: (changes = {}) => {
              if (this.#weights[0] !== weights) throw new Error('the weights changed while a shard was computed');
              resolve({ ...result, ...changes });
              return this.settle();
            },
            fail: (error) => {
              reject(error);
              return this.settle();
            },
          });
        }),
      close: async () => {},
    };
  }

  /** Delivers messages in flight and runs promises without advancing time. */
  async settle(): Promise<void> {
    for (let round = 0; round < 20; round++) {
      await new Promise<void>((resolve) => setImmediate(resolve));
      this.#deliver();
    }
  }

  /** Runs everything that is due now; the session's timers are due later. */
  #deliver(): void {
    const marker = { reached: false };
    this.clock.after(0, () => {
      marker.reached = true;
    });
    while (!marker.reached) this.clock.step();
  }

  async send(...messages: CoordinatorMessage[]): Promise<void> {
    for (const message of messages) this.#pair.coordinator.send(message);
    await this.settle();
  }

  async close(code: number, reason: string): Promise<void> {
    this.#pair.coordinator.close(code, reason);
    await this.settle();
  }

  async sever(): Promise<void> {
    this.#pair.sever('');
    await this.settle();
  }

  /** Advances time and lets timers fire. */
  async pass(ms: number): Promise<void> {
    let reached = false;
    this.clock.after(ms, () => {
      reached = true;
    });
    while (!reached) {
      this.clock.step();
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
    await this.settle();
  }

  of<Type extends WorkerMessage['type']>(type: Type): MessageOf<Type>[] {
    return this.received.filter((message) => message.type === type) as MessageOf<Type>[];
  }

  /** Takes the session past the numerics check, until it waits for tasks. */
  async activate(changes: Partial<MessageOf<'welcome'>> = {}): Promise<void> {
    await this.send({ ...welcome, ...changes }, numericsCheck);
    await this.jobs[0]!.finish();
    await this.jobs[1]!.finish();
    this.jobs.length = 0;
  }
}

export const welcome: MessageOf<'welcome'> = {
  type: 'welcome',
  id: 'w1',
  resumeKey: 'key-1',
  model: { name: 'any' },
  microbatchSize: 4,
  sampleField: scaledField([1]),
  targetField: classField,
  heartbeatMs: 2_000,
  maxFrameBytes: 1_000_000,
  chunkBytes: 8,
};

export const numericsCheck: MessageOf<'numericsCheck'> = {
  type: 'numericsCheck',
  weights: new Uint8Array(8).fill(200),
  count: 6,
  samples: new Uint8Array(6),
  targets: new Uint8Array(12),
};

export const weights = (step: number): MessageOf<'weights'> => ({
  type: 'weights',
  step,
  bytes: new Uint8Array(8).fill(step),
});

/** Creates a task whose labels are its `lo`, to tell jobs apart. */
export const task = (step: number, lo: number): MessageOf<'task'> => ({
  type: 'task',
  step,
  lo,
  n: 1,
  count: 2,
  samples: Uint8Array.of(step, step),
  targets: bytesOf(Uint16Array.of(lo, lo)),
});

/** Returns the weights and `lo` of each shard that was begun, as in `3:0`. */
export const begun = ({ jobs }: Script): string[] => jobs.map(({ weights: of, labels }) => `${of}:${labels[0]}`);

/** A session that waits for tasks. */
export async function activated(changes?: Partial<MessageOf<'welcome'>>, sampleCacheBytes?: number): Promise<Script> {
  const script = new Script({}, sampleCacheBytes);
  await script.activate(changes);
  return script;
}

/** A session that has begun the first of these tasks of step 0. */
export async function computing(...lows: number[]): Promise<Script> {
  const script = await activated();
  await script.send(weights(0), ...lows.map((lo) => task(0, lo)));
  return script;
}
