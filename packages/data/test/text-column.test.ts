/** Texts in a column of a table become tokens of their words, in training and later. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeTokens, tokenNames } from '../src/index.ts';
import { datasetFromTable, encodeRowTexts, parseDelimited, type Reading, type TableOptions } from '../src/readers.ts';

type TextReading = Extract<Reading, { type: 'text' }>;

function tableOf(rows: readonly (readonly string[])[], header = ['review', 'stars'], name = 'reviews.csv') {
  const quoted = [header, ...rows].map((row) => row.map((cell) => `"${cell.replaceAll('"', '""')}"`).join());
  return parseDelimited(new TextEncoder().encode(`${quoted.join('\n')}\n`), name);
}

/** Rows whose texts are all different and have four words. */
const rows = Array.from({ length: 40 }, (_, row) => [
  `${row % 2 ? 'A good' : 'One bad'} film, number${row}`,
  `${1 + (row % 2)}`,
]);
const table = tableOf(rows);

function open(given = table, options: TableOptions = {}, test = given) {
  const { train, test: tests, reading, found } = datasetFromTable(given, { label: 'stars', ...options }, test);
  if (reading?.type !== 'text' || train.samples.role !== 'index') throw new Error(`expected texts, got ${found}`);
  const length = train.samples.shape[0]!;
  const texts = ({ samples }: typeof train) =>
    Array.from({ length: samples.values.length / length }, (_, row) =>
      decodeTokens(reading.vocabulary, samples.values.slice(row * length, (row + 1) * length)),
    );
  return { train, tests, reading, found, length, texts };
}

describe('texts beside a label', () => {
  it('become their words, of which those that occur once are unknown', () => {
    const { train, reading, found, texts } = open();
    expect(tokenNames(reading.vocabulary)).toEqual(['(none)', '(unknown)', 'film', 'a', 'bad', 'good', 'one']);
    expect(train.samples).toMatchObject({ dtype: 'u8', shape: [4], tokens: 7 });
    expect(texts(train).slice(0, 2)).toEqual(['one bad film (unknown)', 'a good film (unknown)']);
    expect(reading.table).toEqual({ column: 'review', label: 'stars' });
    expect(found).toContain(
      '80 rows, texts in column review (5 different words, up to 4 a text), 2 classes (1, 2) in column stars',
    );
  });

  it('are read in test rows with the words of the training rows', () => {
    const { tests, texts } = open(table, {}, tableOf([['Bad, but new: a good bad film for one', '1']]));
    expect(texts(tests)).toEqual(['bad (unknown) (unknown) a']);
  });

  it('may be empty, and are then dropped if asked for', () => {
    const holey = tableOf([...rows, ['', '1'], ['?!', '2']]);
    expect(open(holey).texts(open(holey).train).slice(-2)).toEqual([
      '(none) (none) (none) (none)',
      '(none) (none) (none) (none)',
    ]);
    const { train, reading, found } = open(holey, { missing: 'drop' }, table);
    expect(train.count).toBe(41);
    expect(reading.table?.missing).toBe('drop');
    expect(found).toContain('dropped because of missing values');
  });

  it('take as many words as asked for', () => {
    const { train, reading, found, length } = open(table, { vocabulary: 4, context: 2 });
    expect(tokenNames(reading.vocabulary)).toEqual(['(none)', '(unknown)', 'film', 'a']);
    expect([length, train.samples.values.length]).toEqual([2, 80]);
    expect(found).toContain('(2 different words, up to 4 a text, of which the first 2 are read)');
    expect(open(table, { context: 300 }).found).toContain('(5 different words, up to 4 a text)');
  });

  it.each<TableOptions>([{ context: 4 }, { vocabulary: 300 }])(
    'are few different ones if asked for by %j',
    (options) => {
      const few = tableOf(rows.map(([, stars]) => [stars === '1' ? 'One bad film' : 'A good film', stars!]));
      expect(datasetFromTable(few, { label: 'stars' }).reading?.type).toBe('rows');
      expect(open(few, options).found).toContain('texts in column review (5 different words, up to 3 a text)');
    },
  );

  it('give the tokens of a trained model to tables and rows, whatever the order and the other columns', () => {
    const words = fc.array(fc.constantFrom('a', 'good', 'Bad', 'film', 'unheard', '1'), { maxLength: 9 });
    const { reading, length } = open();
    const text = { name: 'review', vocabulary: reading.vocabulary, length };
    fc.assert(
      fc.property(fc.array(words, { minLength: 2, maxLength: 20 }), (reviews) => {
        const given = reviews.map((review) => review.join(' '));
        const known = new Set(tokenNames(reading.vocabulary));
        const expected = reviews.map((review) => {
          const seen = review.map((word) => word.toLowerCase()).map((word) => (known.has(word) ? word : '(unknown)'));
          return [...seen, ...Array.from({ length }, () => '(none)')].slice(0, length).join(' ');
        });
        const like = { text, classes: ['1', '2'] };
        const other = tableOf(
          given.map((review, row) => [`${row}`, review, '2']),
          ['id', 'review', 'stars'],
        );
        const read = open(other, { like, testFraction: 1 }, other);
        expect(read.texts(read.train)).toEqual(expected);
        const tokens = encodeRowTexts(
          given.map((review) => ({ review })),
          text,
          'rows',
        );
        expect([...tokens]).toEqual([...read.train.samples.values]);
      }),
    );
  });
});

