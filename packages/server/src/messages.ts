/** The messages that show a run to viewers: a description, its progress, its workers, and the runs before it. */
import { bytesOfField, type Dataset, sizeOfField } from '@lockstep/data';
import { labelColumn, type Reading, type TableFile } from '@lockstep/data/readers';
import { createConfusionEvaluator, createValueErrors, parameterCount, restoreValues } from '@lockstep/nn';
import type { Prepared } from '@lockstep/prepare';
import {
  bytesOf,
  maxCategoriesShown,
  maxColumnsShown,
  maxNameLength,
  type ProgressMessage,
  type RunMessage,
  toMessageText,
  type WatchMessageOf,
} from '@lockstep/protocol';
import {
  type CurvePoint,
  type EpochReport,
  evenly,
  keptText,
  type MeanTimes,
  type RunRecord,
  version,
} from '@lockstep/record';
import {
  type Connection,
  type CoordinatorState,
  claimOf,
  formatOf,
  idleReasonOf,
  type WorkerRecord,
} from '@lockstep/rules';
import type { HostBackend } from '@lockstep/tensor';

/** The command of an installation, which lacks a clone's scripts. */
export const defaultWorkerCommand = 'npx lockstep worker --url';

/** The parts of a run that its message describes. A run in a page has no server, and so no settings of one. */
type ShownRun = Pick<Prepared, 'model' | 'config' | 'train' | 'test' | 'reading'> & {
  readonly plan: Pick<Prepared['plan'], 'batch' | 'microbatchSize' | 'steps' | 'stepsPerEpoch' | 'microbatches'>;
} & Partial<Pick<Prepared, 'planAtStart' | 'token' | 'listen'>>;

/** Describes what does not change during the run. */
export function runMessage(prepared: ShownRun, faultInjection: boolean): RunMessage {
  const { model, plan, planAtStart, config, train, test, reading, token, listen } = prepared;
  const { seed, epochs, optimizer, diloco, workers: localWorkers } = config;
  const workers = localWorkers === 'single' ? 0 : localWorkers;
  const { batch, microbatchSize, steps, stepsPerEpoch, microbatches } = plan;
  const { targets } = test;
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
    ...shownColumnsOf(reading),
    ...(reading?.type === 'pictures' && { fit: reading.fit }),
    ...vocabularyOf(reading),
    ...(targets.role === 'value' &&
      targets.standardization && {
        standardization: { mean: targets.standardization.mean, deviation: targets.standardization.deviation },
      }),
    joinAddresses: [],
    workerCommand: listen?.workerCommand ?? defaultWorkerCommand,
    tokenNeeded: token !== undefined,
    faultInjection,
    canRunAgain: listen?.stay ?? false,
    ...(planAtStart && { planAtStart }),
  };
}

/** More names would make a confusion matrix that no page can show. */
const maxNames = 256;

/** The number of classes or values, and their names. */
export function outputsOf({ targets: { names } }: Dataset): Pick<RunMessage, 'outputs' | 'names'> {
  const outputs = names.length;
  if (outputs > maxNames) return { outputs };
  return { outputs, names: names.map((name, index) => toMessageText(name, maxNameLength) || `${index}`) };
}

/** Largest vocabulary that pages know, as JSON, so that the message stays small. */
const maxVocabularyBytes = 2 ** 18;

function vocabularyOf(reading: Reading | undefined): Pick<RunMessage, 'vocabulary'> {
  if (reading?.type !== 'text') return {};
  const vocabulary = new TextEncoder().encode(JSON.stringify(reading.vocabulary));
  return vocabulary.length > maxVocabularyBytes ? {} : { vocabulary };
}

/** The first columns, up to a message's limit. */
export function shownColumnsOf(reading: Reading | undefined): Pick<RunMessage, 'columns'> {
  if (reading?.type !== 'rows') return {};
  let categories = 0;
  const end = reading.columns.findIndex((column, index) => {
    if (column.type === 'category') categories += column.categories.length;
    return index === maxColumnsShown || categories > maxCategoriesShown;
  });
  const nameOf = (name: string): string => toMessageText(name, maxNameLength);
  const columns = reading.columns.slice(0, end === -1 ? undefined : end);
  return {
    columns: columns.map((column) => {
      const { type, missing } = column;
      const name = nameOf(column.name);
      if (type === 'number') {
        const { mean, deviation } = column;
        return { type, name, mean, deviation, ...(missing !== undefined && { missing }) };
      }
      const { categories } = column;
      const position = missing !== undefined && { missing: categories.indexOf(missing) };
      return { type, name, categories: categories.map(nameOf), ...position };
    }),
  };
}

const mostRows = 6;
const mostTableColumns = 1_000;
const cellLength = 40;

