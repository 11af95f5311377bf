/** The thread that trains: runs `train()` on its own, and tells the page what a coordinator tells its viewers. */
import { DataError } from '@lockstep/data';
import { datasetFrom, datasetFromTable, type OpenedDataset, parseDelimited } from '@lockstep/data/readers';
import { errorMessage } from '@lockstep/data/shown';
import { type Digits, pixelsPerDigit } from '@lockstep/lesson';
import { readSafetensors } from '@lockstep/nn';
import { bytesOf, type ProgressMessage } from '@lockstep/protocol';
import { keptText } from '@lockstep/record';
import {
  evaluatorOf,
  finiteReport,
  namedReading,
  pageText,
  pointBytes,
  runMessage,
  tablePreviewOf,
} from '@lockstep/server/messages';
import { openBackend } from '@lockstep/tensor';
import {
  type EpochEvent,
  type PreparedEvent,
  type StepEvent,
  type TrainingData,
  type TrainingResult,
  type TrainingRun,
  train,
} from '@lockstep/train';
import { fetchDigits } from '@lockstep/web/page/learn/digits.ts';
import type { ReadFile, StartRequest, TableRequest, TrainerAnswer, TrainerRequest } from './messages.ts';

/** The page draws curves four times a second. */
const progressEveryMs = 100;

let run: TrainingRun | undefined;
let areWeightsWanted = false;
/** Number of the newest request to read a file, which makes the answers to earlier ones obsolete. */
let newestRead = 0;

addEventListener('message', ({ data }: MessageEvent<TrainerRequest>) => {
  if (data.type === 'weights') areWeightsWanted = true;
  else if (data.type === 'stop') void run?.stop();
  else if (data.type === 'read') read(data.table).catch(() => {});
  else start(data).catch((error: unknown) => post({ type: 'fault', message: errorMessage(error) }));
});

function post(answer: TrainerAnswer): void {
  postMessage(answer);
}

/** Reads a file and shows what it holds. @throws DataError with one sentence if it cannot be trained on */
async function read(request: TableRequest): Promise<OpenedDataset> {
  const number = ++newestRead;
  const { table, opened } = await readTable(request);
  const outcome = opened instanceof DataError ? { fault: pageText(opened.message) } : { found: pageText(opened.found) };
  if (number === newestRead) post({ type: 'read', ...(table && { table }), ...outcome });
  if (opened instanceof DataError) throw opened;
  return opened;
}

interface ReadTable extends Pick<ReadFile, 'table'> {
  readonly opened: OpenedDataset | DataError;
}

async function readTable({ file, ...request }: TableRequest): Promise<ReadTable> {
  let table: ReadFile['table'];
  try {
    const rows = parseDelimited(new Uint8Array(await file.arrayBuffer()), file.name);
    const reading = namedReading(rows, request);
    table = tablePreviewOf(rows, reading);
    const opened = datasetFromTable(rows, reading);
    return { table, opened };
  } catch (error) {
    return { table, opened: error instanceof DataError ? error : new DataError(errorMessage(error)) };
  }
}

/** @throws Error with one sentence if there can be no such run */
async function start({ table, model, epochs }: StartRequest): Promise<void> {
  const data = table ? { name: table.file.name, ...(await read(table)) } : await readDigits();
  const account = new Account(data);
  run = train({ data, model, epochs, onStep: (step) => account.step(step) });
  for await (const event of run) {
    if (event.type === 'prepared') account.begin(event);
    else if (event.type === 'epoch') account.epoch(event);
  }
  await account.end(await run.result);
}

async function readDigits(): Promise<TrainingData> {
  let arrived = 0;
  const { train, test } = await fetchDigits('all', (bytes) => {
    arrived += bytes;
    post({ type: 'loading', bytes: arrived });
  });
  const datasetOf = ({ pixels, labels }: Digits['train']) =>
    datasetFrom({ samples: pixels, sampleShape: [Math.sqrt(pixelsPerDigit), Math.sqrt(pixelsPerDigit), 1], labels });
  return { name: 'MNIST', train: datasetOf(train), test: datasetOf(test) };
}

/** Turns the events of a run into the messages that a coordinator sends of it. */
class Account {
  readonly #data: TrainingData;
  #prepared: PreparedEvent | undefined;
  #points: Parameters<typeof pointBytes>[0][number][] = [];
  #last: StepEvent | undefined;
  #beganAtMs = 0;
  #postedAtMs = 0;

