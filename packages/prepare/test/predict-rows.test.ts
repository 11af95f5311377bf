/** A model of a table predicts rows as they are in the table: as it predicts their encoded samples. */
import { datasetFromTable, type FeatureColumn, parseDelimited, type TableRow } from '@lockstep/data/readers';
import { describeModel, initialize, parameterCount, resolveModel, writeModelFile } from '@lockstep/nn';
import fc from 'fast-check';
import { expect, it, onTestFinished } from 'vitest';
import { type LoadedModel, loadModel } from '../src/model.ts';

const lines = ['area,zone,label', '60,A,cheap', '90,B,dear', ',A,cheap', '150,,dear', '75,A,cheap', '88,C,dear'];
const table = parseDelimited(new TextEncoder().encode(lines.join('\n')), 'homes.csv');

async function modelOf(options: Parameters<typeof datasetFromTable>[1], rows = table): Promise<LoadedModel> {
  const { train, reading } = datasetFromTable(rows, options, rows);
  const { samples, targets } = train;
  const model = resolveModel('mlp', { sampleShape: samples.shape, outputs: targets.names.length });
  const origin = { lockstep: '0.1.0', seed: 1, steps: 0, weightsSha256: '' };
  const { weightsSha256: _, ...metadata } = describeModel({ samples, targets, reading }, origin);
  const loaded = await loadModel(writeModelFile(model, initialize(model, 3), metadata));
  expect(loaded.reading).toEqual(reading);
  expect(parameterCount(model)).toBeGreaterThan(0);
  onTestFinished(() => loaded.dispose());
  return loaded;
}

const rows = fc.array(
  fc.record({
    area: fc.option(fc.integer({ min: -500, max: 100_000 })),
    zone: fc.constantFrom('A', 'B', 'C', null, ''),
    other: fc.constantFrom(1, 'x'),
  }),
  { maxLength: 6 },
);

it('predicts rows of a table as the samples that they become, with their missing values filled in', async () => {
  const model = await modelOf({ missing: 'median' });
  const { columns } = model.reading as { columns: readonly FeatureColumn[] };
  const [area, zone] = columns as [
    Extract<FeatureColumn, { type: 'number' }>,
    Extract<FeatureColumn, { type: 'category' }>,
  ];
  await fc.assert(
    fc.asyncProperty(rows, async (given) => {
      const samples = given.flatMap((row) => [
        ((row.area ?? area.missing!) - area.mean) / area.deviation,
        ...zone.categories.map((category) => Number(category === (row.zone || zone.missing))),
      ]);
      const inReach = samples.every((value) => Math.abs(value) <= 1_000);
      const predicted = await model.predictRows(given);
      if (inReach) expect(predicted).toEqual(await model.predict(Float32Array.from(samples)));
      expect(predicted).toHaveLength(given.length);
    }),
  );
  const [prediction] = await model.predictRows([{ area: 100, zone: 'A' }]);
  expect(['cheap', 'dear']).toContain(prediction!.class);
});

it('names the values that it predicts, in their unit', async () => {
  const model = await modelOf({ task: 'regression', label: 'area', missing: 'drop' });
  const [row] = await model.predictRows([{ zone: 'A', label: 'dear' }]);
  const [values] = await model.predictValues(Float32Array.of(1, 0, 0, 0, 1));
  expect(row!.values).toEqual({ area: values![0] });
  expect(row!.class).toBeUndefined();
});

it('refuses rows by row and column, and samples that are not encoded', async () => {
  const model = await modelOf({ missing: 'drop' });
  const refusals: [TableRow[], string][] = [
    [
      [
        { area: 1, zone: 'A' },
        { area: null, zone: 'A' },
      ],
      'predictRows: row 1, column area: expected a finite number, got none',
    ],
    [[{ area: 1 }], 'predictRows: row 0: expected a column "zone" for the model, got the columns area'],
    [
      [{ area: 1, zone: 'D' }],
      'predictRows: row 0, column zone: expected one of the known categories (A, B, C), got "D"',
    ],
  ];
  for (const [given, message] of refusals) await expect(model.predictRows(given)).rejects.toThrow(message);
  await expect(model.predictRows('x' as unknown as TableRow[])).rejects.toThrow(
    'predictRows: expected a list of rows, got "x"',
  );
  const advice = 'predictRows takes rows as they are in a table';
  for (const [samples, got] of [
    [[100, 3, 0, 0], '3 for a category in column "zone" of sample 0'],
    [[0, 0, 1, 0, 1, 1, 1, 0], '2 categories in column "zone" of sample 1'],
    [[0, 0, 0, 0], '0 categories in column "zone" of sample 0'],
    [[2024, 0, 1, 0], '2024 deviations from the mean in column "area" of sample 0'],
  ] as const) {
    await expect(model.predict(Float32Array.from(samples))).rejects.toThrow(
      new Error(`predict: expected encoded samples, as openDataset gives them, got ${got}: ${advice}`),
    );
  }
  for (const [samples, got] of [
    [[100, 3, 0, 0], 'a list of 4'],
    [new Uint8Array(4), 'a Uint8Array'],
    [new Int8Array(4), 'an Int8Array'],
    [undefined, 'nothing'],
    [Object.create(null), 'an object'],
  ] as const) {
    await expect(model.predict(samples as unknown as Float32Array)).rejects.toThrow(
      new Error(`predict: expected samples in a Float32Array, as in training, got ${got}: ${advice}`),
    );
  }
});

it('refuses numbers as they are in the table, if they are unlikely to be standardized', async () => {
  const iris = new TextEncoder().encode('a,b,c,label\n5.1,3.5,1.4,1\n4.6,3.1,1.5,2\n7,3.2,4.7,3\n6.3,2.5,6,4\n');
  const model = await modelOf({ task: 'regression' }, parseDelimited(iris, 'iris.csv'));
  for (const raw of [
    [5.1, 3.5, 1.4],
    [4.6, 3.1, 1.5, 6.4, 2.8, 5.6],
  ]) {
    await expect(model.predictValues(Float32Array.from(raw))).rejects.toThrow(
      'predictValues: expected standardized numbers, as openDataset gives them, got numbers as they are in the table: predictRows takes',
    );
  }
  for (const standardized of [
    [0, 0, 0],
    [-3, 2.5, 3],
    [4, -4, 4],
  ]) {
    expect(await model.predictValues(Float32Array.from(standardized))).toHaveLength(1);
  }
});