/** How to read a table, with positions of columns; by default the reader chooses. */
export type ReadingRequest = Pick<WatchMessageOf<'readData'>, 'label' | 'ignore' | 'task' | 'missing'>;

/** Returns the request with names of columns, as readers take it. */
export function namedReading({ columns }: TableFile, { label, ignore = [], task, missing }: ReadingRequest) {
  const nameOf = (index: number): string => columns[index]?.name ?? '';
  return { label: label === undefined ? undefined : nameOf(label), ignore: ignore.map(nameOf), task, missing };
}

/** @param reading names of columns; by default the reader chooses the label */
export function tablePreviewOf(
  table: TableFile,
  { label, ignore, task = 'classification', missing = 'error' }: ReturnType<typeof namedReading>,
): NonNullable<WatchMessageOf<'dataSetup'>['table']> {
  const isIgnored = new Set(ignore);
  const used = table.columns.filter(({ name }) => !isIgnored.has(name));
  const labelAt = table.columns.indexOf(labelColumn({ ...table, columns: used }, label));
  const shown = [...table.columns.entries()].filter(([index]) => index < mostTableColumns || index === labelAt);
  const rows = Array.from({ length: Math.min(mostRows, table.count) }, (_, row) =>
    shown.map(([, column]) => shownCell(column.textAt(row), cellLength)),
  );
  const columns = shown.map(([index, { name }]) => ({ index, name: shownCell(name, maxNameLength) }));
  const ignored = table.columns.flatMap(({ name }, index) => (isIgnored.has(name) ? [index] : []));
  return { columns, rows, label: labelAt, ignore: ignored, task, missing };
}

/** An option of the command line for which a page that takes a table has a control, and its value. */
const controlledOption =
  / with --(?:label|missing (?:median, mean or most-frequent|drop)|ignore(?: .*?)?(?=; or to train on|$))/gm;

/** Returns what a reader says of data as one line for a page, whose controls replace options of the command line. */
export function pageText(text: string): string {
  const shown = text.replaceAll(controlledOption, '').replace('with --task', 'with the task');
  return toMessageText(shown.replace('use --', 'start the run with --data PATH --').replaceAll('\n', '. '));
}

/** A dash for an empty cell. */
export function shownCell(text: string, length: number): string {
  return text.trim() === '' ? '–' : toMessageText(text, length);
}

/** @param weights the last hash of the weights, and the number of steps that they had taken */
export function progressMessage(
  state: CoordinatorState,
  run: RunMessage,
  record: RunRecord,
  weights: { readonly hash: string | undefined; readonly hashStep: number },
  points: readonly CurvePoint[],
): ProgressMessage {
  const { phase, pauseRequested, current, checked } = state;
  const { loss, accuracy, epochs, kept, ending, stoppedAfterEpoch } = record;
  // A run that has stopped early discards the steps after its last epoch.
  const step = stoppedAfterEpoch === undefined ? current.step : record.steps;
  const { exactness, numericMode, bitExactAmong } = claimOf(state);
  const imagesPerSecond = record.throughput.perSecond();
  const { hash, hashStep } = weights;
  const imagesLeft = (run.steps - step) * run.config.batch;
  return {
    type: 'progress',
    phase,
    pauseRequested,
    step,
    epoch: stoppedAfterEpoch ?? Math.min(run.config.epochs, 1 + Math.floor(step / run.stepsPerEpoch)),
    ...(loss === undefined || !Number.isFinite(loss) ? {} : { loss }),
    ...(accuracy === undefined ? {} : { accuracy }),
    imagesPerSecond,
    ...(kept && { kept: { epoch: kept.epoch, text: keptText(kept, epochs.at(-1)?.epoch ?? kept.epoch) } }),
    ...(ending && { ending: { type: ending.type, message: toMessageText(ending.message) } }),
    ...(phase === 'training' && imagesPerSecond > 0 ? { secondsLeft: imagesLeft / imagesPerSecond } : {}),
    ...(exactness === null ? {} : { exactness }),
    ...(numericMode === null ? {} : { numericMode }),
    ...(bitExactAmong === null ? {} : { bitExactAmong }),
    ...(checked.of === 0 ? {} : { checked }),
    ...(hash === undefined ? {} : { weightsHash: hash, weightsHashStep: hashStep }),
    points: pointBytes(points),
  };
}

/** Points in the message format: float32 lists of equal length. */
export function pointBytes(points: readonly CurvePoint[]): ProgressMessage['points'] {
  const list = (value: (point: CurvePoint) => number): Uint8Array => bytesOf(Float32Array.from(points, value));
  return {
    steps: list(({ steps }) => steps),
    seconds: list(({ seconds }) => seconds),
    losses: list(({ loss }) => loss),
    ...(points.some(({ accuracy }) => accuracy === null) ? {} : { accuracies: list(({ accuracy }) => accuracy ?? 0) }),
  };
}

