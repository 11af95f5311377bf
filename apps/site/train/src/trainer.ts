/** The thread that trains: runs `train()` on its own, and tells the page what a coordinator tells its viewers. */
import { datasetFrom, datasetFromTable, parseDelimited } from '@lockstep/data/readers';
import { errorMessage } from '@lockstep/data/shown';
import { type Digits, pixelsPerDigit } from '@lockstep/lesson';
import { readSafetensors } from '@lockstep/nn';
import { bytesOf, type ProgressMessage } from '@lockstep/protocol';
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
import type { StartRequest, TrainerAnswer, TrainerRequest } from './messages.ts';

/** The page draws curves four times a second. */
const progressEveryMs = 100;

let run: TrainingRun | undefined;
let areWeightsWanted = false;

addEventListener('message', ({ data }: MessageEvent<TrainerRequest>) => {
  if (data.type === 'weights') areWeightsWanted = true;
  else if (data.type === 'stop') void run?.stop();
  else start(data).catch((error: unknown) => post({ type: 'fault', message: errorMessage(error) }));
});

function post(answer: TrainerAnswer): void {
  postMessage(answer);
}

/** @throws Error with one sentence if there can be no such run */
async function start({ file, model, epochs }: StartRequest): Promise<void> {
  const data = file ? await readTable(file) : await readDigits();
  const account = new Account(data);
  run = train({ data, model, epochs, onStep: (step) => account.step(step) });
  for await (const event of run) {
    if (event.type === 'prepared') account.begin(event);
    else if (event.type === 'epoch') account.epoch(event);
  }
  account.end(await run.result);
}

async function readTable(file: File): Promise<TrainingData> {
  const table = parseDelimited(new Uint8Array(await file.arrayBuffer()), file.name);
  const { found, ...data } = datasetFromTable(table);
  post({ type: 'found', message: found });
  return { name: file.name, ...data };
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
  #config: PreparedEvent['config'] | undefined;
  #points: (StepEvent & { readonly seconds: number })[] = [];
  #last: StepEvent | undefined;
  #beganAtMs = 0;
  #postedAtMs = 0;

  constructor(data: TrainingData) {
    this.#data = data;
  }

  begin({ model, parameters, config, stepsPerEpoch }: PreparedEvent): void {
    const { seed, batch, microbatchSize, epochs, steps, optimizer, samples, testSamples } = config;
    const { test, reading } = this.#data;
    const { standardization, ...format } = config.data;
    this.#config = config;
    this.#beganAtMs = performance.now();
    post({
      ...{ type: 'run', version: 'here', model, parameters, steps, stepsPerEpoch, samples, testSamples, ...format },
      config: { seed, batch, microbatchSize, epochs, steps, optimizer, workers: 0 },
      microbatches: Math.ceil(batch / microbatchSize),
      names: [...test.targets.names],
      ...(reading?.type === 'rows' && {
        columns: reading.columns.map((column) =>
          column.type === 'number' ? column : { ...column, categories: [...column.categories] },
        ),
      }),
      ...(standardization && { standardization }),
      ...{ joinAddresses: [], workerCommand: '', tokenNeeded: false, faultInjection: false, canRunAgain: false },
    });
    post({ type: 'history', points: this.#takePoints(), epochs: [], events: [] });
    this.#progress('training');
  }

  step(step: StepEvent): void {
    const atMs = performance.now();
    this.#points.push({ ...step, seconds: (atMs - this.#beganAtMs) / 1000 });
    this.#last = step;
    if (atMs - this.#postedAtMs >= progressEveryMs) this.#progress('training');
    if (areWeightsWanted) this.#postWeights(run?.weights());
  }

  epoch({ type: _, ...report }: EpochEvent): void {
    post({ type: 'epoch', report });
  }

  end(result: TrainingResult): void {
    const { outcome, report, weights } = result;
    const { weightsSha256: weightsHash, exactness, numericMode } = report;
    this.#postWeights(weights);
    this.#progress(outcome === 'finished' ? 'finished' : 'failed', {
      ...(outcome !== 'finished' && { ending: { type: 'stopped', message: 'stopped before its last step' } }),
      ...{ weightsHash, weightsHashStep: report.steps },
      ...(exactness !== null && { exactness }),
      ...(numericMode !== null && { numericMode }),
    });
    const bytes = new TextEncoder().encode(JSON.stringify(report));
    post({
      type: 'result',
      step: report.steps,
      report: bytes,
      metadata: { ...readSafetensors(result.modelFile()).metadata },
    });
  }

  #progress(phase: ProgressMessage['phase'], more: Partial<ProgressMessage> = {}): void {
    const atMs = performance.now();
    const { step = 0, epoch = 1, smoothedLoss, smoothedAccuracy = null, samplesSoFar = 0 } = this.#last ?? {};
    const perSecond = (1000 * samplesSoFar) / Math.max(1, atMs - this.#beganAtMs);
    const { steps, batch } = this.#config!;
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

  /** The points since the last message, as float32 lists. */
  #takePoints(): ProgressMessage['points'] {
    const points = this.#points.splice(0);
    const list = (value: (point: (typeof points)[number]) => number) => bytesOf(Float32Array.from(points, value));
    return {
      steps: list(({ step }) => step),
      seconds: list(({ seconds }) => seconds),
      losses: list(({ loss }) => loss),
      ...(this.#data.test.targets.role === 'index' && { accuracies: list(({ accuracy }) => accuracy ?? 0) }),
    };
  }

  #postWeights(weights: Float32Array<ArrayBuffer> | undefined): void {
    if (!weights) return;
    areWeightsWanted = false;
    post({ type: 'weights', step: this.#last?.step ?? 0, bytes: bytesOf(weights) });
  }
}
