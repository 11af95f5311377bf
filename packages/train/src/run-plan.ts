/** The steps of a run, its batch and its microbatches: from the options, or else from the data and the workers. */
import { batchForWorkers, microbatchSizeFor, planRun, type RunPlan } from '@lockstep/rules';
import { configurationError, named } from '@lockstep/worker';
import { defaultBatch, defaultEpochs } from './defaults.ts';
import { roundOf } from './diloco.ts';
import type { TrainOptions } from './options.ts';
import type { DiLoCoConfig } from './record/report.ts';

type Asked = Pick<TrainOptions, 'batch' | 'expect' | 'microbatch' | 'epochs' | 'steps' | 'workers' | 'gradients'>;

/** Settings of a batch that is chosen at the start of the run, for the workers that have joined by then. */
export interface PlanAtStart {
  /** Samples of a step with few workers. */
  readonly usualBatch: number;
  /** Set if the size is not to be chosen. */
  readonly microbatchSize?: number;
}

/** Whether the batch is chosen for the workers that have joined when the run is started. */
function isPlannedAtStart({ batch, expect, listen }: Pick<TrainOptions, 'batch' | 'expect' | 'listen'>): boolean {
  return batch === 'auto' && expect === undefined && typeof listen === 'object' && listen.waitForStart === true;
}

/** @throws ConfigurationError if the batch cannot be chosen that late */
export function planAtStartOf(options: TrainOptions, samples: number, recipeBatch: number): PlanAtStart | undefined {
  if (!isPlannedAtStart(options)) return undefined;
  const { checkpoint, microbatch } = options;
  if (typeof checkpoint === 'object' && (checkpoint.resume || checkpoint.store)) {
    throw configurationError`${named('batch', 'auto')}: expected with ${named('expect')} where a run goes on from a checkpoint, which has a batch`;
  }
  return {
    usualBatch: defaultBatch(samples, recipeBatch),
    ...(microbatch !== undefined && { microbatchSize: microbatch }),
  };
}

/** Number of workers that the batch is chosen for, each of which takes part; undefined if it depends on none. */
export function expectedWorkers({ batch, expect, workers = 0 }: Asked): number | undefined {
  if (expect !== undefined || batch !== 'auto') return expect;
  if (workers === 0) {
    throw configurationError`${named('batch', 'auto')}: expected with ${named('expect')}, the number of workers to come, or with ${named('listen.waitForStart')}, and then for those that are there`;
  }
  return workers;
}

/** @throws ConfigurationError if batch, microbatch, workers and data do not fit together */
export function planOf(asked: Asked, samples: number, recipeBatch: number, diloco: DiLoCoConfig | undefined): RunPlan {
  const { epochs: askedEpochs, steps, gradients } = asked;
  const roundsToHalves = gradients === 'fp16-exact';
  if (diloco) {
    requireSynchronous(asked);
    const round = roundOf(diloco, samples);
    const rounds = Math.ceil(samples / round.batch);
    // As many epochs as if each inner step were a step.
    const epochs =
      askedEpochs ?? (steps === undefined ? defaultEpochs(rounds * diloco.innerSteps) : defaultEpochs(rounds, steps));
    return planRun({ samples, ...round, epochs, steps, roundsToHalves });
  }
  const { batch, microbatchSize } = batchOf(asked, samples, recipeBatch);
  const epochs = askedEpochs ?? defaultEpochs(Math.ceil(samples / batch), steps);
  return planRun({ samples, batch, microbatchSize, epochs, steps, roundsToHalves });
}

/** With replicas, workers share the replicas instead. */
function requireSynchronous(asked: Asked): void {
  for (const name of ['expect', 'microbatch'] as const) {
    if (asked[name] === undefined) continue;
    throw configurationError`${named(name)}: expected without ${named('diloco.replicas')}, since each replica is computed by one worker`;
  }
  if (asked.batch === 'auto') {
    throw configurationError`${named('batch')}: expected a number with ${named('diloco.replicas')}, got auto`;
  }
}

function batchOf(asked: Asked, samples: number, recipeBatch: number) {
  const { batch: askedBatch, microbatch } = asked;
  const workers = expectedWorkers(asked);
  const batch = typeof askedBatch === 'number' ? askedBatch : undefined;
  requireWithin('batch', batch, samples);
  requireWithin('microbatch', microbatch, batch ?? samples);
  requireWork(workers, microbatch, batch ?? samples);
  const usualBatch = defaultBatch(samples, recipeBatch);
  if (batch === undefined && (workers !== undefined || microbatch !== undefined)) {
    return batchForWorkers({ samples, workers: workers ?? 1, usualBatch, microbatchSize: microbatch });
  }
  const fixed = batch ?? usualBatch;
  if (microbatch !== undefined && fixed % microbatch !== 0) {
    throw configurationError`${named('microbatch')}: expected a number that divides the batch of ${fixed}, got ${microbatch}`;
  }
  const microbatchSize = microbatch ?? (workers === undefined ? undefined : microbatchSizeFor(fixed, workers));
  return { batch: fixed, microbatchSize };
}

function requireWithin(name: 'batch' | 'microbatch', value: number | undefined, most: number): void {
  if (value === undefined || value <= most) return;
  const of = name === 'batch' ? 'of the training set' : 'of a step';
  throw configurationError`${named(name)}: expected at most the ${most} samples ${of}, got ${value}`;
}

/** Requires a microbatch for each worker. */
function requireWork(workers: number | undefined, microbatch: number | undefined, samples: number): void {
  if (workers === undefined || workers * (microbatch ?? 1) <= samples) return;
  const [most, each] =
    microbatch === undefined ? [samples, 'one sample'] : [Math.floor(samples / microbatch), `${microbatch} samples`];
  throw configurationError`${named('expect')}: expected at most ${most} workers, so that each gets at least ${each} of a step's ${samples}, got ${workers}`;
}