/**
 * Replaces the losses of a diverged model, since messages carry only finite numbers, and leaves out the validation
 * samples, which no curve shows.
 */
export function finiteReport({ validation, ...report }: EpochReport): WatchMessageOf<'epoch'>['report'] {
  const finite = (loss: number): number => (Number.isFinite(loss) ? loss : Number.MAX_VALUE);
  const { trainLoss, testLoss, testR2, testRmse } = report;
  return {
    ...report,
    trainLoss: finite(trainLoss),
    testLoss: finite(testLoss),
    testR2: testR2 !== null && Number.isFinite(testR2) ? testR2 : null,
    testRmse: testRmse === null ? null : finite(testRmse),
    ...(validation && { validation: { loss: finite(validation.loss), accuracy: validation.accuracy } }),
  };
}

const mostErrors = 16;
const mostCellSamples = 24;
/** Maximum bytes of the samples in a message. */
const mostSampleBytes = 2 ** 20;

/**
 * Returns a function that evaluates weights on the test set: its confusion matrix and top errors, or the largest errors.
 * The last evaluation of a run shows samples of each cell of the matrix too.
 * @param pause called between batches, to let other work happen
 */
export function evaluatorOf(
  backend: HostBackend,
  { model, test }: Pick<Prepared, 'model' | 'test'>,
  pause: () => Promise<void>,
): (epoch: number, weights: Float32Array, isLast: boolean) => Promise<WatchMessageOf<'evaluation'>> {
  const { samples, targets } = test;
  const outputs = targets.names.length;
  const size = sizeOfField(samples);
  const most = Math.min(mostErrors, Math.floor(mostSampleBytes / bytesOfField(samples)));
  const sampleOf = (index: number) => bytesOf(samples.values.subarray(index * size, (index + 1) * size));
  if (targets.role === 'value') {
    const { standardization } = targets;
    const evaluator = createValueErrors(backend, model, test, most);
    return async (epoch, weights) => {
      const errors = await evaluator.evaluate(weights, pause);
      const farthest = errors.map(({ index, target, predicted }) => ({
        sample: sampleOf(index),
        target: bytesOf(restoreValues(target, standardization)),
        predicted: bytesOf(restoreValues(predicted, standardization)),
      }));
      return { type: 'evaluation', epoch, outputs, topErrors: [], farthest };
    };
  }
  const isShown = outputs <= maxNames;
  const mostInCells = Math.floor(mostSampleBytes / bytesOfField(samples));
  const evaluator = createConfusionEvaluator(backend, model, test, most);
  const lastEvaluator = createConfusionEvaluator(backend, model, test, most, isShown ? mostCellSamples : 0);
  return async (epoch, weights, isLast) => {
    const { counts, topErrors, cellSamples } = await (isLast ? lastEvaluator : evaluator).evaluate(weights, pause);
    const shown = (all: typeof topErrors) => all.map(({ index, ...error }) => ({ ...error, sample: sampleOf(index) }));
    return {
      ...{ type: 'evaluation', epoch, outputs, topErrors: shown(topErrors), farthest: [] },
      ...(counts && isShown && { confusion: bytesOf(counts) }),
      ...(isLast && isShown && { cellSamples: shown(cellSamples.slice(0, mostInCells)) }),
    };
  };
}

type Row = WatchMessageOf<'workers'>['workers'][number];

/** Limits of the table, so that it fits into a message. */
const maxPresent = 256;
const maxGone = 20;

/** Workers that are connected or stayed to the end, then those that computed something and left, most recent first. */
export function workerTable(state: CoordinatorState, averagesOf: (workerId: string) => MeanTimes): Row[] {
  const connections = new Map<string, Connection>();
  for (const connection of state.connections.values()) {
    if (connection.workerId !== undefined) connections.set(connection.workerId, connection);
  }
  const records = [...state.records.values()];
  const total = records.reduce((sum, { samples }) => sum + samples, 0);
  const present = records.filter(({ id }) => connections.has(id)).slice(0, maxPresent);
  const left = records.filter(({ id }) => !connections.has(id));
  const finished = left.filter(({ leftAtMs }) => stayed(state, leftAtMs)).slice(0, maxPresent);
  const gone = left
    .filter(({ shards, leftAtMs }) => shards > 0 && !stayed(state, leftAtMs))
    .sort((a, b) => (b.leftAtMs ?? 0) - (a.leftAtMs ?? 0))
    .slice(0, maxGone);
  return [...present, ...finished, ...gone].map((record) => {
    const { id, name, kind, backend, threads, shards, samples, workersBehind } = record;
    const connection = connections.get(id);
    return {
      ...{ id, name, kind, backend, threads, shards, samples },
      phase: connection?.phase ?? 'gone',
      hidden: connection?.hidden ?? false,
      ...(workersBehind === undefined ? {} : { workersBehind }),
      share: total > 0 ? samples / total : 0,
      ...averagesOf(id),
      samplesPerSecond: (connection?.samplesPerMs ?? 0) * 1000,
      ...healthOf(state, record, connection),
    };
  });
}

