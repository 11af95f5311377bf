/** Texts as samples: windows that predict each token once, lines, and what is refused. */
import { basename, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DataError } from '../src/data-error.ts';
import { checkDataset, type Dataset, sizeOfField } from '../src/dataset.ts';
import { type OpenOptions, openDataset, openDefaultText, openRows } from '../src/node.ts';
import { foldDataset, splitDataset } from '../src/order.ts';
import { datasetFromText, type TextOptions } from '../src/readers/text-dataset.ts';
import { decodeTokens, encodeText } from '../src/readers/vocabulary.ts';
import { folderOf } from './temporary-folder.ts';

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

/** The samples as lists of tokens. */
function rowsOf({ samples, count }: Dataset): number[][] {
  const size = sizeOfField(samples);
  return Array.from({ length: count }, (_, row) => [...samples.values.subarray(row * size, (row + 1) * size)]);
}

function vocabularyOf({ reading }: ReturnType<typeof datasetFromText>) {
  if (reading?.type !== 'text') throw new Error('expected a text');
  return reading.vocabulary;
}

describe('a running text', () => {
  const texts = fc.string({ unit: fc.constantFrom('a', 'b', 'é', ' ', '\r\n', '😀'), minLength: 12, maxLength: 200 });

  it('is cut into windows that predict every token but the first once, by place, in parts of any size', () => {
    const contexts = fc.integer({ min: 1, max: 5 });
    const vocabularies = fc.constantFrom('characters' as const, 'bytes' as const, 260);
    fc.assert(
      fc.property(texts, contexts, vocabularies, fc.integer({ min: 1, max: 7 }), (text, context, vocabulary, size) => {
        fc.pre(new Set(text).size > 1);
        const bytes = utf8(text);
        const parts = function* () {
          for (let from = 0; from < bytes.length; from += size) yield bytes.subarray(from, from + size);
        };
        const options: TextOptions = { context, vocabulary };
        const whole = datasetFromText(text, options);
        expect({ ...datasetFromText({ name: 'text', parts }, options) }).toEqual(whole);
        const tokens = [...encodeText(vocabularyOf(whole), text)];
        const rows = [whole.train, whole.test].flatMap(rowsOf);
        const predicted = rows.flatMap((row) => row.slice(1));
        expect(rows.flatMap((row) => row.slice(0, -1))).toEqual(tokens.slice(0, predicted.length));
        expect(predicted).toEqual(tokens.slice(1, 1 + predicted.length));
        expect(tokens.length - 1 - predicted.length).toBeLessThan(context);
        checkDataset(whole.train, 'train');
        checkDataset(whole.test, 'test');
      }),
    );
  });

  it('keeps line ends, drops a byte order mark, and says what it found', () => {
    const opened = datasetFromText(`\ufeff${'ab\r\n'.repeat(50)}`, { context: 4 });
    expect(opened.found).toBe(
      'text: text of 200 characters, 4 different; 49 windows of 4, 44 to train, the last 5 to validate',
    );
    expect(opened.train.targets).toMatchObject({ role: 'next', positions: 4, names: ['\n', '\r', 'a', 'b'] });
    expect(decodeTokens(vocabularyOf(opened), opened.test.samples.values.subarray(0, 5))).toBe('ab\r\na');
  });

  it('is split by place again, to validate and in folds', () => {
    const { train } = datasetFromText('abcdefgh'.repeat(12), { context: 2 });
    const { train: rest, test } = splitDataset(train, { testFraction: 0.25 });
    expect([...rowsOf(rest), ...rowsOf(test)]).toEqual(rowsOf(train));
    const folds = [0, 1, 2].map((fold) => rowsOf(foldDataset(train, { folds: 3, fold }).test));
    expect(folds.flat()).toEqual(rowsOf(train));
  });

  it.each<[what: string, text: string | Uint8Array, options: TextOptions, message: string]>([
    ['an empty text', '', {}, 'text: expected a text, got an empty file'],
    ['one character', 'aaaa', {}, 'text: expected at least 2 different characters, got 1'],
    [
      'a text shorter than two windows',
      'ab'.repeat(64),
      {},
      'text: expected at least 129 tokens, two windows of 64 and a token to predict, got 128',
    ],
    [
      'no bytes',
      '',
      { vocabulary: 'bytes' },
      'text: expected at least 129 tokens, two windows of 64 and a token to predict, got an empty text',
    ],
    [
      'bytes that are no UTF-8',
      Uint8Array.of(0x61, 0x62, 0xff),
      {},
      'text: expected UTF-8 text, got other bytes at offset 2: save it as UTF-8, or use --vocabulary bytes',
    ],
    [
      'NUL bytes',
      'a\0b',
      { vocabulary: 300 },
      'text: expected UTF-8 text, got a file with NUL bytes: use --vocabulary bytes if it is not text',
    ],
    [
      'too many characters',
      Array.from({ length: 70_000 }, (_, index) => String.fromCodePoint(0x1_0000 + index)).join(''),
      {},
      'text: expected at most 65,535 different characters, got 70,000: use --vocabulary bytes, or --vocabulary 512 for bytes and byte pairs',
    ],
    [
      'a character that a trained model does not know',
      'abcabc',
      { vocabulary: { kind: 'characters', tokens: ['a', 'b'] } },
      'text: expected characters that the model knows, got "c" as character 3',
    ],
    [
      'a long line',
      'ab\nabc\n\nabcd\n',
      { lines: true, context: 4 },
      'text: expected lines of at most 3 characters, whose end is predicted as well, got 4 in line 3 that is not empty',
    ],
    ['one line', 'ab\n\n', { lines: true }, 'text: expected at least two lines that are not empty, got 1'],
    [
      'lines of bytes',
      'ab\nba\n',
      { lines: true, vocabulary: 'bytes' },
      'text: expected the vocabulary characters for lines, whose token 0 ends a line',
    ],
  ])('is refused for %s', (_, text, options, message) => {
    expect(() => datasetFromText(text, options)).toThrow(new DataError(message));
  });
});

