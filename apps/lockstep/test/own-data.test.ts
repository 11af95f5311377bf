/** Models of tables and of pictures, used on files like those that they were trained on. */

import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { classField, scaledField, valueField } from '@lockstep/data';
import { describeModel, type ModelDescription, parameterCount, parseModel, writeModelFile } from '@lockstep/nn';
import { beforeAll, describe, expect, it } from 'vitest';
import { temporaryFolder } from '../../../packages/train/test/folder.ts';
import { evaluate } from '../src/evaluate.ts';
import { predictFiles } from '../src/predict.ts';
import { expectRefusal, printed } from './bars.ts';

const folder = temporaryFolder();
const place = (name: string): string => join(folder, name);
const origin = { lockstep: '0.1.0', seed: 1, steps: 0, weightsSha256: '' };

/** One dense layer with these weights [inputs, outputs], and no bias. */
function save(name: string, weights: readonly number[], description: Omit<ModelDescription, 'model'>): void {
  const inputs = description.samples.shape.reduce((size, length) => size * length, 1);
  const units = description.targets.names.length;
  const model = parseModel({ name: 'one', input: [inputs], layers: [{ type: 'dense', units }] });
  const all = new Float32Array(parameterCount(model));
  all.set(weights);
  const { weightsSha256: _, ...said } = describeModel(description, origin);
  writeFileSync(place(name), writeModelFile(model, all, said));
}

const columns = [
  { type: 'number', name: 'size', mean: 10, deviation: 2 },
  { type: 'category', name: 'color', categories: ['blue', 'red'] },
] as const;

beforeAll(() => {
  const rows = { samples: valueField([3]), reading: { type: 'rows', columns } } as const;
  // The class is large if (size - 10) / 2, minus 1 for blue and plus 1 for red, is above 0.
  const scores = [0, 1, 0, -1, 0, 1];
  save('classes', scores, { ...rows, targets: { ...classField, names: ['small', 'large'] } });
  const named = { ...rows.reading, label: 'kind' } as const;
  const kinds = { ...classField, names: ['small', 'large'] };
  const [size, color] = columns;
  const filled = [
    { ...size, missing: 12 },
    { ...color, missing: 'red' },
  ] as const;
  save('labeled', scores, { ...rows, reading: named, targets: kinds });
  save('dropping', scores, { ...rows, reading: { ...named, missing: 'drop' }, targets: kinds });
  save('filled', scores, { ...rows, reading: { ...named, columns: filled }, targets: kinds });
  save('values', [2, 30, 40], { ...rows, targets: { ...valueField([1]), names: ['price'] } });
  const picture = {
    samples: scaledField([4, 4, 3]),
    reading: { type: 'pictures', fit: 'cover' },
  } as const;
  save('pictures', [], { ...picture, targets: { ...classField, names: ['cat', 'dog'] } });
  const standardization = { mean: 250_000, deviation: 80_000 };
  save('prices', [0.5, 0, 1], { ...rows, targets: { ...valueField([1]), names: ['price'], standardization } });
  writeFileSync(place('x.csv'), 'id;color;size\n1;red;9,5\n2;blue;9,5\n\n3;blue;16\n');
  writeFileSync(place('labeled.csv'), `size,color,kind\n${'9.5,red,large\n16,blue,small\n16,blue,small\n'.repeat(4)}`);
  writeFileSync(place('priced.jsonl'), '{"size":12,"color":"red","price":41}\n{"price":0,"color":"blue","size":10}\n');
  writeFileSync(
    place('wide.png'),
    readFileSync(new URL('../../../packages/data/goldens/color-6x4.png', import.meta.url)),
  );
});

