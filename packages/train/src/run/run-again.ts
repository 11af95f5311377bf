/** Another run on the server of one that has ended: what it has otherwise. */
import type { OptimizerType, ScheduleType } from '@lockstep/nn';
import type { TrainingData, TrainOptions } from '../options.ts';

/** Left out is what stays as it was. */
export interface RunChanges {
  readonly seed?: number;
  readonly learningRate?: number;
  readonly optimizer?: string;
  readonly model?: string;
  readonly batch?: number;
  readonly epochs?: number;
  readonly schedule?: string;
}

/** Begins it; resolves with the reason where it cannot be, and then nothing has changed. */
export type OnRunAgain = (changes: RunChanges) => Promise<string | undefined>;

/**
 * The options of the next run.
 * Checkpoints and initial weights of another model are those of the first run alone; another optimizer has its own settings.
 */
export async function changedOptions(
  { checkpoint: _, ...options }: TrainOptions,
  changes: RunChanges,
): Promise<TrainOptions> {
  const { seed, model, batch, epochs } = changes;
  return {
    ...options,
    ...(seed !== undefined && { seed, data: await splitBy(options.data, seed) }),
    ...(model !== undefined && { model, initialWeights: undefined }),
    ...(batch !== undefined && { batch }),
    // A limit of steps would cut the requested epochs short.
    ...(epochs !== undefined && { epochs, steps: undefined }),
    optimizer: changedOptimizer(options.optimizer, changes),
  };
}

function changedOptimizer(
  before: TrainOptions['optimizer'],
  { optimizer, learningRate, schedule }: RunChanges,
): TrainOptions['optimizer'] {
  const given = typeof before === 'string' ? { type: before } : before;
  // Names of unknown optimizers and schedules are refused with the other options.
  const kept = optimizer === undefined ? given : { type: optimizer as OptimizerType };
  if (learningRate === undefined && schedule === undefined) return kept;
  return {
    ...(kept ?? { type: 'momentum' as const }),
    ...(learningRate !== undefined && { learningRate }),
    ...(schedule !== undefined && { schedule: schedule as ScheduleType }),
  };
}

async function splitBy(data: TrainOptions['data'], seed: number): Promise<string | TrainingData | undefined> {
  return typeof data === 'object' && data.splitBy ? data.splitBy(seed) : data;
}