describe('lines', () => {
  it('are samples that begin and end with token 0, which fills the rest', () => {
    const opened = datasetFromText('bob\r\n\r\namy\r\nzoe\nal', { lines: true, testFraction: 0.25 });
    const rows = [opened.train, opened.test].flatMap(rowsOf);
    const texts = rows.map((row) => decodeTokens(vocabularyOf(opened), row));
    expect(texts.sort()).toEqual(['\nal\n\n', '\namy\n', '\nbob\n', '\nzoe\n']);
    expect(opened.train.targets).toMatchObject({ role: 'next', positions: 3.75, lines: true });
    expect([opened.train.count, opened.test.count]).toEqual([3, 1]);
    expect(opened.found).toBe(
      'text: 4 lines of up to 3 characters, 9 different; 3 to train, 1 to validate (split by seed 1)',
    );
    checkDataset(opened.train, 'train');
  });

  it('are split by seed, and each goes to one side', () => {
    const text = Array.from({ length: 40 }, (_, index) => `${index}`).join('\n');
    const linesOf = (seed: number) => {
      const opened = datasetFromText(text, { lines: true, seed });
      const [train, test] = [opened.train, opened.test].map((part) =>
        rowsOf(part).map((row) => decodeTokens(vocabularyOf(opened), row).trim()),
      );
      expect([...train!, ...test!].sort()).toEqual(text.split('\n').sort());
      return test;
    };
    expect(linesOf(1)).toEqual(linesOf(1));
    expect(linesOf(2)).not.toEqual(linesOf(1));
  });
});

