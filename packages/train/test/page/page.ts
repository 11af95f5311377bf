/** The library in a page, for the tests that compare it with Node. */

import type { TableRow } from '@lockstep/data/readers';
import { join } from '@lockstep/worker/browser';
import { loadModel, type RowPrediction, type TrainOptions, train } from '../../src/browser.ts';
import type { TrainedInPage } from './contract.ts';

async function scoresOf(file: readonly number[], samples: readonly number[]): Promise<number[][]> {
  const model = await loadModel(Uint8Array.from(file));
  const predictions = await model.predict(Uint8Array.from(samples));
  model.dispose();
  return predictions.map(({ scores }) => [...scores]);
}

/** Answers of a model of a table. */
async function answersOf(file: readonly number[], rows: readonly TableRow[]): Promise<RowPrediction[]> {
  const model = await loadModel(Uint8Array.from(file));
  const answers = await model.predictRows(rows);
  model.dispose();
  return answers;
}

/** Trains in the page's own thread. */
async function trainHere(options: TrainOptions): Promise<TrainedInPage> {
  const run = train(options);
  const types = new Set<string>();
  for await (const { type } of run) types.add(type);
  const { report, model } = await run.result;
  model.dispose();
  return { types: [...types], weightsSha256: report.weightsSha256, worker: report.workers[0]?.name ?? '' };
}

/** Trains in a Web Worker of the page, which may start further threads. */
function trainInWorker(options: TrainOptions): Promise<TrainedInPage> {
  const worker = new Worker(new URL('./train-worker.ts', import.meta.url), { type: 'module' });
  worker.postMessage(options);
  return new Promise((resolve, reject) => {
    worker.onmessage = ({ data }: MessageEvent<TrainedInPage>) => resolve(data);
    worker.onerror = ({ message }) => reject(new Error(message));
  });
}

async function refusalOf(options: TrainOptions): Promise<string> {
  return train(options).result.then(
    () => 'the run took place',
    (error: Error) => `${error.name}: ${error.message}`,
  );
}

/** Takes part in a run until it is over; returns the kinds of events in order, and how the run ended. */
async function joinRun(url: string): Promise<{ readonly types: string[]; readonly end: string }> {
  const worker = join(url, { name: 'page', threads: 1 });
  const types = new Set<string>();
  for await (const { type } of worker) types.add(type);
  const { type: end } = await worker.done;
  return { types: [...types], end };
}

Object.assign(globalThis, { scoresOf, answersOf, trainHere, trainInWorker, refusalOf, joinRun });
