/** The library in a page: runs in its main thread and in a Web Worker, workers that join from it, and a loaded model. */
import { fileURLToPath } from 'node:url';
import { findChromium, inChromium, type OpenPage, openBuiltPage } from '@lockstep/chromium';
import { valueField } from '@lockstep/data';
import type { TableRow } from '@lockstep/data/readers';
import { describeModel, initialize, resolveModel, writeModelFile } from '@lockstep/nn';
import { randomStream } from '@lockstep/tensor';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadModel, type RowPrediction, type TrainOptions, train } from '../src/index.ts';
import { tiny } from './open-run.ts';
import type { TrainedInPage } from './page/contract.ts';
import { tinyData, tinyModel } from './tiny-dataset.ts';

declare const window: {
  trainHere(options: TrainOptions): Promise<TrainedInPage>;
  trainInWorker(options: TrainOptions): Promise<TrainedInPage>;
  refusalOf(options: TrainOptions): Promise<string>;
  joinRun(url: string): Promise<{ types: string[]; end: string }>;
  scoresOf(file: readonly number[], samples: readonly number[]): Promise<number[][]>;
  answersOf(file: readonly number[], rows: readonly TableRow[]): Promise<RowPrediction[]>;
};

const executablePath = findChromium();
const root = fileURLToPath(new URL('./page/', import.meta.url));

describe.skipIf(!executablePath)(inChromium('train'), { timeout: 300_000, retry: 1 }, () => {
  let opened: OpenPage;
  let weightsSha256: string;

  beforeAll(async () => {
    opened = await openBuiltPage({ root, executablePath: executablePath! });
    ({ weightsSha256 } = (await train(tiny).result).report);
  });
  afterAll(() => opened?.close());

  it('gives the weights of Node, in the thread of the page', async () => {
    const trained = await opened.page.evaluate((options) => window.trainHere(options), tiny);
    expect(trained).toMatchObject({ weightsSha256, worker: 'this process' });
    expect(trained.types).toEqual(['prepared', 'note', 'joined', 'started', 'step', 'epoch', 'finished']);
    expect(opened.errors).toEqual([]);
  });

  it('gives the weights of Node, in a Web Worker with a thread beside it', async () => {
    const trained = await opened.page.evaluate((options) => window.trainInWorker(options), { ...tiny, threads: 2 });
    expect(trained.weightsSha256).toBe(weightsSha256);
    expect(trained.notes?.join()).toContain('in 2 threads');
    expect(opened.errors).toEqual([]);
  });

  it.each<[options: TrainOptions, message: RegExp]>([
    [{ workers: 2 }, /^ConfigurationError: workers: expected none in a page/],
    [{ listen: true }, /^ConfigurationError: listen: expected none in a page/],
    [{ colocate: true }, /^ConfigurationError: colocate: expected none in a page/],
    [{ checkpoint: 'runs' }, /^ConfigurationError: checkpoint: expected none in a page/],
    [{ data: 'folder' }, /^ConfigurationError: data: expected \{ train, test \} in a page/],
    [
      { data: tinyData, model: tinyModel, threads: 2 },
      /^ConfigurationError: threads: expected 1 in a page's own thread/,
    ],
  ])('refuses what a page cannot have: %j', async (options, message) => {
    expect(await opened.page.evaluate((wrong) => window.refusalOf(wrong), options)).toMatch(message);
  });

  it('lets a page of an origin that may join compute', async () => {
    const origin = new URL(opened.page.url()).origin;
    await using run = train({ ...tiny, listen: { port: 0, allowOrigins: [origin] } });
    const { worker: url } = await run.addresses;
    const joined = await opened.page.evaluate((address) => window.joinRun(address), url);
    const { report } = await run.result;
    expect(joined).toEqual({ types: ['opened', 'joined', 'ready', 'computed'], end: 'finished' });
    expect(report.workers).toMatchObject([{ name: 'page', kind: 'browser' }]);
    expect(report.weightsSha256).toBe(weightsSha256);
  });

  it('loads a model, with the scores of Node to the bit', async () => {
    const model = resolveModel('cnn');
    const file = writeModelFile(model, initialize(model, 3));
    const random = randomStream(5);
    const samples = Uint8Array.from({ length: 3 * 784 }, () => random() * 256);
    const loaded = await loadModel(file);
    const expected = (await loaded.predict(samples)).map(({ scores }) => [...scores]);
    loaded.dispose();
    const [bytes, pixels] = [[...file], [...samples]];
    const scores = await opened.page.evaluate((given) => window.scoresOf(given.bytes, given.pixels), { bytes, pixels });
    expect(scores).toEqual(expected);
    expect(opened.errors).toEqual([]);
  });

  it('predicts rows of a table, with the values of Node to the bit', async () => {
    const model = resolveModel('mlp', { sampleShape: [3], outputs: 1 });
    const columns = [
      { type: 'number', name: 'area', mean: 90, deviation: 20, missing: 85 },
      { type: 'category', name: 'zone', categories: ['A', 'B'] },
    ] as const;
    const description = {
      samples: valueField([3]),
      targets: { ...valueField([1]), names: ['price'] },
      reading: { type: 'rows', columns },
    } as const;
    const { weightsSha256: _, ...metadata } = describeModel(description, {
      lockstep: '',
      seed: 1,
      steps: 0,
      weightsSha256: '',
    });
    const file = writeModelFile(model, initialize(model, 3), metadata);
    const rows = [
      { area: 100, zone: 'A' },
      { area: null, zone: 'B' },
    ];
    const loaded = await loadModel(file);
    const expected = await loaded.predictRows(rows);
    loaded.dispose();
    const bytes = [...file];
    const answers = await opened.page.evaluate((given) => window.answersOf(given.bytes, given.rows), { bytes, rows });
    expect(answers).toEqual(expected);
  });

  it('says what a page of an origin that may not join lacks', async () => {
    const origin = new URL(opened.page.url()).origin;
    await using run = train({ ...tiny, listen: { port: 0, allowOrigins: ['http://page.example'] } });
    const { worker: url } = await run.addresses;
    const { host } = new URL(url);
    await expect(opened.page.evaluate((address) => window.joinRun(address), url)).rejects.toThrow(
      `no connection to the coordinator: expected one at ${host} that lets pages of ${origin} join (--allow-origin)`,
    );
  });
});