describe('the default texts', () => {
  it('are Moby Dick and first names, as their packages have them', () => {
    const novel = openDefaultText();
    expect(novel.found).toMatch(/^Moby Dick: text of 1,191,025 characters, 81 different; /);
    expect(decodeTokens(vocabularyOf(novel), novel.train.samples.values.subarray(0, 44))).toBe(
      'CHAPTER 1. Loomings.\n\nCall me Ishmael. Some ',
    );
    const names = openDefaultText({ model: { lines: true } });
    expect([names.train.count + names.test.count, names.name]).toEqual([3898, 'First names']);
  });
});

describe('files of text', () => {
  it('are read one after another, in the order of their names', async () => {
    const texts = ['ab'.repeat(40), 'ba'.repeat(40)];
    const folder = folderOf({ '0.txt': texts[0]!, '1.txt': texts[1]! });
    const opened = await openDataset(folder, { context: 8 });
    const { found, ...expected } = datasetFromText(texts.join(''), { context: 8 });
    expect(opened).toEqual({ ...expected, found: expect.any(String) });
    expect(found).toContain('160 characters');
  });

  it.each<[what: string, content: string | Uint8Array, options: OpenOptions, message: string]>([
    [
      'other bytes than UTF-8',
      Uint8Array.of(0x61, 0xff),
      {},
      'UTF-8 text, got other bytes at offset 1: save it as UTF-8, or use --vocabulary bytes',
    ],
    [
      'an incomplete character at its end',
      Uint8Array.of(0x61, 0xe9),
      {},
      'UTF-8 text, got other bytes at offset 2: save it as UTF-8, or use --vocabulary bytes',
    ],
    ['NUL bytes', 'a\0', {}, 'UTF-8 text, got a file with NUL bytes: use --vocabulary bytes if it is not text'],
    [
      'an unknown character',
      'ac',
      { vocabulary: { kind: 'characters', tokens: ['a', 'b'] } },
      'characters that the model knows, got "c" as character 2',
    ],
    [
      'a long line',
      'a\nabab',
      { lines: true, context: 4 },
      'lines of at most 3 characters, whose end is predicted as well, got 4 in line 2 that is not empty',
    ],
  ])('are refused by the name of the one with %s', async (_, content, options, expected) => {
    const folder = folderOf({ '0.txt': 'ab', '1.txt': content, '2.txt': 'ab' });
    const message = `${basename(folder)}/1.txt: expected ${expected}`;
    await expect(openDataset(folder, options)).rejects.toThrow(new DataError(message));
  });

  it('begin with a new line and without a byte order mark each', async () => {
    const folder = folderOf({ '0.txt': '\ufeffab', '1.txt': '\ufeffba' });
    expect((await openDataset(folder, { lines: true })).found).toContain(
      ': 2 lines of up to 2 characters, 3 different',
    );
  });

  const text = 'abcdefgh, abcdefgh\n'.repeat(20);
  const plain = datasetFromText(text, { context: 8 });

  it.each<[name: string, content: string | Uint8Array, options: OpenOptions]>([
    ['book.txt', text, {}],
    ['notes.md', text, {}],
    ['book.txt.gz', gzipSync(text), {}],
    ['notes.MD.GZ', gzipSync(text), {}],
    ['program.py', text, { model: {} }],
    ['book', text, { model: {} }],
    ['book', text, { vocabulary: vocabularyOf(plain) }],
  ])('%s is one', async (name, content, options) => {
    const folder = folderOf({ [name]: content });
    for (const path of [folder, join(folder, name)]) {
      const { found, ...opened } = await openDataset(path, { context: 8, ...options });
      expect({ ...opened, found }).toEqual({ ...plain, found: expect.stringContaining('380 characters') });
      if (path !== folder) expect(await openRows(path, options)).toBeUndefined();
    }
  });

  it('are tables if their name says so, whatever the model', async () => {
    const rows = 'it is good indeed,1\nit is bad indeed,2\n'.repeat(9);
    const path = join(folderOf({ 'reviews.csv': `review,stars\n${rows}` }), 'reviews.csv');
    expect((await openDataset(path, { model: {} })).found).toMatch(/^reviews\.csv: 18 rows/);
  });
});
