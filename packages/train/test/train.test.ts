/** The library as a program uses it. */
import { spawnSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import {
  ConfigurationError,
  DataError,
  FileError,
  loadModel,
  openDataset,
  type TrainingEvent,
  type TrainOptions,
  train,
} from '../src/index.ts';
import { temporaryFolder } from './folder.ts';
import { kindsOfData } from './kinds-of-data.ts';
import { hashAlone, hashOf, tiny } from './open-run.ts';
import { tinyData } from './tiny-dataset.ts';

const folder = temporaryFolder();

/** Kinds of events in the order of their first occurrence. */
const order = (events: readonly TrainingEvent[]): string[] => [...new Set(events.map(({ type }) => type))];

describe('train', () => {
  it('says what happens, calls `onStep` after each step, and gives the model and the report', async () => {
    const steps: number[] = [];
    let last: Float32Array | undefined;
    const run = train({
      ...tiny,
      onStep({ step }) {
        steps.push(step);
        last = run.weights();
      },
    });
    expect(run.weights()).toBeUndefined();
    const events: TrainingEvent[] = [];
    for await (const event of run) events.push(event);
    expect(order(events)).toEqual(['prepared', 'note', 'joined', 'started', 'step', 'epoch', 'finished']);
    expect(events.filter(({ type }) => type === 'epoch')).toMatchObject([{ epoch: 1 }, { epoch: 2 }, { epoch: 3 }]);
    const { outcome, report, model, weights } = await run.result;
    expect([outcome, report.steps, report.epochs.length]).toEqual(['finished', 18, 3]);
    expect(steps).toEqual(Array.from({ length: 18 }, (_, index) => index + 1));
    expect(events.at(-1)).toEqual({ type: 'finished', report });
    expect(weights).toHaveLength(163);
    expect(last).toEqual(weights);
    expect(run.weights()).toBeUndefined();
    const { accuracy } = await model.evaluate(tinyData.test);
    expect(accuracy).toBe(report.epochs.at(-1)?.testAccuracy);
    model.dispose();
  });

  it.each<[TrainOptions, RegExp]>([
    [{ epochs: 1 }, /: 1 epoch of 96 images, batch 16, /],
    [{ epochs: 1, steps: 4 }, /: 4 steps on 96 images, batch 16, /],
    [{ steps: 4 }, /: 4 steps on 96 images, batch 16, /],
    [
      { epochs: 1, batch: 2, diloco: { replicas: 2, innerSteps: 3 } },
      /: 1 epoch of 96 images, rounds of .*\), then momentum /,
    ],
  ])('describes a run with %j', async (asked, text) => {
    const messages: string[] = [];
    for await (const event of train({ ...tiny, epochs: undefined, ...asked })) {
      if (event.type === 'prepared') messages.push(event.message);
    }
    expect(messages).toEqual([expect.stringMatching(text)]);
  });

  it('reports when and on what it ran, and the data by a hash', async () => {
    const beforeMs = Date.now();
    const [named, other] = await Promise.all(
      [
        { ...tinyData, name: 'rows.csv' },
        { ...tinyData, train: tinyData.test },
      ].map(async (data) => (await train({ ...tiny, data, workers: 0, steps: 2 }).result).report),
    );
    expect(named?.data).toEqual({ name: 'rows.csv', sha256: expect.stringMatching(/^[0-9a-f]{64}$/) });
    expect((await train({ ...tiny, workers: 1, steps: 1 }).result).report.data.sha256).toBe(named?.data.sha256);
    expect(other?.data.name).toBeNull();
    expect(other?.data.sha256).not.toBe(named?.data.sha256);
    expect(Date.parse(named?.startedAt ?? '')).toBeGreaterThanOrEqual(beforeMs);
    expect(named?.machine).toMatchObject({ runtime: `Node ${process.versions.node}`, cores: expect.any(Number) });
  });

  it('gives a file that loadModel opens, and with whose weights another run begins', async () => {
    const result = await train(tiny).result;
    const file = result.modelFile();
    const model = await loadModel(file);
    const { weightsSha256 } = result.report;
    expect(model.weightsSha256).toBe(weightsSha256);
    expect(model.architecture).toEqual(result.model.architecture);
    expect(result.modelFile('onnx').length).toBeGreaterThan(result.weights.byteLength);
    const next = await train({ ...tiny, initialWeights: file, steps: 1 }).result;
    expect(next.report.config.initSha256).toBe(weightsSha256);
  });

  it('gives the same weights again, with workers, and on verification', async () => {
    const run = train({ ...tiny, workers: 2 });
    const events: TrainingEvent[] = [];
    for await (const event of run) events.push(event);
    const result = await run.result;
    expect(result.report.weightsSha256).toBe(await hashAlone(tiny));
    expect(result.report.workers.map(({ name }) => name).sort()).toEqual(['local-1', 'local-2']);
    const listening = events.find(({ type }) => type === 'listening');
    expect(listening).toMatchObject({ host: '127.0.0.1', token: expect.any(String) });
    expect(await result.verify()).toEqual({ verified: true });
  });

  it('goes on from a checkpoint with the same weights', async () => {
    const checkpoint = { folder: join(folder, 'checkpoints'), every: { steps: 2 }, resume: true };
    const stopping = new AbortController();
    const onStep = ({ step }: { step: number }): void => {
      if (step === 7) stopping.abort();
    };
    const cut = await train({ ...tiny, checkpoint, onStep, signal: stopping.signal }).result;
    expect([cut.outcome, cut.stoppedBy]).toEqual(['stopped', 'program']);
    expect(cut.report.steps).toBeLessThan(18);
    expect(cut.checkpoint?.step).toBe(cut.report.steps);
    const resumed = await train({ ...tiny, checkpoint }).result;
    expect(resumed.report.resumedAtSteps).toEqual([cut.report.steps]);
    expect(resumed.report.weightsSha256).toBe(await hashAlone(tiny));
  });
});

