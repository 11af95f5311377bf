import { symlinkSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { temporaryFolder } from '../../../packages/train/test/folder.ts';
import { tinyFiles, writeFolder } from '../../../packages/train/test/tiny-data.ts';
import { argumentsIn, canListProcesses, expectRefused, type Program, startCoordinator } from './processes.ts';

const folder = temporaryFolder();
const path = (name: string): string => join(folder, name);
let tiny = '';
const small = (): string[] => ['--data', tiny, '--batch', '32'];

const layers = [{ type: 'dense', units: 10 }];
const models = {
  'no-json.json': '{ "name": "x", ',
  'horse.json': '{ "horse": 2 }',
  'wrong-input.json': JSON.stringify({ name: 'x', input: [100], layers }),
  'context-64.json': JSON.stringify({
    ...{ name: 'x', input: [64] },
    layers: [{ type: 'embedding', tokens: 11, width: 8 }, { type: 'tiedOutput' }],
  }),
  'wrong-outputs.json': JSON.stringify({ name: 'x', input: [784], layers: [{ type: 'dense', units: 7 }] }),
};

const texts = {
  'prose.txt': 'the whale and the sea\n'.repeat(20),
  'reviews.csv': `review,good\n${Array.from({ length: 300 }, (_, row) => `one bad film ${row},${row % 2}`).join('\n')}`,
};

beforeAll(async () => {
  for (const [name, content] of Object.entries({ ...models, ...texts })) writeFileSync(path(name), content);
  const files = tinyFiles();
  tiny = await writeFolder(folder, 'tiny', files);
  const images = 'train-images-idx3-ubyte';
  await writeFolder(folder, 'truncated', new Map([...files, [images, files.get(images)!.subarray(0, 5000)]]));
  symlinkSync('out', path('link'));
});

/** Expects one line on standard error, no stack trace, and no process left behind. */
async function expectFailure(program: Program, code: number, message: RegExp): Promise<string> {
  const ended = await program.ended;
  expect(ended.stderr).toMatch(/^lockstep: [^\n]+\n$/);
  expect(ended.stderr).toMatch(message);
  expect(ended.stderr).not.toMatch(/\n\s+at /);
  expect(ended.code).toBe(code);
  if (canListProcesses) expect(program.offspring()).toEqual([]);
  return ended.stdout;
}

describe('an impossible request', () => {
  it.each<[line: string | string[], message: RegExp]>([
    [['--token', 'x'.repeat(257)], /--token: expected one line of 1 to 256 printable characters, got x{39}…x{39}\n/],
    ['--class-weights {none}', /--class-weights: .*none: no such file or folder$/m],
    ['--class-weights {no-json.json}', /--class-weights .*no-json\.json: .*JSON/],
    ['--class-weights {horse.json}', /--class-weights: expected the classes "0", "1", .*"9", got "horse"$/m],
    ['--batch 0', /--batch: expected a whole number from 1 to \d+, or auto, got 0/],
    ['--batch 60001', /--batch: expected at most the 60000 samples of the training set, got 60001/],
    [
      '--single --batch auto',
      /--batch auto: requires --expect, the number of workers to expect, or --wait-for-start, to count the workers at the start$/m,
    ],
    ['--lr -1', /--lr: expected a number above 0, got -1/],
    ['--epochs 0', /--epochs: expected a whole number from 1 to \d+, got 0/],
    ['--optimizer x', /--optimizer: expected one of sgd, .*, got x/],
    ['--backend x', /--backend: expected one of auto, .*, got x/],
    ['--seed 4294967296', /--seed: expected a whole number from 0 to 4294967295, got 4294967296/],
    [
      '--gradients fp16-exact --backend webgpu',
      /--backend: expected auto, cpu, reference with --gradients fp16-exact, which promises equal bits on any workers, got webgpu/,
    ],
    ['--threads 2 --backend tfjs-node', /--threads: expected 1 with --backend tfjs-node.*, got 2/],
    ['--threads 2 --backend reference', /--threads: expected 1 with --backend reference, which uses one thread, got 2/],
    [
      '--model nosuch',
      /--model nosuch: expected mlp, cnn, cnn-large, gpt, gpt-nano, names, or JSON with a list of layers, got "nosuch"/,
    ],
    ['--model {missing.json}', /--model: .*missing\.json: no such file or folder/],
    ['--model {no-json.json}', /--model .*no-json\.json: cannot be read as JSON: /],
    ['--model {wrong-input.json}', /--model .*: expected an input of 784 values, .*got 100/],
    ['--model {wrong-outputs.json}', /--model .*: expected 10 outputs, one for each class, got 7/],
    ['--data {nowhere}', /--data: .*nowhere: no such file or folder/],
    ['--data {no-json.json}', /--data: no-json\.json: line 1: expected a JSON object, got /],
    [
      '--data {no-json.json} --gray',
      /--data: no-json\.json: the option gray does not apply to a file of rows: omit it/,
    ],
    ['--size 32', /--size: expected a size like 32x32, up to 4096x4096, got 32/],
    [
      '--data {reviews.csv} --vocabulary bytes',
      /--data: reviews\.csv: expected a number of words as --vocabulary for the texts of a table, got "bytes"$/m,
    ],
    [
      '--data {prose.txt} --context 16 --model {context-64.json}',
      /--model .*: expected an input of 16 values, as the samples have, got 64$/m,
    ],
    [
      '--data {prose.txt} --prompt É',
      /--prompt: text: expected characters that the model knows, got "É" as character 1/,
    ],
    [
      '--data {prose.txt} --model gpt-nano --freeze 13',
      /--freeze: expected fewer than the 13 layers with parameters of gpt-nano, got 13/,
    ],
    ['--port 99999', /--port: expected a whole number from 0 to 65535, got 99999/],
    [
      '--save {nowhere/m.safetensors}',
      /--save: .*nowhere\/m\.safetensors: cannot use the folder .*nowhere: no such file or folder/,
    ],
    [
      '--report {nowhere/r.json}',
      /--report: .*nowhere\/r\.json: cannot use the folder .*nowhere: no such file or folder/,
    ],
    ['--addresses {nowhere/a}', /--addresses: .*nowhere\/a: cannot use the folder .*nowhere: no such file or folder/],
    ['--fleet a:4222', /--fleet: expected addresses like nats:\/\/127\.0\.0\.1:4222, separated by commas/],
    ['--colocate --backend webgpu', /--backend: expected auto or cpu with --colocate, .*, got webgpu/],
    ['--checkpoint-every 5s', /--checkpoint-every: expected steps like 50, or minutes like 5m, got 5s/],
    ['--checkpoint {no-json.json}', /--checkpoint: expected a folder that can be created, .*got .*no-json\.json/],
    ['--checkpoint /proc/x', /--checkpoint: expected a folder that can be created, .*got \/proc\/x/],
    ['--checkpoint {no-json.json/sub}', /--checkpoint: expected a folder that can be created, .*got .*sub/],
    [['--checkpoint', 'x'.repeat(5000)], /--checkpoint: expected a folder that can be created/],
    ['--report {}', /--report: .*: expected a file, got a folder/],
    ['--save {out} --report {./link}', /--report: expected a file that no other option uses, but --save writes /],
    [
      '--data {no-json.json} --save {no-json.json}',
      /--save: expected a file that no other option uses, but --data reads /,
    ],
    [['--save', path('x'.repeat(5_000))], /^lockstep: --save: .{1,300}: the name is too long$/m],
    [['--data', path('x'.repeat(5_000))], /^lockstep: --data: .{1,300}: the name is too long$/m],
    ['--replicas 0', /--replicas: expected a whole number from 1 to 1024, got 0/],
    ['--inner-steps x', /--inner-steps: expected a whole number from 1 to \d+, got x/],
    ['--inner-momentum 1 --replicas 2', /--inner-momentum: expected a number from 0 to below 1, got 1/],
    [
      '--replicas 800',
      /--inner-steps: expected a round of at most the 60000 samples of the training set, got 800 replicas x 50 inner steps x 16 samples = 640000/,
    ],
  ])('%j ends with one line, exit code 2', async (line, message) => {
    await expectRefused('coordinator', ['start', ...argumentsIn(folder, line)], message);
  });

  it.each([
    ['an option', ['--frobnicate'], /--frobnicate: unknown option/],
    [
      'data',
      ['--data', path('truncated')],
      /--data: train-images-idx3-ubyte: truncated: expected 64 x 28 x 28 .*, got 4984/,
    ],
  ])('ends the process as well: %s', async (_what, args, message) => {
    expect(await expectFailure(startCoordinator('start', args), 2, message)).toBe('');
  });

  it.each([
    ['203.0.113.1', /--host 203\.0\.113\.1: expected an address of this machine, got another one/],
    ['fe80::1%eth0', /--host fe80::1%eth0: expected an address without a zone, which no join address can contain/],
  ])('to listen at %s ends with one line', async (host, message) => {
    await expectFailure(startCoordinator('start', [...small(), '--host', host, '--port', '0']), 2, message);
  });
});

describe('a port in use', () => {
  let taken: Server;
  let port = 0;

  const occupy = (wanted: number): Promise<Server> =>
    new Promise((resolve, reject) => {
      const server = createServer();
      server.once('error', reject).listen({ host: '127.0.0.1', port: wanted }, () => resolve(server));
    });

  beforeAll(async () => {
    taken = await occupy(0);
    port = (taken.address() as { port: number }).port;
  });

  afterAll(() => void taken.close());

  it('ends the program if it was asked for', async () => {
    const program = startCoordinator('start', [...small(), '--port', `${port}`]);
    await expectFailure(program, 2, new RegExp(`--port ${port}: expected a free port, but this one is in use`));
  });

  it('is replaced by the next free one if it is the default, with a line that says so', async () => {
    // The port may be in use already.
    const occupied = await occupy(7070).catch(() => undefined);
    try {
      const program = startCoordinator('start', [...small(), '--steps', '2']);
      const ended = await program.ended;
      expect(ended).toMatchObject({ code: 0, stderr: '' });
      const next = ended.stdout.match(/^Port 7070 is in use, listening on (\d+)\.$/m);
      expect(Number(next?.[1])).toBeGreaterThan(7070);
      expect(ended.stdout).toContain(`--url ws://127.0.0.1:${next?.[1]}`);
    } finally {
      occupied?.close();
    }
  });
});

describe('a run in progress', () => {
  it.each([
    ['in this process', ['--single'], ''],
    ['over sockets', ['--workers', '2', '--port', '0'], ', and the coordinator finds the same'],
  ])('whose loss overflows names the samples, exit code 1, %s', async (_where, args, agreed) => {
    const divergent = ['--epochs', '20', '--optimizer', 'sgd', '--lr', '1e38'];
    const program = startCoordinator('start', [...small(), ...divergent, ...args]);
    const stdout = await expectFailure(
      program,
      1,
      new RegExp(
        `step \\d+: the gradient of samples \\d+ to \\d+ of epoch \\d+ is not finite${agreed}: .*smaller learning rate`,
      ),
    );
    if (agreed === '') expect(stdout).not.toMatch(/diverged|rejected/);
    expect(stdout).toContain('was not saved; use --save');
  });
});
