/** Runs that an owner starts from the page, on the server of a run that has ended. */
import { readFileSync } from 'node:fs';
import { join as joinPath } from 'node:path';
import { fileURLToPath } from 'node:url';
import { join } from '@lockstep/worker';
import { expect, it } from 'vitest';
import type { TrainOptions } from '../src/index.ts';
import { temporaryFolder } from './folder.ts';
import { hashAlone, hashOf, openRun, tiny, uploadTo } from './open-run.ts';

const irisFile = fileURLToPath(new URL('../../../docs/iris.csv', import.meta.url));
const folder = temporaryFolder();
const open = (options: TrainOptions) => openRun({ ...options, listen: { stay: true } });
const alone = (changes: TrainOptions): Promise<string> => hashAlone({ ...tiny, ...changes });

it('each has the weights of one process, the worker stays, and a page opened later sees all curves', async () => {
  const checkpoints = joinPath(folder, 'checkpoints');
  const { run, url, admin: token, watch } = await open({ ...tiny, checkpoint: checkpoints });
  const guest = join(url, { name: 'guest', backend: 'cpu' });
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
  expect((await viewer.next('refused')).message).toMatch(/^optimizer\.schedule: expected .*cosine.*, got "none"$/);
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
  expect(await guest.done).toEqual({ type: 'finished', message: 'the run has finished' });
});

it('another seed splits uploaded data anew, as it would in one process', async () => {
  const options: TrainOptions = { epochs: 2 };
  const server = await open({ ...options, data: 'upload' });
  const { run, url, admin: token, watch } = server;
  const viewer = await watch();
  await uploadTo(server, { 'iris.csv': readFileSync(irisFile) });
  await viewer.next('dataSetup', ({ phase }) => phase === 'ready');
  viewer.send({ type: 'admin', action: 'start', token });
  await viewer.closed;
  join(url, { name: 'guest', backend: 'cpu' }).done.catch(() => {});
  expect(await hashOf(run)).toBe(await hashAlone({ ...options, data: irisFile }));
  const next = await watch();
  next.send({ type: 'runAgain', token, seed: 2 });
  expect(await hashOf(await run.nextRun())).toBe(await hashAlone({ ...options, data: irisFile, seed: 2 }));
});

it('is refused while the run goes on', async () => {
  const { run, admin: token, watch } = await open({ ...tiny, epochs: 1_000 });
  const viewer = await watch();
  viewer.send({ type: 'runAgain', token });
  expect((await viewer.next('refused')).message).toBe('the run has not ended yet');
  await run.stop();
});
