/** `npm run evaluate`: its figures equal the run's, and it refuses bad input in one sentence. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { temporaryFolder } from '../../../packages/train/test/folder.ts';
import { tinyArgs, tinyFiles, writeFolder } from '../../../packages/train/test/tiny-data.ts';
import { argumentsIn, runToReport, startModelCommand } from '../../coordinator/test/processes.ts';
import { evaluate, evaluationText } from '../src/evaluate.ts';
import { barsFile, expectRefusal, printed } from './bars.ts';

const folder = temporaryFolder();
const place = (name: string): string => join(folder, name);
let data: string[] = [];

beforeAll(async () => {
  data = (await tinyArgs(folder)).slice(0, 2);
  writeFileSync(place('bars'), barsFile());
});

describe('npm run evaluate', () => {
  it('finds the loss and accuracy of the run that saved the model, to the bit', async () => {
    const save = ['--single', '--batch', '32', '--steps', '4', '--save', place('trained')];
    const { report } = await runToReport(folder, [...data, ...save]);
    const program = startModelCommand(['evaluate', '--load', place('trained'), ...data, '--report', place('e.json')]);
    const { code, stdout, stderr } = await program.ended;
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const { testLoss: loss, testAccuracy: accuracy } = report.epochs.at(-1)!;
    const written = JSON.parse(readFileSync(place('e.json'), 'utf8'));
    expect(written).toMatchObject({
      loss,
      accuracy,
      samples: 16,
      weightsSha256: report.weightsSha256,
      model: report.model,
    });
    expect(written.confusion.flat().reduce((sum: number, count: number) => sum + count, 0)).toBe(16);
    expect(stdout).toContain(
      `Model mlp, 101,770 parameters, weights ${report.weightsSha256.slice(0, 16)}…: 16 test samples`,
    );
    expect(stdout).toContain(`loss ${loss.toFixed(4)}, accuracy ${(100 * accuracy!).toFixed(2)} %: `);
  });

  it('names no error where there is none', async () => {
    const { code, stdout } = await printed(() => evaluate(['--load', place('bars'), ...data]));
    expect(code).toBe(0);
    expect(stdout).toMatch(/\nloss [\d.e-]+, accuracy 100\.00 %: 0 of 16 wrong\n\nclass .*\nmacro average .*\n$/s);
  });

  it('names the most frequent errors, with their part of the class', () => {
    const confusion = [
      [8, 2, 0],
      [1, 9, 0],
      [0, 3, 1_200],
    ];
    const quality = { loss: 0.5, accuracy: 1217 / 1223, r2: null, rmse: null, metrics: null };
    const measured = { ...quality, confusion, topErrors: [] };
    const text = evaluationText(measured, ['cat', 'dog', 'cow']);
    expect(text.split('\n')).toEqual([
      'loss 0.5000, accuracy 99.51 %: 6 of 1,223 wrong',
      '',
      'most frequent errors',
      '  class  predicted as  samples  of its class',
      '  cow    dog                 3        0.25 %',
      '  cat    dog                 2       20.00 %',
      '  dog    cat                 1       10.00 %',
    ]);
  });

  it('takes the layers of a file that does not say them from --model', async () => {
    const model = { name: 'bars', input: [784], layers: [{ type: 'dense', units: 10 }] };
    writeFileSync(place('bars.json'), JSON.stringify(model));
    const { code } = await printed(() => evaluate(['--load', place('bars'), '--model', place('bars.json'), ...data]));
    expect(code).toBe(0);
    await expectRefusal(() => evaluate(['--load', place('bars'), '--model', 'mlp', ...data]), /expected layers\[0\]/);
  });

  it.each<[line: string, message: RegExp]>([
    ['', /^--load: expected FILE\.safetensors, got none$/],
    ['--load {none}', /^--load: .*none: no such file or folder$/],
    ['--load {}', /^--load: .*: expected a regular file, got a folder$/],
    ['--load {tiny/t10k-labels-idx1-ubyte}', /^--load .*: expected a safetensors file, got an IDX file$/],
    ['--load {bars} --report {bars}', /^--report: expected a file that no other option uses, but --load reads .*bars$/],
    ['--load {bars} --data {none}', /^--data: .*none: no such file or folder$/],
    ['--load {bars} --label x', /^--label: requires --data PATH, because it says how to read the data$/],
    ['--load {bars} --model nosuch', /^--model nosuch: .*expected/],
    ['--load {bars} --report {}', /^--report: .*: expected a file, got a folder$/],
    ['--load {bars} x.png', /^x\.png: expected an option that begins with --$/],
  ])('%j is refused', async (line, message) => {
    await expectRefusal(() => evaluate(argumentsIn(folder, line)), message);
  });

  it('refuses images of another size', async () => {
    const files = tinyFiles();
    for (const name of ['train-images-idx3-ubyte', 't10k-images-idx3-ubyte']) {
      const bytes = Buffer.from(files.get(name)!);
      bytes.writeUInt32BE(14, 8);
      bytes.writeUInt32BE(56, 12);
      files.set(name, bytes);
    }
    const other = await writeFolder(folder, 'other', files);
    const message =
      /^--data .*other: expected samples of shape \[28, 28, 1\], the input of the model, got \[14, 56, 1\]$/;
    await expectRefusal(() => evaluate(['--load', place('bars'), '--data', other]), message);
  });
});