describe('a model of tables', () => {
  it('predicts the class of each row, scaled as in training, columns in any order', async () => {
    const { stdout } = await printed(() => predictFiles(['--load', place('classes'), place('x.csv'), '--json']));
    const results = JSON.parse(stdout) as { file: string; class: string; scores: number[] }[];
    expect(results.map(({ file, class: name }) => [file, name])).toEqual([
      [`${place('x.csv')}, line 2`, 'large'],
      [`${place('x.csv')}, line 3`, 'small'],
      [`${place('x.csv')}, line 5`, 'large'],
    ]);
    expect(results.map(({ scores }) => scores)).toEqual([
      [0, 0.75],
      [0, -1.25],
      [0, 2],
    ]);
  });

  it('writes predictions with the columns that it does not see, as they are in the file', async () => {
    const ids = 'Id,color,size,note\n007,red,9.5,"a, b"\n12345678901234567890,blue,9.5,\n1.50,blue,16," c"\n';
    writeFileSync(place('test.csv'), ids);
    const out = place('answers.csv');
    const { stdout } = await printed(() =>
      predictFiles(['--load', place('labeled'), place('test.csv'), '--out', out, '--probabilities']),
    );
    expect(stdout).toBe(`3 predictions written to ${out}\n`);
    const [header, ...rows] = readFileSync(out, 'utf8').trimEnd().split('\n');
    expect(header).toBe('Id,note,kind,probability small,probability large');
    const begins = ['007,"a, b",large,0.32', '12345678901234567890,,small,0.77', '1.5,c,large,0.11'];
    expect(rows.map((row, index) => row.startsWith(begins[index]!))).toEqual([true, true, true]);
    const again = await printed(() => predictFiles(['--load', place('labeled'), out, '--out', out]).catch(() => 2));
    expect(again.stdout).toBe('');
    writeFileSync(place('known.csv'), 'kind,color,size\nsmall,red,9.5\n');
    await printed(() => predictFiles(['--load', place('labeled'), place('known.csv'), '--out', out]));
    expect(readFileSync(out, 'utf8')).toBe('kind,predicted kind\nsmall,large\n');
    await printed(() => predictFiles(['--load', place('values'), place('priced.jsonl'), '--out', out]));
    expect(readFileSync(out, 'utf8')).toBe('price,predicted price\n41,42\n0,30\n');
    await printed(() => predictFiles(['--load', place('pictures'), place('wide.png'), '--out', out]));
    expect(readFileSync(out, 'utf8')).toBe(`file,class\n${place('wide.png')},cat\n`);
  });

  it('fills missing values in, or leaves such rows out of an evaluation and refuses to predict them', async () => {
    writeFileSync(
      place('gaps.csv'),
      `size,color,kind\n${'NA,red,large\n16,,small\n16,blue,small\n9,red,large\n'.repeat(4)}`,
    );
    const args = (name: string) => ['--load', place(name), '--data', place('gaps.csv'), '--all'];
    expect((await printed(() => evaluate(args('filled')))).stdout).toContain('16 samples, 3 values each');
    expect((await printed(() => evaluate(args('dropping')))).stdout).toContain('8 samples, 3 values each');
    const load = (name: string) => ['--load', place(name), place('gaps.csv'), '--json'];
    const { stdout } = await printed(() => predictFiles(load('filled')));
    // A missing size is 12, and a missing color is red.
    const scores = (JSON.parse(stdout) as { scores: number[] }[]).slice(0, 2).map(({ scores }) => scores);
    expect(scores).toEqual([
      [0, 2],
      [0, 4],
    ]);
    await expectRefusal(
      () => predictFiles(load('dropping')),
      /\/gaps\.csv: line 2, column size: expected a finite number, got "NA"$/,
    );
    await expectRefusal(
      () => evaluate(args('labeled')),
      /^--data: gaps\.csv: expected no missing values, got some in size \(4 of 16 rows\), color \(4\): fill/,
    );
  });

  it('predicts values, a line for each row', async () => {
    const { stdout } = await printed(() => predictFiles(['--load', place('values'), place('priced.jsonl')]));
    expect(stdout).toBe(`${place('priced.jsonl')}, line 1: price 42\n${place('priced.jsonl')}, line 2: price 30\n`);
  });

  it('predicts values in the unit of those that it learned, and is measured in it', async () => {
    writeFileSync(place('prices.csv'), `size,color,price\n${'12,red,370000\n10,blue,290000\n'.repeat(20)}`);
    const { stdout } = await printed(() => predictFiles(['--load', place('prices'), place('priced.jsonl'), '--json']));
    const results = JSON.parse(stdout) as { values: { price: number } }[];
    expect(results.map(({ values }) => values.price)).toEqual([370_000, 250_000]);
    const report = place('report.json');
    const args = ['--load', place('prices'), '--data', place('prices.csv'), '--report', report];
    const measured = await printed(() => evaluate(args));
    // Blue rows are off by half a standard deviation, red ones by nothing.
    const { loss, rmse, samples } = JSON.parse(readFileSync(report, 'utf8')) as Record<string, number>;
    const blue = Math.round((loss! * samples!) / 0.25);
    expect(blue).toBeGreaterThan(0);
    expect(loss).toBeCloseTo((0.25 * blue) / samples!, 6);
    expect(rmse).toBeCloseTo(40_000 * Math.sqrt(blue / samples!), 1);
    expect(measured.stdout).toContain(`RMSE ${Number(rmse!.toPrecision(4)).toLocaleString('en-US')}`);
  });

  it('is measured on the test rows of its seed, with its own scaling', async () => {
    const { stdout } = await printed(() =>
      evaluate(['--load', place('classes'), '--data', place('labeled.csv'), '--label', 'kind']),
    );
    // 1 of 4 large and 2 of 8 small rows are for testing, and all small ones are misclassified.
    expect(stdout).toContain('3 test samples, 3 values each');
    expect(stdout).toContain('accuracy 33.33 %: 2 of 3 wrong');
  });

  it('is measured on every row with --all, be it a single one', async () => {
    const all = ['--load', place('classes'), '--label', 'kind', '--all', '--data'];
    const whole = await printed(() => evaluate([...all, place('labeled.csv')]));
    expect(whole.stdout).toContain('12 samples, 3 values each');
    expect(whole.stdout).toContain('accuracy 33.33 %: 8 of 12 wrong');
    writeFileSync(place('one.csv'), 'size,color,kind\n9.5,red,large\n');
    const one = await printed(() => evaluate([...all, place('one.csv')]));
    expect(one.stdout).toContain('accuracy 100.00 %: 0 of 1 wrong');
  });

  it('is measured on both parts of a folder that has two with --all', async () => {
    mkdirSync(place('parts'));
    writeFileSync(place('parts/train.csv'), 'size,color,kind\n9.5,red,large\n16,blue,large\n');
    writeFileSync(place('parts/test.csv'), 'size,color,kind\n16,blue,small\n');
    const args = ['--load', place('classes'), '--label', 'kind', '--data', place('parts')];
    expect((await printed(() => evaluate(args))).stdout).toContain('1 of 1 wrong');
    expect((await printed(() => evaluate([...args, '--all']))).stdout).toContain('accuracy 66.67 %: 1 of 3 wrong');
  });

  it.each<[args: string[], message: RegExp]>([
    [
      [place('classes'), place('wide.png')],
      /\/wide\.png: expected a table \(CSV, TSV, JSON Lines or Parquet\), which the model takes, got a PNG picture$/,
    ],
    [
      [place('classes'), place('x.csv'), '--invert'],
      /x\.csv: expected no --invert, since the model was trained on tables$/,
    ],
    ...['--top=2', '--probabilities'].map((option): [string[], RegExp] => [
      [place('values'), place('priced.jsonl'), option, '--out=unused.csv'],
      /^--(top|probabilities): expected a model of classes, got one that predicts values$/,
    ]),
    [[place('classes'), place('none.csv')], /none\.csv: no such file or folder$/],
    [
      [place('classes'), place('other.csv')],
      /\/other\.csv: expected a column "size" for the model, got the columns color, weight$/,
    ],
    [
      [place('classes'), place('green.csv')],
      /\/green\.csv: line 3, column color: expected one of the known categories \(blue, red\), got "green"$/,
    ],
  ])('refuses %j', async ([load, ...args], message) => {
    writeFileSync(place('other.csv'), 'color,weight\nred,1\n');
    writeFileSync(place('green.csv'), 'color,size\nred,1\ngreen,2\n');
    await expectRefusal(() => predictFiles(['--load', load!, ...args]), message);
  });

  it('refuses labels that it does not have', async () => {
    const args = ['--load', place('classes'), '--data', place('labeled.csv'), '--label', 'color'];
    await expectRefusal(
      () => evaluate(args),
      /^--data: labeled\.csv: line 2, column color: expected one of the known classes \(small, large\), got "red"$/,
    );
  });
});

