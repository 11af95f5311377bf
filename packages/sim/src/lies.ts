/** Ways in which a worker lies in its results. It answers the numerics check truthfully, and so is not found by it. */
import { ComputeError, type ShardGradient } from '@lockstep/compute';

interface Context {
  /** The honest result for the liar's previous shard; undefined for its first. */
  readonly before: ShardGradient | undefined;
  /** Computes the shard's gradient with the weights of the previous step. */
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
  /** Claims that its numerics check took no time, and never returns a shard. */
  'no-answer': () => new Promise<ShardGradient>(() => {}),
} satisfies Record<string, (truth: ShardGradient, context: Context) => ShardGradient | Promise<ShardGradient>>;

export type Lie = keyof typeof lies;

/** Further behavior of a liar that might let its results count before they are compared. */
export interface LiarHabit {
  /** Delay of its first results in milliseconds: by then others have sent most of them. */
  readonly lateMs: number;
  /** Whether it claims that its numerics check took no time, to seem arbitrarily fast. */
  readonly boasts: boolean;
  /** Whether it claims to be a relay. */
  readonly isRelay: boolean;
  /** Whether it joins before all honest workers. */
  readonly isFirst: boolean;
}

/** Whether a lie left the result unchanged, such as the sign of an all-zero gradient. */
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

/** Corrupts a single result of an honest worker. */
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
