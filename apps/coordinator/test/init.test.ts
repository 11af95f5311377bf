/** `--init`: a run starts from the weights of a file. `one-process.full.test.ts` has it with several workers. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { initialize, parseModel, readSafetensors, resolveModel, writeModelFile, writeSafetensors } from '@lockstep/nn';
import type { Report } from '@lockstep/train';
import { beforeAll, describe, expect, it } from 'vitest';
import { temporaryFolder } from '../../../packages/train/test/folder.ts';
import { tinyArgs } from '../../../packages/train/test/tiny-data.ts';
import { expectRefused, runToReport } from './processes.ts';

const folder = temporaryFolder();
const place = (name: string): string => join(folder, name);
const trained = place('trained.safetensors');
const mlp = resolveModel('mlp');
const steps = ['--steps', '5'];
let tiny: string[] = [];
let first: Report;

const saw = 'the whale and the sea and a sailor saw it\n';
const prose = place('prose.txt');
const textModel = place('text.safetensors');
const runText = (...args: string[]) =>
  runToReport(folder, ['--data', prose, '--model', 'gpt-nano', '--single', ...steps, ...args]);

const run = async (...args: string[]) => runToReport(folder, [...tiny, ...steps, ...args]);

const dense = (units: number) => ({ type: 'dense', units });

function tensorsOf(file: string): Readonly<Record<string, Float32Array>> {
  const { tensors } = readSafetensors(readFileSync(file));
  return Object.fromEntries(tensors.map(({ name, values }) => [name, values]));
}

beforeAll(async () => {
  tiny = await tinyArgs(folder);
  writeFileSync(place('drawn'), writeModelFile(mlp, initialize(mlp, 1)));
  writeFileSync(prose, saw.repeat(20));
  await runText('--save', textModel);
  first = (await run('--single', '--save', trained)).report;
});

describe('--init', () => {
  it('goes on from the weights of a file, and the report says what they were', async () => {
    const { stdout, report: single } = await run('--single', '--verify', '--init', trained);
    expect(stdout).toContain(`101,770 parameters, from weights ${first.weightsSha256.slice(0, 16)}…:`);
    expect(single.config.initSha256).toBe(first.weightsSha256);
    expect(single.initialLoss).toBeLessThan(first.initialLoss!);
    expect(single.weightsSha256).not.toBe(first.weightsSha256);
  });

  it('of the weights that the seed draws is the run without it', async () => {
    const { report } = await run('--single', '--init', place('drawn'));
    expect(report.weightsSha256).toBe(first.weightsSha256);
  });

  it('is part of what a checkpoint must fit', async () => {
    const args = ['--single', '--checkpoint', place('checkpoints')];
    await run(...args, '--init', trained);
    const again = await run(...args, '--init', trained, '--resume');
    expect(again.stdout).toContain('holds the end of this run: all steps have been taken.');
    const without = await run(...args, '--resume');
    expect(without.stdout).toMatch(/Skipped .*: it belongs to another run: expected initSha256 none, got [0-9a-f]+/);
    expect(without.report.weightsSha256).toBe(first.weightsSha256);
    const other = await run(...args, '--init', place('drawn'), '--resume');
    expect(other.stdout).toMatch(/Skipped .*: expected initSha256 [0-9a-f]+…, got none\./);
  });
});

describe('--transfer and --freeze', () => {
  it('take the layers that fit, draw the others, and keep the frozen ones', async () => {
    const layers = [dense(128), { type: 'relu' }, dense(10), dense(10)];
    writeFileSync(place('wide.json'), JSON.stringify({ name: 'wide', input: [784], layers }));
    const args = ['--init', trained, '--transfer', '--model', place('wide.json'), '--freeze', '1'];
    const { stdout, report } = await run('--single', '--verify', ...args, '--save', place('moved.safetensors'));
    expect(stdout).toContain('newly initialized: 3 dense), the first layer frozen: ');
    expect(report.config).toMatchObject({ transfer: { taken: ['0 dense', '2 dense'], drawn: ['3 dense'] }, freeze: 1 });
    const [before, after] = [tensorsOf(trained), tensorsOf(place('moved.safetensors'))];
    for (const name of ['0.weight', '0.bias']) expect(after[name]).toEqual(before[name]);
    expect(after['2.weight']).not.toEqual(before['2.weight']);
  });

  it('take the model of the file, with the outputs of the data', async () => {
    const iris = fileURLToPath(new URL('../../../docs/iris.csv', import.meta.url));
    const layers = [dense(6), { type: 'relu' }, dense(5)];
    const given = parseModel({ name: 'flowers', input: [4], layers });
    writeFileSync(place('flowers'), writeModelFile(given, initialize(given, 1)));
    const args = ['--data', iris, '--init', place('flowers'), '--transfer', ...steps];
    const { report } = await runToReport(folder, ['--single', ...args]);
    expect(report.model).toEqual({ name: 'flowers', parameters: 4 * 6 + 6 + 6 * 3 + 3 });
    expect(report.config.transfer).toEqual({ taken: ['0 dense'], drawn: ['2 dense'] });
  });

  it('move a text model to a longer context: new positions, and the frozen embedding is kept', async () => {
    const after = place('longer.safetensors');
    const args = ['--context', '32', '--init', textModel, '--transfer', '--freeze', '1', '--verify', '--save', after];
    const { report } = await runText(...args);
    expect(report.config.transfer!.drawn).toEqual(['1 positions']);
    const [old, now] = [tensorsOf(textModel), tensorsOf(after)];
    // The output is tied to the embedding.
    expect(now['transformer.wte.weight']).toEqual(old['transformer.wte.weight']);
    expect(now['transformer.wpe.weight']).toHaveLength(2 * old['transformer.wpe.weight']!.length);
    expect(now['transformer.ln_f.bias']).not.toEqual(old['transformer.ln_f.bias']);
  });

  it('say what is wrong', async () => {
    const wrong = (args: string[], message: RegExp) =>
      expectRefused('coordinator', ['start', ...tiny, '--single', ...args], message);
    await wrong(['--transfer'], /^lockstep: --transfer: requires --init FILE, whose layers it takes\n$/);
    await wrong(
      ['--init', trained, '--transfer', '--model', 'cnn'],
      /^lockstep: --init .*: expected a layer whose shape fits the model, got none\n$/,
    );
    await wrong(
      ['--freeze', '2'],
      /^lockstep: --freeze: expected fewer than the 2 layers with parameters of mlp, got 2\n$/,
    );
  });
});

describe('a file that --init cannot take ends with one sentence, exit code 2', () => {
  const wide = parseModel({ ...mlp, layers: [dense(64), { type: 'relu' }, dense(10)] });
  const cnn = resolveModel('cnn');
  const nan = initialize(mlp, 1).fill(Number.NaN, 5, 6);
  it.each<[what: string, bytes: Uint8Array, message: RegExp]>([
    [
      'another model',
      writeModelFile(cnn, initialize(cnn, 1)),
      /model file: expected an input of \[784\], got \[28, 28, 1\]/,
    ],
    [
      'other sizes',
      writeModelFile(wide, initialize(wide, 1)),
      /model file: expected layers\[0\] \{"type":"dense","units":128\}, got \{"type":"dense","units":64\}/,
    ],
    [
      'other sizes and no layer list',
      writeSafetensors({ tensors: [{ name: '0.weight', shape: [1], values: new Float32Array(1) }], metadata: {} }),
      /model mlp: 0\.weight: expected \[128, 784\], got \[1\]/,
    ],
    ['weights that are not finite', writeModelFile(mlp, nan), /expected finite weights, got NaN/],
    ['half a file', writeModelFile(mlp, nan).subarray(0, 5_000), /safetensors: expected \d+ bytes of data, got \d+/],
  ])('%s', async (what, bytes, message) => {
    const file = place(what);
    writeFileSync(file, bytes);
    await expectRefused(
      'coordinator',
      ['start', ...tiny, '--init', file],
      new RegExp(`^lockstep: --init .*${message.source}`),
    );
  });

  it.each<[what: string, text: string, args: string[], message: RegExp]>([
    ['fewer characters', 'the whale and the sea\n', [], /model file: expected a vocabulary of 11 tokens, got 14/],
    ['other characters', saw.replaceAll('d', 'b'), [], /whose token 3 is "b", as in the text, got "d"/],
    ['a shorter context', saw, ['--context', '8'], /model file: expected a context of 8 tokens, got 16/],
    ['a context longer than the positions', saw, ['--context', '32'], /expected a context of 32 tokens, got 16/],
  ])('weights of another text, for one with %s: no file is written', async (what, text, args, message) => {
    const [data, report] = [place(`${what}.txt`), place('kept.json')];
    writeFileSync(data, text.repeat(20));
    writeFileSync(report, 'kept');
    const command = ['start', '--data', data, '--model', 'gpt-nano', ...args, '--init', textModel, '--report', report];
    await expectRefused('coordinator', command, new RegExp(`^lockstep: --init .*${message.source}`));
    expect(readFileSync(report, 'utf8')).toBe('kept');
  });

  it('nothing there', async () => {
    const message = /^lockstep: --init: .*none: no such file or folder\n$/;
    await expectRefused('coordinator', ['start', ...tiny, '--init', place('none')], message);
  });
});