describe('a run', () => {
  const long: TrainOptions = { ...tiny, epochs: 1_000_000 };

  it('that is stopped before it begins has taken no step', async () => {
    const { outcome, report } = await train({ ...tiny, signal: AbortSignal.abort() }).result;
    expect([outcome, report.steps]).toEqual(['stopped', 0]);
  });

  it('that is stopped on its way ends its loops, and gives what it has', async () => {
    const run = train(long);
    const types = new Set<string>();
    for await (const { type } of run) {
      types.add(type);
      if (type === 'step') void run.stop();
    }
    const { outcome, report } = await run.result;
    expect(outcome).toBe('stopped');
    expect(types).toContain('stopped');
    expect(report.steps).toBeGreaterThan(0);
    expect(report.steps).toBeLessThan(6_000_000);
  });

  it('goes on if its loop ends early', async () => {
    const run = train(tiny);
    for await (const { type } of run) if (type === 'started') break;
    expect((await run.result).outcome).toBe('finished');
  });

  it('that is paused takes no step until it is resumed, and gives the same weights', async () => {
    const run = train({ ...tiny, epochs: 40 });
    const types: string[] = [];
    let pauses = 0;
    for await (const event of run) {
      if (event.type !== 'step') types.push(event.type);
      if (event.type === 'started') run.pause();
      if (event.type === 'pauseRequested') {
        pauses += 1;
        run.resume();
      }
    }
    expect(pauses).toBe(1);
    expect(types.indexOf('resumed')).toBeGreaterThan(types.indexOf('pauseRequested'));
    expect(await hashOf(run)).toBe(await hashAlone({ ...tiny, epochs: 40 }));
  });

  it('waits for its start if it was asked to', async () => {
    const run = train({ ...tiny, listen: { port: 0, waitForStart: true }, workers: 1 });
    const types: string[] = [];
    for await (const { type } of run) {
      if (type !== 'step') types.push(type);
      if (type === 'joined') run.start();
    }
    expect(types).toContain('started');
    expect((await run.result).outcome).toBe('finished');
  });

  it('ends with its scope', async () => {
    let run: ReturnType<typeof train>;
    {
      await using scoped = train(long);
      run = scoped;
      for await (const { type } of scoped) if (type === 'step') break;
    }
    expect((await run.result).outcome).toBe('stopped');
  });

  it('that cannot go on throws to its loop and its result, with what it has', async () => {
    const diverging: TrainOptions = { ...tiny, optimizer: { type: 'sgd', learningRate: 1e30 } };
    const run = train(diverging);
    await expect(async () => {
      for await (const _ of run);
    }).rejects.toMatchObject({ name: 'TrainingError' });
    await expect(run.result).rejects.toMatchObject({
      result: { outcome: 'failed', report: { weightsSha256: expect.any(String) } },
    });
  });

  it('without a server has no addresses', async () => {
    await expect(train(tiny).addresses).rejects.toThrow('expected a run that listens');
  });
});