function healthOf(
  state: CoordinatorState,
  { leftAtMs }: WorkerRecord,
  connection: Connection | undefined,
): Pick<Row, 'health' | 'idle'> {
  if (!connection) return { health: stayed(state, leftAtMs) ? 'finished' : 'gone' };
  if (connection.answerByMs !== undefined) return { health: 'late' };
  const idle = idleReasonOf(state, connection);
  return idle === undefined ? { health: 'good' } : { health: 'idle', idle };
}

/** Whether a worker's connection was closed by the end of the run. */
function stayed({ endedAtMs }: CoordinatorState, leftAtMs: number | undefined): boolean {
  return endedAtMs !== undefined && leftAtMs === endedAtMs;
}

type ShownEarlierRun = WatchMessageOf<'earlierRuns'>['runs'][number];
type RunSettings = ShownEarlierRun['settings'];

/** An earlier run, shown in the chart of a later one. */
export interface EarlierRun extends Omit<ShownEarlierRun, 'label' | 'points'> {
  readonly points: readonly CurvePoint[];
}

const mostRuns = 8;
const mostPoints = 400;
const mostEpochs = 100;

export class EarlierRuns {
  readonly #runs: EarlierRun[] = [];
  #current: (() => EarlierRun) | undefined;

  /** Starts another run. @param current returns what is known of that run so far */
  begin(current: () => EarlierRun): void {
    const last = this.#current?.();
    // A run that only gathered workers has taken no step.
    if (last && last.steps > 0) this.#runs.push(thinned(last));
    if (this.#runs.length > mostRuns) this.#runs.shift();
    this.#current = current;
  }

  /** Undefined if the current run is the first. */
  message(): WatchMessageOf<'earlierRuns'> | undefined {
    if (this.#runs.length === 0 || !this.#current) return undefined;
    const labels = labelsOf([...this.#runs, this.#current()].map(({ settings }) => settings));
    const runs = this.#runs.map((run, index) => ({ label: labels[index]!, ...run, points: pointBytes(run.points) }));
    return { type: 'earlierRuns', label: labels.at(-1)!, runs };
  }
}

/** @param workers number of workers that computed the run */
export function runSettingsOf({ model, config }: Prepared, workers: number): RunSettings {
  const { optimizer, seed, batch, epochs } = config;
  const { type, learningRate, schedule } = optimizer;
  const name = toMessageText(model.name, maxNameLength) || 'model';
  const course = schedule?.type ?? 'constant';
  return { model: name, optimizer: type, learningRate, batch, epochs, schedule: course, seed, workers };
}

/** Settings that a person may change from run to run, as shown in a label. */
const labelTexts = {
  model: ({ model }) => model,
  optimizer: ({ optimizer }) => optimizer,
  lr: ({ learningRate }) => `lr ${Number(learningRate.toPrecision(4))}`,
  batch: ({ batch }) => `batch ${batch}`,
  epochs: ({ epochs }) => `${epochs} ${epochs === 1 ? 'epoch' : 'epochs'}`,
  schedule: ({ schedule }) => `${schedule} rate`,
  seed: ({ seed }) => `seed ${seed}`,
} as const satisfies Readonly<Record<string, (settings: RunSettings) => string>>;

/** Labels each run by what distinguishes it from the others; equal runs are numbered. */
export function labelsOf(runs: readonly RunSettings[]): string[] {
  const texts = Object.values(labelTexts).filter((textOf) => new Set(runs.map(textOf)).size > 1);
  const labels = runs.map((settings) => texts.map((textOf) => textOf(settings)).join(', '));
  return labels.map((label, index) => {
    const isAlone = label !== '' && labels.indexOf(label) === labels.lastIndexOf(label);
    return toMessageText(isAlone ? label : [label, `run ${index + 1}`].filter(Boolean).join(', '), 200);
  });
}

function thinned({ points, epochs, ...rest }: EarlierRun): EarlierRun {
  const shown = new Set(evenly(epochs, mostEpochs));
  const thinner = epochs.filter((one) => shown.has(one) || one.epoch === rest.keptEpoch);
  return { ...rest, points: evenly(points, mostPoints), epochs: thinner };
}