  constructor(data: TrainingData) {
    this.#data = data;
  }

  begin(prepared: PreparedEvent): void {
    const { model, config, stepsPerEpoch } = prepared;
    const { train, test, reading } = this.#data;
    const plan = { ...config, stepsPerEpoch, microbatches: Math.ceil(config.batch / config.microbatchSize) };
    this.#prepared = prepared;
    this.#beganAtMs = performance.now();
    post(runMessage({ model, config, train, test, reading, plan }, false));
    post({ type: 'history', points: this.#takePoints(), epochs: [], events: [] });
    this.#progress('training');
  }

  step(step: StepEvent): void {
    const atMs = performance.now();
    const { step: steps, loss, accuracy } = step;
    this.#points.push({ steps, loss, accuracy, seconds: (atMs - this.#beganAtMs) / 1000 });
    this.#last = step;
    if (atMs - this.#postedAtMs >= progressEveryMs) this.#progress('training');
    if (areWeightsWanted) this.#postWeights(run?.weights(), steps);
  }

  epoch({ type: _, ...report }: EpochEvent): void {
    post({ type: 'epoch', report: finiteReport(report) });
  }

  async end(result: TrainingResult): Promise<void> {
    const { outcome, report, weights } = result;
    const { weightsSha256: weightsHash, exactness, numericMode, kept, epochs } = report;
    const step = kept?.step ?? report.steps;
    this.#postWeights(weights, step);
    await this.#postEvaluation(result);
    this.#progress(outcome === 'finished' ? 'finished' : 'failed', {
      ...(outcome !== 'finished' && { ending: { type: 'stopped', message: 'stopped before its last step' } }),
      ...{ weightsHash, weightsHashStep: step },
      ...(kept && { kept: { epoch: kept.epoch, text: keptText(kept, epochs.at(-1)?.epoch ?? kept.epoch) } }),
      ...(exactness !== null && { exactness }),
      ...(numericMode !== null && { numericMode }),
    });
    const { metadata } = readSafetensors(result.modelFile());
    const [reportBytes, metadataBytes] = [report, metadata].map((value) =>
      new TextEncoder().encode(JSON.stringify(value)),
    );
    post({ type: 'result', step, report: reportBytes!, metadata: metadataBytes! });
  }

  async #postEvaluation({ report, weights }: TrainingResult): Promise<void> {
    const { kept, epochs } = report;
    const { epoch, testLoss } = epochs.findLast((one) => one.epoch === kept?.epoch) ?? epochs.at(-1) ?? {};
    // The outputs of a diverged model mean nothing.
    if (epoch === undefined || !Number.isFinite(testLoss)) return;
    const { backend } = await openBackend('auto');
    const prepared = { model: this.#prepared!.model, test: this.#data.test };
    post(await evaluatorOf(backend, prepared, async () => {})(epoch, weights, true));
  }

  #progress(phase: ProgressMessage['phase'], more: Partial<ProgressMessage> = {}): void {
    const atMs = performance.now();
    const { step = 0, epoch = 1, smoothedLoss, smoothedAccuracy = null, samplesSoFar = 0 } = this.#last ?? {};
    const perSecond = (1000 * samplesSoFar) / Math.max(1, atMs - this.#beganAtMs);
    const { steps, batch } = this.#prepared!.config;
    this.#postedAtMs = atMs;
    post({
      ...{ type: 'progress', phase, pauseRequested: false, step, epoch, imagesPerSecond: perSecond },
      ...(smoothedLoss !== undefined && { loss: smoothedLoss }),
      ...(smoothedAccuracy !== null && { accuracy: smoothedAccuracy }),
      ...(perSecond > 0 && { secondsLeft: ((steps - step) * batch) / perSecond }),
      points: this.#takePoints(),
      ...more,
    });
  }

  /** The points since the last message. */
  #takePoints(): ProgressMessage['points'] {
    return pointBytes(this.#points.splice(0));
  }

  #postWeights(weights: Float32Array<ArrayBuffer> | undefined, step: number): void {
    if (!weights) return;
    areWeightsWanted = false;
    post({ type: 'weights', step, bytes: bytesOf(weights) });
  }
}