it('measures a model of floats on arrays of whole numbers', async () => {
  const floats = { samples: valueField([2]) };
  save('floats', [0, 1, 0, 0], { ...floats, targets: { ...classField, names: ['low', 'high'] } });
  writeFileSync(place('whole.jsonl'), '{"features":[-1.5,2],"label":"low"}\n{"features":[3,200],"label":"high"}\n');
  writeFileSync(place('new.jsonl'), '{"features":[3,200],"label":"high"}\n{"features":[0,7],"label":"low"}\n');
  const args = ['--load', place('floats'), '--all', '--data'];
  for (const name of ['whole.jsonl', 'new.jsonl']) {
    expect((await printed(() => evaluate([...args, place(name)]))).stdout).toContain('accuracy 100.00 %: 0 of 2 wrong');
  }
});

describe('a model of pictures', () => {
  it('cuts a picture as those that it learned from', async () => {
    const { stdout } = await printed(() => predictFiles(['--load', place('pictures'), place('wide.png')]));
    expect(stdout).toContain('wide.png: 6 x 4 pixels in color, scaled and cut to 4 x 4, not inverted\n');
  });

  it('is measured with --all on a folder of one of its classes, and refuses one that is none', async () => {
    mkdirSync(place('new/dog'), { recursive: true });
    copyFileSync(place('wide.png'), place('new/dog/1.png'));
    const args = ['--load', place('pictures'), '--all', '--data', place('new')];
    // All scores are equal, so the first class wins.
    expect((await printed(() => evaluate(args))).stdout).toMatch(
      /1 samples? of 4 x 4 x 3\n.*accuracy 0\.00 %: 1 of 1 wrong/,
    );
    mkdirSync(place('new/cow'));
    copyFileSync(place('wide.png'), place('new/cow/1.png'));
    const expected = /new\/cow\/1\.png: expected one of the known classes \(cat, dog\), got cow$/;
    await expectRefusal(() => evaluate(args), expected);
  });
});