describe('what is no text to learn from', () => {
  const named = rows.map(([review, stars], row) => [review!, `${row % 3}`, stars!]);
  const short = rows.map(([, stars], row) => [`code ${row}`, stars!]);
  const many = Array.from({ length: 300 }, (_, row) => [`${rows[row % 40]![0]} ${row}`, `${row}`, `${row % 2}`]);
  const many2 = many.map(([review, row, stars]) => [review!, `a title, the ${row}th`, stars!]);

  it('stays a category if texts are short, or other columns are there', () => {
    expect(datasetFromTable(tableOf(short), { label: 'stars' }).reading?.type).toBe('rows');
    expect(datasetFromTable(tableOf(named, ['review', 'rooms', 'stars']), { label: 'stars' }).reading?.type).toBe(
      'rows',
    );
  });

  it.each<[string, () => unknown, string]>([
    [
      'texts and numbers',
      () => open(tableOf(many, ['review', 'rooms', 'stars'])),
      'reviews.csv: column review: expected numbers or at most 256 categories, got 300 texts such as "One bad film, number0 0": ignore it with --ignore review; or to train on the texts of review, ignore all other columns',
    ],
    [
      'two columns of texts',
      () => open(tableOf(many2, ['review', 'title', 'stars'])),
      'reviews.csv: expected columns of numbers or of at most 256 categories, got review (300 texts such as "One bad film, number0 0"), title (300 texts such as "a title, the 0th"): ignore them with --ignore review,title; or to train on the texts of review, ignore all other columns',
    ],
    [
      'no repeated word',
      () => open(tableOf(Array.from({ length: 30 }, (_, row) => [`x${row} y${row} z${row}`, `${row % 2}`]))),
      'reviews.csv: column review: expected a word that occurs twice in the training rows, got none',
    ],
    [
      'characters as tokens',
      () => open(table, { vocabulary: 'characters' }),
      'reviews.csv: expected a number of words as --vocabulary for the texts of a table, got "characters"',
    ],
    [
      'too few tokens',
      () => open(table, { vocabulary: 2 }),
      'vocabulary: expected a whole number from 3 to 65535, got 2',
    ],
    [
      'a vocabulary for other columns',
      () => datasetFromTable(tableOf(short), { label: 'stars', vocabulary: 300 }),
      'reviews.csv: expected a single column of texts besides the label, which --vocabulary is for, got texts of fewer than 3 words on average',
    ],
    [
      'a context for numbers and texts',
      () => datasetFromTable(tableOf(named, ['review', 'rooms', 'stars']), { label: 'stars', context: 8 }),
      'reviews.csv: expected a single column of texts besides the label, which --context is for, got other columns: leave them out with --ignore',
    ],
    [
      'a table without the column',
      () => {
        const { reading, length } = open();
        const like = {
          text: { name: 'review', vocabulary: (reading as TextReading).vocabulary, length },
          classes: ['1', '2'],
        };
        return open(tableOf(rows, ['title', 'stars']), { like });
      },
      'reviews.csv: expected a column "review" for the model, got the columns title, stars',
    ],
  ])('%s', (_, read, message) => {
    expect(read).toThrow(message);
  });
});
