/** Several runs, one after another, on the same workers: a grid of values, several seeds, and folds of the data. */

import { checkKinds, functionKind, kindOf, objectKind } from '@lockstep/command/options';
import { argumentKinds, checkArguments, concatDatasets } from '@lockstep/data';
import { foldDataset } from '@lockstep/data/readers';
import { type Evaluation, type MonitorName, monitors } from '@lockstep/nn';
import {
  checkTrainOptions,
  defaultSeed,
  listenOf,
  prepare,
  runOptions,
  type TrainingData,
  type TrainOptions,
  textFor,
  uploadedData,
} from '@lockstep/prepare';
import { type KeptEpoch, keptEpochOf, type Report } from '@lockstep/record';
import { configurationError, optionName } from '@lockstep/worker';
import type { TrainingPlatform } from './training-platform.ts';
import { TrainingError } from './training-result.ts';
import { splitBy, TrainingRun } from './training-run.ts';

/** Options of a sweep, besides those of each run. */
export interface SweepOptions extends TrainOptions {
  /**
   * Values to try, by the path of their option: `{ 'optimizer.learningRate': [0.01, 0.1] }`. Several paths multiply.
   */
  readonly grid?: Readonly<Record<string, readonly unknown[]>> | undefined;
  /** Number of runs of each combination, with seeds that count up from `seed`, from 1 to 1000; by default 1. */
  readonly seeds?: number | undefined;
  /**
   * Number of parts of all samples, from 2 to 1000, of which each is the test data of one run (stratified k-fold). By
   * default the data are split into training and test samples as they are.
   */
  readonly folds?: number | undefined;
  /** Called when a run begins, to follow it; the next run waits for the result. */
  readonly onRun?: ((run: TrainingRun, about: SweptRun) => void | Promise<void>) | undefined;
}

/** Settings that distinguish a run of a sweep from the others. */
export interface SweptRun {
  /** Counted from 1, as is `fold`. */
  readonly number: number;
  readonly runs: number;
  /** The values that it tries, by the path of their option. */
  readonly values: Readonly<Record<string, unknown>>;
  readonly seed: number;
  /** Omitted without folds. */
  readonly fold?: number;
}

type Figures = Pick<Evaluation, 'loss' | 'accuracy' | 'r2' | 'rmse'>;

/** A run of a sweep that has ended. */
export interface SweepRow extends Omit<SweptRun, 'runs'> {
  /** The measure of the sweep; null if the run diverged. */
  readonly score: number | null;
  /** Why the run could not go on. */
  readonly fault?: string;
  /** Quality of the kept weights; the loss is infinite if the run could not go on. */
  readonly test: Figures;
  /** Omitted without validation samples. */
  readonly validation?: Figures;
  readonly kept?: KeptEpoch;
  readonly steps: number;
  readonly wallSeconds: number;
  /** As in the report of the same run alone. */
  readonly weightsSha256: string;
}

/** The runs of one combination of values. */
export interface SweepCombination {
  readonly values: Readonly<Record<string, unknown>>;
  readonly runs: number;
  /** Mean and population standard deviation of the scores; null if a run diverged. */
  readonly mean: number | null;
  readonly deviation: number | null;
}

/** The result of a sweep. */
export interface SweepReport {
  /** Measure by which combinations are compared, and the samples that it is measured on. */
  readonly monitor: MonitorName;
  readonly measuredOn: 'validation' | 'test';
  /** One row per run, in their order. */
  readonly rows: readonly SweepRow[];
  readonly combinations: readonly SweepCombination[];
  /** The combination with the best mean score; the first of equal ones; null if every one diverged. */
  readonly best: SweepCombination | null;
}

const list = kindOf<readonly unknown[]>('a list of values', (value) => Array.isArray(value) && value.length > 0);
const kinds = {
  grid: objectKind<NonNullable<SweepOptions['grid']>>('an object with a list of values for each option'),
  seeds: runOptions.seeds.kind,
  folds: runOptions.folds.kind,
  onRun: functionKind<SweepOptions['onRun']>(),
};

