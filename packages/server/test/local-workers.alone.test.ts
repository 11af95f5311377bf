/** Local workers before their run: they load while it is prepared, and leave nothing behind if that fails. */
import type { ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { configurationError } from '@lockstep/worker';
import { FrameMemory } from '@lockstep/worker/internal';
import { afterEach, expect, it, onTestFinished, vi } from 'vitest';
import type { TrainOptions } from '../../train/src/index.ts';
import { nodePlatform } from '../../train/src/node-platform.ts';
import { TrainingRun } from '../../train/src/training-run.ts';
import { temporaryFolder } from '../../train/test/folder.ts';
import { tinyData, tinyModel } from '../../train/test/tiny-dataset.ts';
import { hello, openRawClient } from './raw-client.ts';
import { openViewer } from './test-viewer.ts';

const folder = temporaryFolder();

const started: ChildProcess[] = [];
vi.mock('node:child_process', async (importOriginal) => {
  const actual = await importOriginal<typeof import('node:child_process')>();
  const fork = (...args: Parameters<typeof actual.fork>) => {
    const child = actual.fork(...args);
    started.push(child);
    return child;
  };
  return { ...actual, fork };
});
afterEach(() => void started.splice(0));

function running(): number {
  return started.filter(({ exitCode, signalCode }) => exitCode === null && signalCode === null).length;
}

/** A run of two workers, and the number of processes when its data were loaded. */
function runOf(options: TrainOptions, whileLoading: () => void | Promise<void> = () => {}) {
  const seen = { processes: 0 };
  const run = new TrainingRun(
    { data: 'tiny', model: tinyModel, batch: 16, epochs: 1, workers: 2, ...options },
    {
      ...nodePlatform,
      async loadData() {
        seen.processes = running();
        await whileLoading();
        // A copy, because the run moves the samples of loaded data.
        return structuredClone(tinyData);
      },
    },
  );
  return { run, seen };
}

it('they load while the data are read, and train', async () => {
  const { run, seen } = runOf({});
  const { report } = await run.result;
  expect(seen.processes).toBe(2);
  expect(report.workers.map(({ name }) => name).sort()).toEqual(['local-1', 'local-2']);
  expect(running()).toBe(0);
});

it.skipIf(!existsSync('/dev/shm')).each([
  ['that travel whole', [1_024], true],
  ['in several messages', [1_024, 1_024], true],
  ['in chunks, as others could join', [1_024, 1_024], false],
] as const)(
  'long vectors %s pass through memory, with the same weights as in one process',
  async (_name, units, isOfThisMachine) => {
    const wide = units.map((each) => ({ type: 'dense', units: each }) as const);
    const model = { ...tinyModel, layers: [...wide, ...tinyModel.layers.slice(1)] };
    const opened: (FrameMemory | undefined)[] = [];
    const open = FrameMemory.open.bind(FrameMemory);
    const spy = vi.spyOn(FrameMemory, 'open').mockImplementation((name) => {
      opened.push(open(name));
      return opened.at(-1);
    });
    onTestFinished(() => spy.mockRestore());
    // A late worker's result may arrive after the last step, and then the report misses it.
    let received = 0;
    const onStep = (): void => {
      received = opened.reduce((sum, memory) => sum + memory!.receivedBytes, 0);
    };
    const { report } = await runOf({ model, onStep, ...(isOfThisMachine && { listen: { port: 0 } }) }).run.result;
    const { report: alone } = await runOf({ model, workers: 0 }).run.result;
    expect(report.weightsSha256).toBe(alone.weightsSha256);
    const sent = opened.reduce((sum, memory) => sum + memory!.sentBytes, 0);
    // Both workers take part in a step, whose vectors have 82 KB or 4.3 MB; the first step checks the workers.
    const vectorBytes = 4 * report.model.parameters * report.steps;
    expect(opened).toHaveLength(2);
    expect(sent).toBeGreaterThanOrEqual(vectorBytes);
    expect(received).toBeGreaterThan(vectorBytes / 2);
    expect(report.wire.bytesSent).toBeGreaterThan(sent);
    expect(report.wire.bytesReceived).toBeGreaterThan(received);
  },
);

it.each([
  ['4 MB if only this machine can join', {}, 4_000_000],
  ['512 KiB if others can', { token: 'a token that is long enough' }, 512 * 1024],
] as const)('workers are told to send vectors in chunks of %s', async (_name, listen, chunkBytes) => {
  const { run } = runOf({ workers: 0, listen: { port: 0, waitForStart: true, ...listen } });
  onTestFinished(() => run[Symbol.asyncDispose]());
  const client = await openRawClient((await run.addresses).worker);
  client.send({ ...hello, ...listen });
  expect((await client.next('welcome')).chunkBytes).toBe(chunkBytes);
});

it('the next run on the server goes on with them', async () => {
  const { run } = runOf({ listen: { port: 0, stay: true } });
  onTestFinished(() => run[Symbol.asyncDispose]());
  const { owner, worker } = await run.addresses;
  const token = /admin=([^&]+)/.exec(owner)![1]!;
  await run.result;
  const viewer = await openViewer(worker, {}, { adminToken: token });
  onTestFinished(() => viewer.socket.terminate());
  viewer.send({ type: 'runAgain', token, seed: 2 });
  const { report } = await (await run.nextRun()).result;
  expect(report.workers.map(({ name }) => name).sort()).toEqual(['local-1', 'local-2']);
  expect(started).toHaveLength(2);
  expect(running()).toBe(2);
  await run[Symbol.asyncDispose]();
  expect(running()).toBe(0);
});

it('they end where the resumed run is over already, though its server stays', async () => {
  const checkpoint = { folder: mkdtempSync(join(folder, 'over-')), resume: true };
  await runOf({ checkpoint }).run.result;
  started.splice(0);
  const { run, seen } = runOf({ checkpoint, listen: { port: 0, stay: true } });
  onTestFinished(() => run[Symbol.asyncDispose]());
  expect((await run.result).report.steps).toBe(6);
  expect(seen.processes).toBe(2);
  await vi.waitUntil(() => running() === 0, { timeout: 120_000, interval: 5 });
});

it('there are none in one process', async () => {
  const { run, seen } = runOf({ workers: 0 });
  await run.result;
  expect(seen.processes).toBe(0);
});

/** A port of 127.0.0.1 that is in use. */
async function takenPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  return (server.address() as { port: number }).port;
}