describe('a failure that nothing handles', () => {
  const program = (rest: string): string =>
    `import { train } from '@lockstep/train'; const run = train({ batch: 0 }); ${rest}`;
  const cwd = fileURLToPath(new URL('../../../apps/coordinator', import.meta.url));
  const run = (rest: string) =>
    spawnSync(process.execPath, ['--input-type=module', '-e', program(rest)], { cwd, encoding: 'utf8' });

  it('ends the process', () => {
    const { status, stderr } = run('');
    expect([status, stderr]).toEqual([1, expect.stringContaining('batch: expected a whole number')]);
  });

  it.each([
    ['a loop', 'try { for await (const _ of run); } catch {}'],
    ['a wait for the result', 'await run.result.catch(() => {});'],
    ['a wait for the addresses', 'await run.addresses.catch(() => {});'],
  ])('is handled by %s', (_what, rest) => {
    expect(run(rest)).toMatchObject({ status: 0, stderr: '' });
  });
});

describe('an option that is wrong', () => {
  const text = join(folder, 'a-file');
  writeFileSync(text, '');
  const noData = 'data: expected a text that is not empty, or { train, test }, got';
  const oneSet = 'an object with samples, count, targets: splitDataset(data) cuts one data set into both';
  const cases: readonly [options: object, message: string][] = [
    [{ data: 7 }, `${noData} 7`],
    [{ data: kindsOfData['a table with classes'].train }, `${noData} ${oneSet}`],
    [{ data: new Uint8Array(9) }, `${noData} a Uint8Array of 9 bytes`],
    [{ augment: ['turn'] }, 'augment: expected names from flip, shift, rotate, zoom, brightness, each once, got'],
    [
      { augment: ['flip'], data: kindsOfData['a table with classes'] },
      'augment: expected pictures, bytes of shape [height, width, channels], got samples of shape [4]',
    ],
    [{ model: 'vast' }, 'model: '],
    [{ initialWeights: new Uint8Array(3) }, 'initialWeights: '],
    [{ initialWeights: new Uint8Array(3), transfer: true }, 'initialWeights: '],
    [{ transfer: true }, 'transfer: requires initialWeights, whose layers it takes'],
    [{ freeze: 2 }, 'freeze: expected fewer than the 2 layers with parameters of tiny, got 2'],
    [{ optimizer: 'adagrad' }, 'optimizer: expected one of sgd, momentum, adam, adamw, rmsprop, or an object'],
    [{ optimizer: { type: 'sgd', learningRate: 0 } }, 'optimizer.learningRate: expected a number above 0, got 0'],
    [{ batch: 0 }, 'batch: expected a whole number from 1 to 1000000, or auto, got 0'],
    [{ batch: '12' }, 'batch: expected a whole number from 1 to 1000000, or auto, got "12"'],
    [{ epochs: 1.5 }, 'epochs: expected a whole number from 1 to 1000000, got 1.5'],
    [{ steps: -1 }, 'steps: expected a whole number of at least 1, got -1'],
    [{ seed: 2 ** 32 }, 'seed: expected a whole number from 0 to 4294967295, got 4294967296'],
    [{ backend: 'abacus' }, 'backend: expected one of auto, cpu'],
    [{ backend: 'reference', threads: 2 }, 'threads: expected 1 with backend reference'],
    [{ threads: 0 }, 'threads: expected a whole number from 1 to 256, got 0'],
    [{ gradients: 'bf16' }, 'gradients: expected one of exact, fp16-exact, got "bf16"'],
    [{ verifyRate: 2 }, 'verifyRate: expected a number from 0 to 1, got 2'],
    [{ workers: -1 }, 'workers: expected a whole number from 0 to 256, got -1'],
    [{ colocate: 1 }, 'colocate: expected true or false, got 1'],
    [{ colocate: true }, 'colocate: requires workers or listen, because a single process computes anyway'],
    [
      { colocate: true, workers: 1, backend: 'reference' },
      "backend: expected auto or cpu with colocate, which computes with the coordinator's own weights, got reference",
    ],
    [{ listen: 7070 }, 'listen: expected true or false, or an object'],
    [{ listen: { port: 65_536 } }, 'listen.port: expected a whole number from 0 to 65535, got 65536'],
    [{ listen: { path: '/here' } }, 'listen.path: requires listen.server'],
    [
      { listen: { server: createServer(), port: 1 } },
      'listen.port: cannot be combined with listen.server, which has its own',
    ],
    [{ optimizer: { type: 'sgd', beta1: 0.5 } }, 'optimizer'],
    [{ optimizer: { type: 'sgd', beta: 0.5 } }, 'optimizer.beta: unknown option; the options are learningRate, type'],
    [{ optimizer: { type: 'adam', beta1: 2 } }, 'optimizer'],
    [{ listen: { token: '' } }, 'listen.token: expected one line of 1 to 256 printable characters, got ""'],
    [{ listen: { tls: { cert: 'x', key: 'y' } } }, 'listen.tls.cert: expected a PEM certificate'],
    // An allowed page would be refused if its origin is not spelled as browsers spell it.
    ...[
      'page.example',
      'https://Page.example',
      'https://page.example/',
      'https://page.example:443',
      'https://me@page.example',
      'ftp://page.example',
      '*',
    ].map((one): [object, string] => [
      { listen: { allowOrigins: ['https://page.example', one] } },
      'listen.allowOrigins: expected a list of origins like https://page.example',
    ]),
    [{ checkpoint: { folder: text } }, 'checkpoint.folder: expected a folder'],
    [{ checkpoint: { resume: true } }, 'checkpoint.folder: expected a folder for the checkpoints, got none'],
    [{ data: { ...tiny.data, test: { ...tiny.data.test, targets: {} } } }, 'data: the test set: expected targets with'],
    [{ checkpoint: { folder, every: { hours: 1 } } }, 'checkpoint.every: expected { steps } or { minutes }'],
    [{ signal: true }, 'signal: expected an AbortSignal, got true'],
    [{ onStep: 1 }, 'onStep: expected a function, got 1'],
    [{ learningRate: 1 }, 'learningRate: unknown option; the options are epochs, steps'],
  ];

  it.each(cases)('%o is one sentence, and nothing begins', async (wrong, message) => {
    const error = await train({ ...tiny, ...wrong }).result.then(
      () => new Error('the run took place'),
      (reason: Error) => reason,
    );
    expect(error).toBeInstanceOf(ConfigurationError);
    expect(error.message.startsWith(message), error.message).toBe(true);
    expect(error.message).not.toContain('\n');
  });

  it('leaves no folder of checkpoints behind', async () => {
    const checkpoint = { folder: join(folder, 'of a refused run/checkpoints') };
    await expect(train({ ...tiny, checkpoint, freeze: 2 }).result).rejects.toThrow('freeze: ');
    expect(existsSync(join(folder, 'of a refused run'))).toBe(false);
    await train({ ...tiny, checkpoint, epochs: 1 }).result;
    expect(existsSync(checkpoint.folder)).toBe(true);
  });

  it('is one sentence for options that are no object', async () => {
    await expect(train(3 as never).result).rejects.toThrow('options: expected an object, got 3');
  });
});

describe('a path that cannot be read', () => {
  it.each([
    ['of nothing', join(folder, 'nowhere')],
    ['with characters that would steer a terminal', join(folder, 'gnp.\u202eexe\x1b[2J')],
  ])('%s is the same error in a run as in openDataset', async (_, path) => {
    const [inRun, alone] = await Promise.all(
      [train({ ...tiny, data: path }).result, openDataset(path)].map((result) =>
        result.catch((error: unknown) => error),
      ),
    );
    expect(inRun).toBeInstanceOf(DataError);
    expect(inRun).toEqual(alone);
    expect((inRun as Error).message).toMatch(/no such file or folder$/);
    expect((inRun as Error).message).not.toMatch(/[\p{Cc}\u202e]/u);
  });

  it('of a model is a FileError', async () => {
    await expect(loadModel(join(folder, 'nowhere'))).rejects.toBeInstanceOf(FileError);
  });
});