/** @throws ConfigurationError before the first run if there can be no such run */
export async function sweepOn(options: SweepOptions, platform: TrainingPlatform): Promise<SweepReport> {
  checkArguments('sweep', [argumentKinds.options, options]);
  const { grid = {}, seeds = 1, folds, onRun, ...base } = options;
  checkKinds({ grid, seeds, folds, onRun }, kinds);
  const plans = plansOf(grid, base, seeds, folds);
  for (const { values } of plans) checkTrainOptions(withValues(base, values));
  const dataOf = await sourceOf(base, platform, folds);
  const optionsOf = async (about: SweptRun): Promise<TrainOptions> => {
    const own = withValues({ ...base, listen: stayingListen(base), seed: about.seed }, about.values);
    return { ...own, data: await dataOf(about) };
  };
  await checkCombinations(plans, optionsOf, platform);
  const rows: SweepRow[] = [];
  let first: TrainingRun | undefined;
  let last: TrainingRun | undefined;
  try {
    for (const about of plans) {
      const settled = await optionsOf(about);
      last = last ? await last.runAgain(settled) : new TrainingRun(settled, platform);
      first ??= last;
      // A failure of the run becomes a row below.
      last.result.catch(() => {});
      try {
        await onRun?.(last, about);
        const { report, outcome } = await last.result;
        if (outcome === 'stopped') break;
        rows.push(rowOf(report, about, base.monitor ?? 'loss'));
      } catch (error) {
        if (!(error instanceof TrainingError)) throw error;
        rows.push(failedRow(error, about));
      }
    }
  } finally {
    await first?.[Symbol.asyncDispose]();
  }
  return sweepReportOf(rows, base.monitor ?? 'loss');
}

/** The combinations in order, each with its seeds and folds. */
function plansOf(
  grid: NonNullable<SweepOptions['grid']>,
  { seed = defaultSeed }: TrainOptions,
  seeds: number,
  folds: number | undefined,
): SweptRun[] {
  let combinations: SweptRun['values'][] = [{}];
  for (const [path, values] of Object.entries(grid)) {
    checkKinds({ [path]: values }, { [path]: list });
    combinations = combinations.flatMap((one) => values.map((value) => ({ ...one, [path]: value })));
  }
  const parts = folds === undefined ? [{}] : Array.from({ length: folds }, (_, index) => ({ fold: index + 1 }));
  const plans = combinations.flatMap((values) =>
    Array.from({ length: seeds }, (_, index) => parts.map((part) => ({ values, seed: seed + index, ...part }))).flat(),
  );
  return plans.map((plan, index) => ({ number: index + 1, runs: plans.length, ...plan }));
}

/** Prepares each combination once, so that none is found impossible after hours of training. @throws ConfigurationError */
async function checkCombinations(
  plans: readonly SweptRun[],
  optionsOf: (about: SweptRun) => Promise<TrainOptions>,
  platform: TrainingPlatform,
): Promise<void> {
  const { seed, fold } = plans[0]!;
  const firsts = plans.filter((plan) => plan.seed === seed && plan.fold === fold);
  if (firsts.length === 1) return;
  for (const about of firsts) await prepare(await optionsOf(about), platform);
}

/** The options with a value at each path; `a.b` is the option `b` in the object `a`. */
function withValues(options: TrainOptions, values: SweptRun['values']): TrainOptions {
  const changed: Record<string, unknown> = { ...options };
  for (const [path, value] of Object.entries(values)) {
    const [name = '', inner] = path.split('.');
    if (inner === undefined) changed[name] = value;
    else changed[name] = { ...objectOf(changed[name]), [inner]: value };
  }
  return changed;
}

/** An optimizer may be given by its name, and DiLoCo as true. */
function objectOf(given: unknown): object {
  if (typeof given === 'string') return { type: given };
  return typeof given === 'object' && given !== null ? given : {};
}

