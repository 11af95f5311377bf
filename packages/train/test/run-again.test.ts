/** Runs that an owner starts from the page, on the server of a run that has ended. */

import { readFileSync } from 'node:fs';
import { join as joinPath } from 'node:path';
import { fileURLToPath } from 'node:url';
import { join } from '@lockstep/worker';
import { afterEach, expect, it } from 'vitest';
import { type TrainingRun, type TrainOptions, train } from '../src/index.ts';
import { temporaryFolder } from './folder.ts';
import { openViewer, type TestViewer } from './test-viewer.ts';
import { tinyData, tinyModel } from './tiny-dataset.ts';

const tiny: TrainOptions = { data: tinyData, model: tinyModel, batch: 16, epochs: 3 };
const irisFile = fileURLToPath(new URL('../../../docs/iris.csv', import.meta.url));
const folder = temporaryFolder();
const opened: { runs: TrainingRun[]; viewers: TestViewer[] } = { runs: [], viewers: [] };

afterEach(async () => {
  for (const { socket } of opened.viewers.splice(0)) socket.terminate();
  for (const run of opened.runs.splice(0)) await run[Symbol.asyncDispose]();
});

async function open(options: TrainOptions) {
  const run = train({ ...options, listen: { port: 0, stay: true } });
  opened.runs.push(run);
  const { owner, worker } = await run.addresses;
  const token = /admin=([^&]+)/.exec(owner)![1]!;
  const watch = async (): Promise<TestViewer> => {
    const viewer = await openViewer(worker, {}, { adminToken: token });
    opened.viewers.push(viewer);
    return viewer;
  };
  return { run, worker, token, watch };
}

const hashOf = async (run: TrainingRun): Promise<string> => (await run.result).report.weightsSha256;
const alone = (options: TrainOptions): Promise<string> => hashOf(train({ ...tiny, ...options }));

it('each has the weights of one process, the worker stays, and a page opened later sees all curves', async () => {
  const checkpoints = joinPath(folder, 'checkpoints');
  const { run, worker, token, watch } = await open({ ...tiny, checkpoint: checkpoints });
  const guest = join(worker, { name: 'guest', backend: 'cpu' });
  expect(await hashOf(run)).toBe(await alone({}));
  const first = await watch();
  first.send({ type: 'runAgain', token, batch: 0 });
  expect((await first.next('refused')).message).toBe(
    'batch: expected a whole number from 1 to 1000000, or auto, got 0',
  );
  first.send({ type: 'runAgain', token, learningRate: 0.2 });
  const second = await run.nextRun();
  expect((await first.closed).code).toBe(1012);
  expect(await hashOf(second)).toBe(await alone({ optimizer: { type: 'momentum', learningRate: 0.2 } }));
  const viewer = await watch();
  expect((await viewer.next('run')).config.seed).toBe(1);
  viewer.send({ type: 'runAgain', token, schedule: 'none', optimizer: 'adam' });
  expect((await viewer.next('refused')).message).toMatch(/^optimizer\.schedule: expected .*cosine.*, got none$/);
  const changes = { seed: 5, batch: 32, epochs: 2 };
  viewer.send({ type: 'runAgain', token, optimizer: 'adam', schedule: 'cosine', ...changes });
  const third = await second.nextRun();
  expect(await hashOf(third)).toBe(await alone({ optimizer: { type: 'adam', schedule: 'cosine' }, ...changes }));
  expect((await third.result).report.workers).toMatchObject([{ name: 'guest' }]);
  expect((await third.result).checkpoint).toBeUndefined();
  const late = await watch();
  expect(await late.next('earlierRuns')).toMatchObject({
    label: 'adam, lr 0.002, batch 32, 2 epochs, cosine rate, seed 5',
    runs: [
      { label: 'momentum, lr 0.05, batch 16, 3 epochs, constant rate, seed 1' },
      { label: 'momentum, lr 0.2, batch 16, 3 epochs, constant rate, seed 1' },
    ],
  });
  await run[Symbol.asyncDispose]();
  expect(await guest.done).toEqual({ type: 'finished', message: 'the run is finished' });
});

it('another seed splits uploaded data anew, as it would in one process', async () => {
  const options: TrainOptions = { epochs: 2 };
  const { run, worker, token, watch } = await open({ ...options, data: 'upload' });
  const bytes = readFileSync(irisFile);
  const post = async (query: string, body: string | Buffer<ArrayBuffer>) => {
    const page = worker.replace('ws', 'http');
    const headers = { authorization: `Bearer ${token}` };
    return (await fetch(`${page}/upload${query}`, { method: 'POST', body, headers })).json();
  };
  const viewer = await watch();
  const { id } = (await post('', JSON.stringify([{ path: 'iris.csv', bytes: bytes.length }]))) as { id: string };
  await post(`?id=${id}&offset=0`, bytes);
  await viewer.next('dataSetup', ({ phase }) => phase === 'ready');
  viewer.send({ type: 'admin', action: 'start', token });
  await viewer.closed;
  join(worker, { name: 'guest', backend: 'cpu' }).done.catch(() => {});
  expect(await hashOf(run)).toBe(await hashOf(train({ ...options, data: irisFile })));
  const next = await watch();
  next.send({ type: 'runAgain', token, seed: 2 });
  expect(await hashOf(await run.nextRun())).toBe(await hashOf(train({ ...options, data: irisFile, seed: 2 })));
});

it('is refused while the run goes on', async () => {
  const { run, token, watch } = await open({ ...tiny, epochs: 1_000 });
  const viewer = await watch();
  viewer.send({ type: 'runAgain', token });
  expect((await viewer.next('refused')).message).toBe('the run has not ended');
  await run.stop();
});
