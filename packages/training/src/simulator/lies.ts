/** How a worker lies in every result that it sends; the numerics check, which cannot find a liar, it answers rightly. */
import { ComputeError, type ShardGradient } from '../worker/compute.ts';

interface Context {
  /** What it honestly found for the shard before; undefined for its first. */
  readonly before: ShardGradient | undefined;
  /** The shard's gradient with the weights of the step before. */
  readonly withOlderWeights: () => Promise<ShardGradient>;
}

export const lies = {
  'one-bit': (truth) =>
    withGradient(truth, (values, bytes) => {
      const lowest = 4 * (values.length - 1);
      bytes[lowest] = bytes[lowest]! ^ 1;
    }),
  sign: (truth) => withGradient(truth, (values) => values.set(values.map((value) => -value))),
  scaled: (truth) => withGradient(truth, (values) => values.set(values.map((value) => value * 1.01))),
  'other-shard': (truth, { before }) => ({ ...truth, gradient: before?.gradient ?? truth.gradient }),
  'older-step': async (_truth, { withOlderWeights }) => withOlderWeights(),
  loss: (truth) => ({ ...truth, lossSum: truth.lossSum * 2 + 1 }),
  correct: (truth) => ({ ...truth, correct: truth.correct === 0 ? 1 : 0 }),
  'non-finite': (truth) => ({ ...truth, lossSum: Number.NaN }),
  /** Its numerics check takes no time, and its shards never come back. */
  'no-answer': () => new Promise<ShardGradient>(() => {}),
} satisfies Record<string, (truth: ShardGradient, context: Context) => ShardGradient | Promise<ShardGradient>>;

export type Lie = keyof typeof lies;

/** Further behavior of a liar, by which its results might count before they are compared. */
export interface LiarHabit {
  /** Milliseconds by which its first results are late: others have found most of them by then. */
  readonly lateMs: number;
  /** Whether its numerics check takes no time, as on a machine of any speed. */
  readonly boasts: boolean;
  /** Whether it says that it is a relay. */
  readonly isRelay: boolean;
  /** Whether it is there before all honest workers. */
  readonly isFirst: boolean;
}

/** Whether a lie leaves a result as it was, such as the sign of a gradient of zeros. */
export function isTruth(told: ShardGradient, truth: ShardGradient): boolean {
  return (
    told.lossSum === truth.lossSum &&
    told.correct === truth.correct &&
    told.gradient.length === truth.gradient.length &&
    told.gradient.every((byte, index) => byte === truth.gradient[index])
  );
}

function withGradient(truth: ShardGradient, change: (values: Float32Array, bytes: Uint8Array) => void): ShardGradient {
  const gradient = truth.gradient.slice();
  change(new Float32Array(gradient.buffer), gradient);
  return { ...truth, gradient };
}

/** What goes wrong with a single result of an honest worker. */
export type ResultFault = (result: ShardGradient) => ShardGradient;

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
