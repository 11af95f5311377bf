/** A run on uploaded data, over real sockets: the server's answers before it, and the weights at its end. */

import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join as joinPath } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Worker } from 'node:worker_threads';
import { scaledField, valueField } from '@lockstep/data';
import { join, type WorkerEvent } from '@lockstep/worker';
import { describe, expect, it, onTestFinished } from 'vitest';
import { folderOf } from '../../data/test/temporary-folder.ts';
import { type TrainOptions, train } from '../../train/src/index.ts';
import { hashAlone, hashOf, openRun, postUpload, uploadTo } from '../../train/test/open-run.ts';

const irisFile = fileURLToPath(new URL('../../../docs/iris.csv', import.meta.url));
const iris = readFileSync(irisFile);
const picture = readFileSync(new URL('../../data/goldens/color-6x4.png', import.meta.url));
const ways: TrainOptions = { epochs: 2, seed: 3 };

async function open(options: TrainOptions = {}) {
  const opened = await openRun({ ...ways, data: 'upload', ...options });
  return { ...opened, upload: (files: Readonly<Record<string, Uint8Array>>) => uploadTo(opened, files) };
}

describe('a server that waits for the data of its run', () => {
  it('shows a table that it is given, reads it anew, and trains with the worker that has waited', async () => {
    const { run, page, url, admin, watch, upload } = await open();
    expect(await (await fetch(`${page}healthz`)).json()).toEqual({ status: 'ok', phase: 'waiting' });
    const guest = join(url, { name: 'guest', backend: 'cpu' });
    const events: WorkerEvent[] = [];
    const told = (async () => {
      for await (const event of guest) if (events.push(event) && event.type === 'lost') return event.message;
      return undefined;
    })();
    expect(await told).toBe('the run waits for its data, which the owner uploads on the page');
    const viewer = await watch();
    await upload({ 'bad.csv': Buffer.from('a,label\n1,x\n2,y\n,x\n4,y\n') });
    const bad = await viewer.next('dataSetup', ({ fault }) => fault !== undefined);
    expect(bad).toMatchObject({
      phase: 'empty',
      fault: expect.stringMatching(/^bad\.csv: line 4, column a: expected/),
    });
    viewer.send({ type: 'admin', action: 'start', token: admin });
    expect((await viewer.next('refused')).message).toBe('the run has no data yet');
    await upload({ 'iris.csv': iris });
    const ready = await viewer.next('dataSetup', ({ phase }) => phase === 'ready');
    // Without this message, a page would take an idle server for a frozen one.
    await viewer.next('alive');
    expect(ready).toMatchObject({
      table: { label: 4, task: 'classification', missing: 'error' },
      data: { names: ['setosa', 'versicolor', 'virginica'], sampleField: valueField([4]), examples: [] },
    });
    expect(ready.table?.rows[0]).toEqual(['5.1', '3.5', '1.4', '0.2', 'setosa']);
    viewer.send({ type: 'readData', label: 0, task: 'regression', token: admin });
    const values = await viewer.next('dataSetup', ({ phase, table }) => phase === 'ready' && table?.label === 0);
    expect(values.data).toMatchObject({ targetField: { role: 'value' }, names: ['sepal_length'] });
    viewer.send({ type: 'readData', label: 4, task: 'classification', token: admin });
    await viewer.next('dataSetup', ({ phase, table }) => phase === 'ready' && table?.label === 4);
    viewer.send({ type: 'admin', action: 'start', token: admin });
    const refused = viewer.next('refused').catch(() => viewer.closed);
    expect(await Promise.race([refused, viewer.closed])).toMatchObject({ code: 1012 });
    const { report } = await run.result;
    expect(report.workers).toMatchObject([{ name: 'guest' }]);
    expect(report.weightsSha256).toBe(await hashAlone({ ...ways, data: irisFile }));
    expect((await guest.done).type).toBe('finished');
  });

  it('treats missing values as its owner asks', async () => {
    const { watch, upload, admin } = await open();
    const viewer = await watch();
    const rows = Array.from({ length: 40 }, (_, row) => `${row === 3 ? '' : row},${row % 2 ? 'odd' : 'even'}\n`);
    await upload({ 'gap.csv': Buffer.from(`n,label\n${rows.join('')}`) });
    const refused = await viewer.next('dataSetup', ({ fault }) => fault !== undefined);
    expect(refused).toMatchObject({ phase: 'empty', table: { missing: 'error' } });
    expect(refused.fault).toContain('missing');
    viewer.send({ type: 'readData', missing: 'median', token: admin });
    const ready = await viewer.next('dataSetup', ({ phase }) => phase === 'ready');
    expect(ready).toMatchObject({ table: { missing: 'median' }, data: { names: ['even', 'odd'] } });
  });

  it('ignores columns as its owner asks, and names no option of the command line', async () => {
    const { watch, upload, admin } = await open();
    const viewer = await watch();
    const rows = Array.from({ length: 300 }, (_, row) => [`a ${row}`, row % 7, row, `b ${row}`, row % 2 ? 'x' : 'y']);
    const table = [['name', 'age', 'id', 'note', 'label'], ...rows].map((row) => `${row}\n`);
    await upload({ 'x.csv': Buffer.from(table.join('')) });
    const refused = await viewer.next('dataSetup', ({ fault }) => fault !== undefined);
    expect(refused.fault).toMatch(/name \(300 texts such as "a 0"\), note \(300 texts such as "b 0"\): ignore them$/);
    expect(refused.table).toMatchObject({ label: 4, ignore: [] });
    viewer.send({ type: 'readData', ignore: [0, 3], token: admin });
    const { data, table: read } = await viewer.next('dataSetup', ({ phase }) => phase === 'ready');
    expect(read).toMatchObject({ label: 4, ignore: [0, 3] });
    expect(data?.found).toMatch(
      /2 numbers each, .*\(split by seed 3\)\. id: different in nearly every row; ignore it$/,
    );
    viewer.send({ type: 'readData', ignore: [0, 3], label: 2, task: 'regression', token: admin });
    const values = await viewer.next('dataSetup', ({ phase, table: now }) => phase === 'ready' && now?.label === 2);
    expect(values.data?.found).toMatch(/1 number and 1 category/);
  });

  it('shows the label of a table with many columns, which the owner can read in another way', async () => {
    const { watch, upload, admin } = await open();
    const viewer = await watch();
    const names = [...Array.from({ length: 1_099 }, (_, column) => `c${column}`), 'label'];
    const rows = Array.from({ length: 8 }, (_, row) => [
      ...names.slice(1).map((_name, at) => row + at),
      row % 2 ? 'x' : 'y',
    ]);
    await upload({ 'wide.csv': Buffer.from([names, ...rows].map((row) => `${row}\n`).join('')) });
    const { table } = await viewer.next('dataSetup', ({ phase }) => phase === 'ready');
    expect(table).toMatchObject({ label: 1_099, columns: expect.arrayContaining([{ index: 1_099, name: 'label' }]) });
    expect(table?.columns).toHaveLength(1_001);
    expect(table?.rows[1]?.at(-1)).toBe('x');
    viewer.send({ type: 'readData', label: 1_099, missing: 'drop', token: admin });
    await viewer.next('dataSetup', ({ phase, table: read }) => phase === 'ready' && read?.missing === 'drop');
    for (const unknown of [{ label: 1_080 }, { ignore: [1, 1_080] }]) {
      viewer.send({ type: 'readData', ...unknown, token: admin });
      expect((await viewer.next('refused')).message).toBe('there is no such column');
    }
  });

  it('reads each upload in a thread, and answers meanwhile', async () => {
    const { page, watch, upload } = await open();
    const threads: Promise<number>[] = [];
    const count = (thread: Worker): unknown => threads.push(once(thread, 'exit').then(([code]) => code as number));
    process.on('worker', count);
    onTestFinished(() => void process.off('worker', count));
    const viewer = await watch();
    const names = Array.from({ length: 500 }, (_, column) => `c${column}`).join();
    await upload({ 'wide.csv': Buffer.from(`${names}\n${`${'1,'.repeat(499)}x\n${'2,'.repeat(499)}y\n`.repeat(4)}`) });
    expect(await (await fetch(`${page}healthz`)).json()).toEqual({ status: 'ok', phase: 'waiting' });
    expect(threads).toHaveLength(1);
    await upload({ 'iris.csv': iris });
    const ready = await viewer.next('dataSetup', ({ phase }) => phase === 'ready');
    expect(ready.data?.found).toMatch(/^iris\.csv: 150 rows/);
    expect(await Promise.all(threads)).toHaveLength(2);
  });

  it('takes pictures in a folder for each class', async () => {
    const gray = readFileSync(new URL('../../data/goldens/gray-6x4.png', import.meta.url));
    const pets = {
      ...{ 'pets/cats/1.png': picture, 'pets/cats/2.png': gray },
      ...{ 'pets/dogs/1.png': gray, 'pets/dogs/2.png': picture },
    };
    const { run, admin, watch, upload } = await open({ workers: 1 });
    const viewer = await watch();
    await upload(pets);
    const { data } = await viewer.next('dataSetup', ({ phase }) => phase === 'ready');
    expect(data).toMatchObject({ names: ['cats', 'dogs'], sampleField: scaledField([4, 6, 3]) });
    expect(data?.examples.map(({ target }) => target).sort()).toEqual(['cats', 'dogs']);
    viewer.send({ type: 'admin', action: 'start', token: admin });
    expect(await hashOf(run)).toBe(await hashAlone({ ...ways, data: joinPath(folderOf(pets), 'pets') }));
  });

  it('has its batch made for the workers that are there at the start of the run', async () => {
    const count = 3;
    const options: TrainOptions = { batch: 'auto', listen: { waitForStart: true } };
    const { run, url, admin, watch, upload } = await open(options);
    const setup = await watch();
    // They join while there is no data, and wait.
    const guests = Array.from({ length: count }, (_, at) => join(url, { name: `guest ${at}`, backend: 'cpu' }));
    await upload({ 'iris.csv': iris });
    const { data } = await setup.next('dataSetup', ({ phase }) => phase === 'ready');
    expect(data?.plan).toContain('the batch size will be chosen when the run starts');
    setup.send({ type: 'admin', action: 'start', token: admin });
    await setup.closed;
    const viewer = await watch();
    const about = await viewer.next('run');
    expect(about.planAtStart).toMatchObject({ usualBatch: expect.any(Number) });
    await viewer.next('workers', ({ workers }) => workers.filter(({ phase }) => phase === 'ready').length === count);
    viewer.send({ type: 'admin', action: 'start', token: admin });
    const { report } = await run.result;
    expect(report.workers).toHaveLength(count);
    const alone = await train({ ...ways, data: irisFile, batch: 'auto', expect: count }).result;
    expect(report.config.batch).toBe(alone.report.config.batch);
    expect(report.weightsSha256).toBe(alone.report.weightsSha256);
    await Promise.all(guests.map(({ done }) => done));
  });

  it('takes no data from others, nor two uploads at a time', async () => {
    const { page, admin } = await open();
    const post = (query: string, body: string | Uint8Array<ArrayBuffer>, token = admin): Promise<Response> =>
      postUpload(page, token, query, body);
    const list = JSON.stringify([{ path: 'a.csv', bytes: 10 }]);
    expect((await post('', list, 'guess')).status).toBe(401);
    expect((await post('', new Uint8Array(4 * 2 ** 20 + 1))).status).toBe(413);
    expect((await post('?id=unknown&offset=0', 'x')).status).toBe(409);
    expect((await post('', list)).status).toBe(200);
    const second = await post('', list);
    expect([second.status, await second.text()]).toEqual([
      409,
      'the upload: expected one at a time, but another one is in progress\n',
    ]);
  });

  it('says what would be wrong with a run on the data', async () => {
    const { watch, upload } = await open({ batch: 1_000 });
    const viewer = await watch();
    await upload({ 'iris.csv': iris });
    const { fault } = await viewer.next('dataSetup', (setup) => setup.fault !== undefined);
    expect(fault).toBe('batch: expected at most the 120 samples of the training set, got 1000');
  });

  it('can be stopped before it has data', async () => {
    const { run } = await open();
    await run.stop();
    await expect(run.result).rejects.toMatchObject({ name: 'AbortError' });
  });
});

it.each<[options: TrainOptions, message: string]>([
  [{ listen: false }, 'data upload: requires listen, whose page takes the data'],
  [{ workers: 1, listen: undefined }, 'data upload: requires listen, whose page takes the data'],
  [{ model: 'nonsense' }, 'model: expected mlp, cnn, cnn-large, gpt, gpt-nano, names, or JSON with a list of layers'],
  [{ batch: 0 }, 'batch: expected a whole number from 1 to 1000000, or auto, got 0'],
])('a run on uploaded data is refused before its server stands: %j', async (options, message) => {
  const run = train({ data: 'upload', listen: { port: 0 }, ...options });
  const error = await run.result.catch((reason: unknown) => reason);
  expect(error).toMatchObject({ name: 'ConfigurationError', message: expect.stringContaining(message) });
});