/** The server stays for all runs, so that workers and viewers do. */
function stayingListen(options: TrainOptions): TrainOptions['listen'] {
  const listen = listenOf(options);
  return listen && { ...listen, stay: true };
}

type Source = (about: SweptRun) => Promise<TrainOptions['data']>;

/** The data of each run: those that it has alone, or all samples but one fold. */
async function sourceOf(
  { data, model, seed = defaultSeed }: TrainOptions,
  platform: TrainingPlatform,
  folds?: number,
): Promise<Source> {
  if (data === uploadedData) {
    throw configurationError`${optionName('data')}: expected data that are there at the start of a sweep, got ${uploadedData}`;
  }
  if (folds === undefined) return (about) => splitBy(data, about.seed);
  const { train, test, ...rest }: TrainingData =
    typeof data === 'object' ? data : await platform.loadData(data, seed, textFor(model));
  const all = concatDatasets(train, test);
  if (folds > all.count) {
    throw configurationError`${optionName('folds')}: expected a whole number from 2 to ${all.count}, the number of samples, got ${folds}`;
  }
  return async ({ fold = 1 }) => ({
    ...{ ...rest, splitBy: undefined },
    ...foldDataset(all, { folds, fold: fold - 1, seed }),
  });
}

function rowOf(report: Report, { runs: _, ...about }: SweptRun, monitor: MonitorName): SweepRow {
  const { kept, steps, wallSeconds, weightsSha256, metrics, validationMetrics } = report;
  const epoch = keptEpochOf(report);
  if (!epoch) throw new Error(`sweep: expected run ${about.number} to take a step, got none`);
  const { testLoss: loss, testAccuracy: accuracy, testR2: r2, testRmse: rmse, validation } = epoch;
  const test: Figures = { loss, accuracy, r2, rmse };
  const measured = validation ? { ...validation, metrics: validationMetrics ?? null } : { ...test, metrics };
  const score = monitors[monitor].of(measured);
  return {
    ...about,
    score: score !== null && Number.isFinite(score) ? score : null,
    test,
    ...(validation && { validation }),
    ...(kept && { kept }),
    ...{ steps, wallSeconds, weightsSha256 },
  };
}

function failedRow({ message, result: { report } }: TrainingError, { runs: _, ...about }: SweptRun): SweepRow {
  const test = { loss: Number.POSITIVE_INFINITY, accuracy: null, r2: null, rmse: null };
  const { steps, wallSeconds, weightsSha256 } = report;
  return { ...about, score: null, fault: message, test, steps, wallSeconds, weightsSha256 };
}

function sweepReportOf(rows: readonly SweepRow[], monitor: MonitorName): SweepReport {
  const groups = new Map<string, SweepRow[]>();
  for (const row of rows) {
    const key = JSON.stringify(row.values);
    groups.set(key, [...(groups.get(key) ?? []), row]);
  }
  const combinations = [...groups.values()].map(combinationOf);
  const sign = monitors[monitor].better === 'lower' ? -1 : 1;
  let best: SweepCombination | null = null;
  for (const one of combinations) {
    if (one.mean !== null && (best === null || sign * one.mean > sign * best.mean!)) best = one;
  }
  const measuredOn = rows.some(({ validation }) => validation) ? 'validation' : 'test';
  return { monitor, measuredOn, rows, combinations, best };
}

function combinationOf(rows: readonly SweepRow[]): SweepCombination {
  const scores = rows.map(({ score }) => score);
  const about = { values: rows[0]!.values, runs: rows.length };
  if (scores.includes(null)) return { ...about, mean: null, deviation: null };
  const mean = scores.reduce<number>((sum, score) => sum + score!, 0) / scores.length;
  const variance = scores.reduce<number>((sum, score) => sum + (score! - mean) ** 2, 0) / scores.length;
  return { ...about, mean, deviation: Math.sqrt(variance) };
}
