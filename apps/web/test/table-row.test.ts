/** Checks that table rows are shown as they stand in the file and converted to what a model sees. */
import { sizeOfField } from '@lockstep/data';
import { datasetFromTable, encodeRows, parseDelimited } from '@lockstep/data/readers';
import { restoreValues } from '@lockstep/nn';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { shownColumnsOf } from '../../../packages/server/src/messages.ts';
import { allColumns, rawTarget, rowCellsOf, sampleOfRow } from '../src/watch/table-row.ts';

const number = fc.oneof(
  fc.integer({ min: -2000, max: 1_000_000 }).map((value) => value / 100),
  fc.integer({ min: 1900, max: 2030 }),
);
const rows = fc.array(
  fc.tuple(number, number, fc.constantFrom('red', 'deep blue', 'a, b'), fc.constantFrom('x', 'y')),
  {
    minLength: 12,
    maxLength: 40,
  },
);

test('every row of a table is shown as it stands there, and typed in it is the same sample', () => {
  fc.assert(
    fc.property(rows, (given) => {
      const balanced = [
        ...given,
        [1, 2, 'red', 'x'],
        [3, 4, 'deep blue', 'y'],
        [1, 2, 'a, b', 'x'],
        [3, 4, 'red', 'y'],
      ];
      const lines = ['width (cm),built,color,label', ...balanced.map((row) => row.map((cell) => `"${cell}"`).join())];
      const table = parseDelimited(new TextEncoder().encode(lines.join('\n')), 'a.csv');
      const { train, test, reading } = datasetFromTable(table, { testFraction: 0.5 });
      const run = { ...shownColumnsOf(reading), sampleField: train.samples };
      const columns = allColumns(run)!;
      const shown = [train, test].flatMap(({ samples, count }) =>
        Array.from({ length: count }, (_, at) => {
          const size = sizeOfField(samples);
          const sample = (samples.values as Float32Array).subarray(at * size, (at + 1) * size);
          const cells = rowCellsOf(columns, sample);
          expect(cells.map(({ name }) => name)).toEqual(['width (cm)', 'built', 'color']);
          const typed = cells.map(({ text }, index) => {
            const column = columns[index]!;
            return column.type === 'number' ? Number(text) : column.categories.indexOf(text);
          });
          expect(sampleOfRow(columns, typed)).toEqual(sample);
          return cells.map(({ text }) => text).join('|');
        }),
      );
      const expected = balanced.map(([width, built, color]) => [width, built, color].join('|'));
      expect(shown.sort()).toEqual(expected.sort());
    }),
    { seed: 1, numRuns: 40 },
  );
});

const category = (name: string, count: number) => ({
  type: 'category' as const,
  name,
  categories: Array.from({ length: count }, (_, index) => `${name} ${index}`),
});

test.each([
  { what: 'of a few columns all', columns: [category('a', 2), category('b', 3)], known: 2 },
  { what: 'of many columns the first 64', columns: Array.from({ length: 65 }, () => category('a', 1)), known: 64 },
  { what: 'of columns with many categories those that fit', columns: Array(3).fill(category('a', 256)), known: 2 },
])('the page knows $what', ({ columns, known }) => {
  const run = {
    ...shownColumnsOf({ type: 'rows', columns }),
    sampleField: { shape: [columns.flatMap((each) => each.categories).length] },
  };
  expect(run.columns).toHaveLength(known);
  expect(allColumns(run) !== undefined).toBe(known === columns.length);
});

test('targets are shown as they stand in the table, whatever their unit', () => {
  const target = fc.oneof(fc.integer({ min: -50_000, max: 3_000_000 }), number);
  fc.assert(
    fc.property(fc.array(target, { minLength: 12, maxLength: 40 }), (targets) => {
      const lines = ['a,price', ...targets.map((value, index) => `${index},${value}`)];
      const table = parseDelimited(new TextEncoder().encode(lines.join('\n')), 'a.csv');
      const { train, test } = datasetFromTable(table, { task: 'regression', testFraction: 0.5 });
      const shown = [train, test].flatMap(({ targets: part }) => {
        if (part.role !== 'value') throw new Error('expected values');
        return Array.from(restoreValues(part.values, part.standardization), (value) =>
          rawTarget(value, part.standardization),
        );
      });
      // Float32 has seven digits: no cents next to millions.
      const largest = Math.max(...targets.map(Math.abs));
      const off = shown
        .map(Number)
        .sort(byValue)
        .map((value, index) => Math.abs(value - targets.toSorted(byValue)[index]!));
      expect(Math.max(...off)).toBeLessThanOrEqual(largest * 5e-7);
      if (largest < 10_000) expect(shown.toSorted()).toEqual(targets.map(String).sort());
      if (targets.every(Number.isInteger)) expect(shown.toSorted()).toEqual(targets.map(String).sort());
    }),
    { seed: 1, numRuns: 40 },
  );
});

const byValue = (left: number, right: number): number => left - right;

test('a missing value is the one that training filled in, and is refused where none may be missing', () => {
  const lines = ['age,deck,label', '1,a,x', '2,a,y', ',a,x', '6,,y', '3,b,x', '3,b,y', '4,a,x', '5,,y'];
  const table = parseDelimited(new TextEncoder().encode(lines.join('\n')), 'a.csv');
  const { train, reading } = datasetFromTable(table, { missing: 'median', testFraction: 0.25 });
  const columns = allColumns({ ...shownColumnsOf(reading), sampleField: train.samples })!;
  if (reading?.type !== 'rows') throw new Error('expected rows');
  const filled = encodeRows([{ age: null, deck: null }], reading.columns);
  expect(sampleOfRow(columns, [Number.NaN, Number.NaN])).toEqual(filled);
  const without = columns.map(({ missing: _, ...column }) => column);
  expect(sampleOfRow(without, [Number.NaN, 0])).toBeUndefined();
  expect(sampleOfRow(without, [1, Number.NaN])).toBeUndefined();
});

test('a number that no model can see is no sample', () => {
  const columns = [{ type: 'number' as const, name: 'a', mean: 1, deviation: 2 }];
  expect([Number.NaN, Number.POSITIVE_INFINITY, 1e300].map((given) => sampleOfRow(columns, [given]))).toEqual([
    undefined,
    undefined,
    undefined,
  ]);
});
