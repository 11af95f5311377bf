import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { classTargets, type Targets } from '../src/dataset.ts';
import { parseDelimited } from '../src/readers/delimited.ts';
import { encodeFeatures, type FeatureColumn } from '../src/readers/features.ts';
import type { TableFile } from '../src/readers/table.ts';
import { datasetFromTable, type OpenedDataset } from '../src/readers/table-dataset.ts';

const parse = (text: string) => parseDelimited(new TextEncoder().encode(text), 'x.csv');

function rowsOf(table: TableFile): string[][] {
  return Array.from({ length: table.count }, (_, row) => table.columns.map((column) => column.textAt(row)));
}

const golden = JSON.parse(readFileSync(new URL('../goldens/iris.json', import.meta.url), 'utf8'));
const iris = () => parseDelimited(readFileSync(new URL('../../../docs/iris.csv', import.meta.url)), 'iris.csv');

/** Quotes a cell as in RFC 4180. */
const quoted = (cell: string): string => `"${cell.replaceAll('"', '""')}"`;

function columnsOf({ reading }: OpenedDataset): readonly FeatureColumn[] {
  return reading?.type === 'rows' ? reading.columns : [];
}

describe('CSV', () => {
  it('gives back what a writer wrote, whatever is in the cells', () => {
    const cell = fc.oneof(
      fc.string({ unit: fc.constantFrom('a', 'é', '"', ',', ';', '\t', '\n', ' ', '#', '😀'), maxLength: 8 }),
      fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => `${value}`),
    );
    const rows = fc
      .integer({ min: 2, max: 5 })
      .chain((width) =>
        fc.array(fc.array(cell, { minLength: width, maxLength: width }), { minLength: 1, maxLength: 20 }),
      );
    const style = fc.record({
      delimiter: fc.constantFrom(',', ';', '\t'),
      newline: fc.constantFrom('\n', '\r\n', '\r'),
      mark: fc.constantFrom('', '\ufeff'),
      isEnded: fc.boolean(),
      quotesAll: fc.boolean(),
    });
    fc.assert(
      fc.property(rows, style, (cells, { delimiter, newline, mark, isEnded, quotesAll }) => {
        const header = cells[0]!.map((_, index) => `name ${index}`);
        const written = (text: string) => (quotesAll || /[",;\t\n]/.test(text) ? quoted(text) : text);
        const lines = [header, ...cells].map((row) => row.map(written).join(delimiter));
        const table = parse(`${mark}${lines.join(newline)}${isEnded ? newline : ''}`);
        const normal = (text: string) => (/^-?\d+(\.\d+)?(e[+-]?\d+)?$/.test(text) ? `${Number(text)}` : text.trim());
        expect(rowsOf(table)).toEqual(cells.map((row) => row.map(normal)));
      }),
    );
  });

  it('has the float64 that is nearest to each number', () => {
    const digits = fc.string({ unit: fc.constantFrom(...'0123456789'), maxLength: 20 });
    const exponent = fc.integer({ min: -330, max: 330 }).map((power) => `e${power}`);
    const anyFloat = fc.double({ noNaN: true, noDefaultInfinity: true }).map(String);
    const fraction = fc.double({ min: -1000, max: 1000, noNaN: true }).map(String);
    const middle = fc.bigInt(2n ** 53n, 2n ** 63n).map((value) => `${value | 1n}`);
    const form = fc
      .tuple(
        fc.constantFrom('', '-', '+'),
        digits,
        fc.constantFrom('', '.'),
        digits,
        fc.oneof(fc.constant(''), exponent),
      )
      .map((parts) => parts.join(''));
    const number = fc.oneof(form, anyFloat, fraction, middle);
    fc.assert(
      fc.property(fc.array(number, { minLength: 1, maxLength: 30 }), (texts) => {
        const table = parse(`name,number\n${texts.map((text) => `x,${text}\n`).join('')}`);
        const isNumber = (text: string) => /\d/.test(text.split('e')[0]!) && Number.isFinite(Number(text));
        const [, column] = table.columns;
        for (const [row, text] of texts.entries()) {
          expect(column!.numberAt(row)).toBe(isNumber(text) ? Number(text) : undefined);
          if (!isNumber(text)) expect(column!.textAt(row)).toBe(text);
        }
      }),
      { numRuns: 500 },
    );
  });

  it('gives back identifiers as they are in the file', () => {
    const ids = ['007', '9007199254740993', '0', '12', '-05', '00', '0.50'];
    const [column] = parse(`id,x\n${ids.map((id) => `${id},1\n`).join('')}`).columns;
    expect(ids.map((_, row) => column!.givenAt(row))).toEqual([
      '007',
      '9007199254740993',
      '0',
      '12',
      '-5',
      '00',
      '0.5',
    ]);
  });

  it('gives back a cell of any length whose quotes stand anywhere', () => {
    const cells = [1, 2 ** 15, 2 ** 16 - 1, 2 ** 16, 2 ** 18 + 1].flatMap((length) => [
      '"'.repeat(length),
      `a${'"'.repeat(length)}`,
      'b""c'.repeat(length),
      `${'d'.repeat(length)}"`,
    ]);
    const table = parse(['name', ...cells].map((cell) => `${quoted(cell)},x\n`).join(''));
    expect(rowsOf(table).every(([cell], row) => cell === cells[row])).toBe(true);
  });

  it.each([
    ['commas', 'a,b\n1,x\n', [['1', 'x']]],
    [
      'semicolons, with decimal commas',
      'a;b\n1,5;x\n-2,25;y,z\n',
      [
        ['1.5', 'x'],
        ['-2.25', 'y,z'],
      ],
    ],
    ['tabs', 'a\tb\n1\tx y\n', [['1', 'x y']]],
    ['a byte order mark', '\ufeffa,b\n1,x\n', [['1', 'x']]],
    ['lines of Windows', 'a,b\r\n1,x\r\n', [['1', 'x']]],
    [
      'empty lines',
      'a,b\n\n1,x\n\n\n2,y',
      [
        ['1', 'x'],
        ['2', 'y'],
      ],
    ],
    ['quotes in quotes', 'a,b\n1,"x ""y"""\n', [['1', 'x "y"']]],
    ['quoted cells that are empty', 'a\nx\n""\n\n \ny\n""\n', [['x'], [''], ['y'], ['']]],
    ['a quoted line break', 'a,b\n1,"x\ny"\n', [['1', 'x\ny']]],
    ['a delimiter in a quoted name', '"a;c;d",b\n1,x\n', [['1', 'x']]],
    [
      'the index that pandas writes',
      ',a,b\n0,1.5,x\n1,2.5,y\n',
      [
        ['1.5', 'x'],
        ['2.5', 'y'],
      ],
    ],
    [
      'the index that R writes',
      '"","a","b"\n"1",1.5,"x"\n"2",2.5,"y"\n',
      [
        ['1.5', 'x'],
        ['2.5', 'y'],
      ],
    ],
    ['spaces around cells', 'a , b\n 1 , x \n', [['1', 'x']]],
  ])('reads %s', (_, text, rows) => {
    expect(rowsOf(parse(text))).toEqual(rows);
  });

  it('says in which line a row begins, after quoted line breaks and empty lines', () => {
    const table = parse('a,b\n"x\n\ny",1\n\nz,2\n');
    expect([table.placeOf(0), table.placeOf(1)]).toEqual(['line 2', 'line 6']);
  });
});

describe('a table as a data set', () => {
  it('is standardized and one-hot as scikit-learn has it', () => {
    const table = iris();
    const options = { label: 'petal_width', task: 'regression' } as const;
    const opened = datasetFromTable(table, options, table);
    const { train, test } = opened;
    expect(train.samples).toEqual(test.samples);
    const every10th = Array.from({ length: 15 }, (_, row) => train.samples.values.slice(60 * row, 60 * row + 6));
    golden.encoded.forEach((row: number[], index: number) => {
      for (const [column, value] of row.entries()) expect(every10th[index]![column]).toBeCloseTo(value, 6);
    });
    const numbers = columnsOf(opened).filter((feature) => feature.type === 'number');
    numbers.forEach(({ mean, deviation }, index) => {
      expect(mean).toBeCloseTo(golden.means[index], 12);
      expect(deviation).toBeCloseTo(golden.deviations[index], 12);
    });
    expect(train.samples.shape).toEqual([6]);
    const targets = train.targets as Extract<typeof train.targets, { role: 'value' }>;
    expect(targets.names).toEqual(['petal_width']);
    const { mean, deviation } = targets.standardization!;
    const given = [...targets.values].map((value) => value * deviation + mean).filter((_, row) => row % 10 === 0);
    given.forEach((value, index) => {
      expect(value).toBeCloseTo(golden.petalWidths[index], 6);
    });
  });

  it('says what it found, and which column is the label', () => {
    const { found, train, test } = datasetFromTable(iris(), { seed: 1 });
    expect(found).toBe(
      'iris.csv: 150 rows, 4 numbers each, 3 classes (setosa, versicolor, virginica) in column species; ' +
        '120 to train, 30 to test (split by seed 1)',
    );
    expect([train.count, test.count]).toEqual([120, 30]);
  });

  it('is scaled by the rows to train with alone', () => {
    const text = `a,label\n${Array.from({ length: 40 }, (_, row) => `${row ** 2},${row % 2}`).join('\n')}`;
    const opened = datasetFromTable(parse(text));
    const { train, test } = opened;
    const mean = (values: Iterable<number>) => [...values].reduce((sum, value) => sum + value, 0) / [...values].length;
    expect(mean(train.samples.values)).toBeCloseTo(0, 6);
    expect(mean([...train.samples.values].map((value) => value ** 2))).toBeCloseTo(1, 5);
    expect(Math.abs(mean(test.samples.values))).toBeGreaterThan(0.001);
    const [row] = encodeFeatures(parse('other,a\nx,25\n'), columnsOf(opened), Uint32Array.of(0));
    expect([...train.samples.values, ...test.samples.values]).toContain(row);
  });

  it('has values to learn that are standardized by the rows to train with alone, or as a trained model has them', () => {
    const text = `a,price\n${Array.from({ length: 40 }, (_, row) => `${row},${250_000 + 1000 * row ** 2}`).join('\n')}`;
    const valuesOf = (targets: Targets) => targets as Extract<Targets, { role: 'value' }>;
    const { train, test, found } = datasetFromTable(parse(text), { task: 'regression' });
    const [{ values, standardization }, tested] = [valuesOf(train.targets), valuesOf(test.targets)];
    expect(values.reduce((sum, value) => sum + value, 0)).toBeCloseTo(0, 4);
    expect(values.reduce((sum, value) => sum + value ** 2, 0) / train.count).toBeCloseTo(1, 5);
    expect(tested.standardization).toEqual(standardization);
    const { mean, deviation } = standardization!;
    const given = [...values, ...tested.values].map((value) => Math.round((value * deviation + mean) / 1000));
    expect(new Set(given)).toEqual(new Set(Array.from({ length: 40 }, (_, row) => 250 + row ** 2)));
    expect(found).toContain('values from 250000 to 1771000');
    const like = { classes: undefined, standardization: { mean: 1000, deviation: 500 } };
    const other = datasetFromTable(parse('a,price\n1,2000\n2,1000\n'), { like }, parse('a,price\n1,500\n'));
    expect([...valuesOf(other.train.targets).values, ...valuesOf(other.test.targets).values]).toEqual([2, 0, -1]);
  });

  it('gives equal numbers the deviation 1, without rounding', () => {
    const opened = datasetFromTable(parse(`a,label\n${'0.1,x\n0.1,y\n'.repeat(50)}`));
    expect(columnsOf(opened)).toEqual([{ type: 'number', name: 'a', mean: 0.1, deviation: 1 }]);
  });

  it.each([
    ['label before class', 'class,label,x\n1,a,2\n1,b,2\n1,a,3\n1,b,3\n', 'label'],
    ['class', 'x,Class,z\n1,a,2\n1,b,2\n1,a,3\n1,b,3\n', 'Class'],
    ['else the last', 'x,z,w\n1,2,a\n1,2,b\n1,3,a\n1,3,b\n', 'w'],
  ])('learns the usual column: %s', (_, text, column) => {
    expect(datasetFromTable(parse(text)).found).toContain(`2 classes (a, b) in column ${column}`);
  });

  it('numbers classes by their numbers, and leaves columns out', () => {
    const text = `id,x,label\n${[10, 9, 2, 10, 9, 2].map((label, row) => `n${row},${row},${label}`).join('\n')}`;
    const opened = datasetFromTable(parse(text), { ignore: ['id'] });
    expect(opened.train.targets.names).toEqual(['2', '9', '10']);
    expect(columnsOf(opened).map(({ name }) => name)).toEqual(['x']);
  });

  it('has the scaling, categories and classes of a trained model where they are given', () => {
    const whole = parse('a,color,label\n1,red,x\n3,blue,y\n5,red,z\n9,blue,x\n');
    const trained = datasetFromTable(whole, {}, whole);
    const like = { columns: columnsOf(trained), classes: trained.train.targets.names };
    const { train, reading } = datasetFromTable(
      parse('color,label,a\nblue,x,9\nblue,x,3\n'),
      { label: 'label', like },
      whole,
    );
    expect(reading).toEqual(trained.reading);
    expect(train.samples.values).toEqual(
      Float32Array.of(...trained.train.samples.values.slice(9), ...trained.train.samples.values.slice(3, 6)),
    );
    expect(train.targets).toEqual(classTargets(Uint16Array.of(0, 0), ['x', 'y', 'z']));
  });
});
