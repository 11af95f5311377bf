/** Builds the messages that the dashboard sends to its viewers. */
import type { Dataset } from '@lockstep/data';
import { parameterCount, type Reading } from '@lockstep/nn';
import { bytesOf, maxCategories, maxColumns, toMessageText, type WatchMessageOf } from '@lockstep/protocol';
import { type CoordinatorState, claimOf, formatOf } from '@lockstep/training';
import type { Prepared } from '../prepared.ts';
import type { CurvePoint } from '../record/curve.ts';
import type { RunRecord } from '../record/recorder.ts';
import type { EpochReport } from '../record/report.ts';
import { version } from '../version.ts';
import type { WeightsFeed } from './weights-feed.ts';

/** Of an installation, which has no scripts of a clone. */
export const defaultWorkerCommand = 'npx lockstep worker --url';

export type RunMessage = WatchMessageOf<'run'>;
type ProgressMessage = WatchMessageOf<'progress'>;

/** What does not change while the run lasts, but for the addresses, which are known once the server listens. */
export function runMessage(prepared: Prepared, faultInjection: boolean): RunMessage {
  const { model, plan, planAtStart, config, train, test, reading, token, listen } = prepared;
  const { seed, epochs, optimizer, diloco, workers: localWorkers } = config;
  const workers = localWorkers === 'single' ? 0 : localWorkers;
  const { batch, microbatchSize, steps, stepsPerEpoch, microbatches } = plan;
  return {
    type: 'run',
    version,
    model,
    parameters: parameterCount(model),
    config: { seed, batch, microbatchSize, epochs, steps, optimizer, ...(diloco && { diloco }), workers },
    steps,
    stepsPerEpoch,
    microbatches,
    samples: train.count,
    testSamples: test.count,
    ...formatOf(test),
    ...outputsOf(test),
    ...columnsOf(reading),
    ...standardizationOf(test),
    joinAddresses: [],
    workerCommand: listen?.workerCommand ?? defaultWorkerCommand,
    tokenNeeded: token !== undefined,
    faultInjection,
    canRunAgain: listen?.stay ?? false,
    ...(planAtStart && { planAtStart }),
  };
}

/** More would make a matrix that no page can show. */
const maxNames = 256;
const maxNameLength = 80;

/** How many classes or values there are, and what they are called. */
export function outputsOf({ targets: { names } }: Dataset): Pick<RunMessage, 'outputs' | 'names'> {
  const outputs = names.length;
  if (outputs > maxNames) return { outputs };
  return { outputs, names: names.map((name, index) => toMessageText(name, maxNameLength) || `${index}`) };
}

/** As many of the first columns as a message takes. */
export function columnsOf(reading: Reading | undefined): Pick<RunMessage, 'columns'> {
  if (reading?.type !== 'rows') return {};
  let categories = 0;
  const end = reading.columns.findIndex((column, index) => {
    if (column.type === 'category') categories += column.categories.length;
    return index === maxColumns || categories > maxCategories;
  });
  const nameOf = (name: string): string => toMessageText(name, maxNameLength);
  const columns = reading.columns.slice(0, end === -1 ? undefined : end);
  return {
    columns: columns.map((column) =>
      column.type === 'number'
        ? { ...column, name: nameOf(column.name) }
        : { type: 'category', name: nameOf(column.name), categories: column.categories.map(nameOf) },
    ),
  };
}

function standardizationOf({ targets }: Dataset): Pick<RunMessage, 'standardization'> {
  if (targets.type === 'classes' || !targets.standardization) return {};
  const { mean, deviation } = targets.standardization;
  return { standardization: { mean, deviation } };
}

export interface ProgressFigures extends Pick<ProgressMessage, 'points'> {
  readonly record: RunRecord;
  readonly weights: WeightsFeed;
}

export function progressMessage(state: CoordinatorState, run: RunMessage, figures: ProgressFigures): ProgressMessage {
  const { phase, pauseRequested, current } = state;
  const { record, weights, points } = figures;
  const { loss, accuracy, ending } = record;
  const imagesPerSecond = record.throughput.perSecond();
  const { hash, hashStep } = weights;
  const imagesLeft = (run.steps - current.step) * run.config.batch;
  return {
    type: 'progress',
    phase,
    pauseRequested,
    step: current.step,
    epoch: Math.min(run.config.epochs, 1 + Math.floor(current.step / run.stepsPerEpoch)),
    ...(loss === undefined || !Number.isFinite(loss) ? {} : { loss }),
    ...(accuracy === undefined ? {} : { accuracy }),
    imagesPerSecond,
    ...(ending && { ending: { type: ending.type, message: toMessageText(ending.message) } }),
    ...(phase === 'training' && imagesPerSecond > 0 ? { secondsLeft: imagesLeft / imagesPerSecond } : {}),
    ...claimFields(state),
    ...(hash === undefined ? {} : { weightsHash: hash, weightsHashStep: hashStep }),
    points,
  };
}

function claimFields(state: CoordinatorState): Pick<ProgressMessage, 'exactness' | 'numericMode' | 'bitExactAmong'> {
  const { exactness, numericMode, bitExactAmong } = claimOf(state);
  return {
    ...(exactness === null ? {} : { exactness }),
    ...(numericMode === null ? {} : { numericMode }),
    ...(bitExactAmong === null ? {} : { bitExactAmong }),
  };
}

/** Points as they travel: float32 lists of equal length. */
export function pointBytes(points: readonly CurvePoint[]): ProgressMessage['points'] {
  const list = (value: (point: CurvePoint) => number): Uint8Array => bytesOf(Float32Array.from(points, value));
  return {
    steps: list(({ steps }) => steps),
    seconds: list(({ seconds }) => seconds),
    losses: list(({ loss }) => loss),
    ...(points.some(({ accuracy }) => accuracy === null) ? {} : { accuracies: list(({ accuracy }) => accuracy ?? 0) }),
  };
}

/** A model that has diverged has losses that no message carries, and no accuracy: NaN would count as the first class. */
export function finiteReport(report: EpochReport): EpochReport {
  const isDiverged = !Number.isFinite(report.testLoss);
  const finite = (loss: number): number => (Number.isFinite(loss) ? loss : Number.MAX_VALUE);
  const { trainLoss, testLoss, testR2, testRmse } = report;
  return {
    ...report,
    trainLoss: finite(trainLoss),
    testLoss: finite(testLoss),
    testAccuracy: isDiverged ? null : report.testAccuracy,
    testR2: testR2 !== null && Number.isFinite(testR2) ? testR2 : null,
    testRmse: testRmse === null ? null : finite(testRmse),
  };
}