const noData = (): never => {
  throw configurationError`no such data`;
};

it.each<[what: string, options: () => Promise<TrainOptions>, message: string, whileLoading?: () => void]>([
  ['data that cannot be read', async () => ({}), 'no such data', noData],
  ['a model for other data', async () => ({ model: { ...tinyModel, input: [3] } }), 'expected an input of'],
  ['a port that is taken', async () => ({ listen: { port: await takenPort() } }), 'port'],
])('they end where the run is refused: %s', async (_what, options, message, whileLoading) => {
  const { run, seen } = runOf(await options(), whileLoading);
  await expect(run.result).rejects.toThrow(message);
  expect(seen.processes).toBe(2);
  expect(running()).toBe(0);
});

it('they end where the run is stopped while it is prepared', async () => {
  const stopping = new AbortController();
  const { run, seen } = runOf({ signal: stopping.signal }, () => stopping.abort());
  expect((await run.result).outcome).toBe('stopped');
  expect(seen.processes).toBe(2);
  expect(running()).toBe(0);
});

it.each(['before', 'after'])('where none can load, the run says so: they end %s it is prepared', async (when) => {
  vi.stubEnv('NODE_OPTIONS', '--import=data:text/javascript,throw%20new%20Error("no%20room")');
  onTestFinished(() => void vi.unstubAllEnvs());
  const { run } = runOf({}, async () => {
    if (when === 'before') await vi.waitUntil(() => running() === 0, { timeout: 120_000, interval: 5 });
  });
  const warnings: string[] = [];
  const follow = async (): Promise<void> => {
    for await (const event of run) if (event.type === 'warning') warnings.push(event.message);
  };
  await expect(follow()).rejects.toThrow('no local worker could start');
  const ended = [1, 2].map((at) => expect.stringMatching(new RegExp(`^worker local-${at} ended \\(exit code 1\\)`)));
  expect(warnings.sort()).toEqual(ended);
});
