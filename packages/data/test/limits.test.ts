/** Files that would take far more memory than their size; the built package reads each in a measured process. */
import { execFile } from 'node:child_process';
import { closeSync, mkdirSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import type { OpenOptions } from '../src/node/open-dataset.ts';
import { parquetFile } from './parquet-file.ts';
import { folderOf } from './temporary-folder.ts';

const program = fileURLToPath(new URL('read-measured.mjs', import.meta.url));
const mostMegabytes = 500;
/** Stops a reader that would take minutes. */
const givesUpAfterMs = 120_000;
const mebibyte = 2 ** 20;

interface Measured {
  readonly found?: string;
  readonly sampleShape?: readonly number[];
  readonly name?: string;
  readonly message?: string;
  readonly megabytes: number;
}

async function open(path: string, options: OpenOptions = {}): Promise<Measured> {
  const args = [program, path, JSON.stringify(options)];
  const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: givesUpAfterMs });
  return JSON.parse(stdout) as Measured;
}

/** Writes a file with a start and a piece that repeats, without holding all of it in memory. */
function endless(start: string, piece: string, end = ''): (path: string) => void {
  return (path) => {
    const file = openSync(path, 'w');
    writeSync(file, start);
    const block = Buffer.alloc(mebibyte, piece);
    for (let count = 0; count < 40; count += 1) writeSync(file, block);
    writeSync(file, end);
    closeSync(file);
  };
}

const content = (bytes: () => string | Uint8Array) => (path: string) => writeFileSync(path, bytes());
const packed = (piece: string, start = '', mebibytes = 24) =>
  content(() => gzipSync(Buffer.concat([Buffer.from(start), Buffer.alloc(mebibytes * mebibyte, piece)])));
const bigEndian = (...values: number[]): Buffer => {
  const bytes = Buffer.alloc(4 * values.length);
  for (const [index, value] of values.entries()) bytes.writeUInt32BE(value, 4 * index);
  return bytes;
};

function idxFiles(images: Buffer, labels: Buffer, end = ''): (path: string) => void {
  return (path) => {
    mkdirSync(path);
    for (const part of ['train', 't10k']) {
      writeFileSync(join(path, `${part}-images-idx3-ubyte${end}`), images);
      writeFileSync(join(path, `${part}-labels-idx1-ubyte${end}`), labels);
    }
  };
}

function pictures(width: number, height: number, each: number): (path: string) => Promise<void> {
  return async (path) => {
    const blank = { create: { width, height, channels: 3 as const, background: 'black' }, limitInputPixels: false };
    const bytes = await sharp({ ...blank })
      .png({ compressionLevel: 9 })
      .toBuffer();
    for (const className of ['a', 'b']) {
      mkdirSync(join(path, className), { recursive: true });
      for (let index = 0; index < each; index += 1) writeFileSync(join(path, className, `${index}.png`), bytes);
    }
  };
}

const equalRows = (rows: number): Uint8Array =>
  parquetFile(
    ['a', 'label'].map((name) => ({ name, values: { equal: 1 } })),
    rows,
  );
const longText = (rows: number): Uint8Array =>
  parquetFile(
    [
      { name: 'a', values: { equal: ` ${'1'.repeat(2 ** 20)} ` } },
      { name: 'label', values: { equal: 1 } },
    ],
    rows,
  );
const longLine = 'expected at most 16,777,216 bytes, got more';
const manyLines = /^[\w.-]+: expected at most 524,288 lines in a file of its size, got more$/;

describe('a file that would take more than it is', () => {
  it.each<[name: string, write: (path: string) => void | Promise<void>, message: RegExp, options?: OpenOptions]>([
    ['endless-first-line.csv', endless('', 'x'), new RegExp(`line 1: ${longLine}$`)],
    ['endless-line.csv', endless('a,b\n', 'x'), new RegExp(`line 2: ${longLine}$`)],
    ['endless-cells.csv', endless('a,b\n', '1,'), new RegExp(`line 2: ${longLine}$`)],
    ['endless-quoted.csv', endless('a,b\n"', 'x\n'), new RegExp(`line 2: ${longLine}: is a quote missing\\?$`)],
    ['quoted-breaks.csv', endless('a,b\n"', '\n', '",1\n'), new RegExp(`line 2: ${longLine}: is a quote missing\\?$`)],
    ['quoted-header.csv', endless('a,"', '\n', '"\n1,2\n'), new RegExp(`line 1: ${longLine}: is a quote missing\\?$`)],
    ['million-columns.csv', endless(`${'a,'.repeat(1_000_000)}\n`, '1,\n'), /line 1: expected at most 100,000 columns/],
    ['endless-line.jsonl', endless('{"a":1}\n{"a":"', 'x'), new RegExp(`line 2: ${longLine}$`)],
    [
      'nested.jsonl',
      content(() => `{"sample":${'['.repeat(7 * mebibyte)}${']'.repeat(7 * mebibyte)},"label":1}`),
      /line 1: expected at most 2,097,152 lists and objects, got 7,340,033$/,
    ],
    [
      'objects.jsonl',
      content(() => `{"sample":[${'{},'.repeat(5 * mebibyte)}1],"label":1}`),
      /line 1: expected at most 2,097,152 lists and objects/,
    ],
    [
      'long-rows.csv.gz',
      packed(`${'1,2,x'.repeat(200)}\n`, '', 80),
      /expected gzip data that unpack to at most 64\.0 MiB, as a file of .* may/,
    ],
    ['long-rows.jsonl.gz', packed(`{"a":"${'x'.repeat(1_000)}"}\n`, '', 80), /unpack to at most 64\.0 MiB/],
    ['rows.csv.gz', packed('1\n', 'a\n'), manyLines],
    ['quoted-rows.csv.gz', packed('"",""\n', 'a,label\n'), manyLines],
    ['rows.jsonl.gz', packed('{"a":1}\n'), manyLines],
    ['blank.csv.gz', packed('\n', 'a,label\n'), manyLines],
    ['blank.jsonl.gz', packed('\n', '{"a":1}\n'), manyLines],
    ['carriage-returns.csv.gz', packed('\r', 'a,label\n'), manyLines],
    [
      'empty-lists.jsonl.gz',
      content(() => gzipSync(`{"sample":[${'[],'.repeat(2_000_000)}[]],"label":1}\n`.repeat(8))),
      /line 1, sample: expected numbers, got an empty list$/,
    ],
    [
      'lists.jsonl.gz',
      content(() => gzipSync(`{"sample":[${'[1],'.repeat(1_000_000)}[1]],"label":1}\n`.repeat(8))),
      /expected at most 4,194,304 values in a file of its size, got 8 rows of 2,000,004$/,
    ],
    [
      'wide.csv.gz',
      packed(`${'1,'.repeat(9_999)}1\n`, `${Array.from({ length: 10_000 }, (_, index) => index).join(',a')}\n`, 30),
      /expected at most 4,194,304 values in a file of its size, got \d+ rows of 10,000$/,
    ],
    ['zeros.csv.gz', packed('\0'), /expected UTF-8 text, got a file with NUL bytes: is it text\?$/],
    ['spaces.csv.gz', packed(' '), new RegExp(`line 1: ${longLine}$`)],
    [
      'equal-rows.parquet',
      content(() => equalRows(200_000_000)),
      /expected at most 4,194,304 values in a file of its size, got 200,000,000 rows of 2$/,
    ],
    [
      'rows.parquet',
      content(() => equalRows(2_000_000)),
      /expected at most 524,288 rows in a file of its size, got more$/,
    ],
    [
      'long-text.parquet',
      content(() => longText(500_000)),
      /expected pages that unpack to at most 67,108,864 bytes in all, got \d\d,\d{3},\d{3}$/,
    ],
    [
      'huge-count.parquet',
      content(() => parquetFile([{ name: 'a', values: [1, 2] }], 2, 2 ** 50)),
      /expected at most 4,194,304 values in a file of its size, got 1,125,899,906,842,624 rows of 1$/,
    ],
    [
      'huge-page.parquet',
      content(() => parquetFile([{ name: 'a', values: [1, 2], claimedValues: 2 ** 31 - 1 }], 2)),
      /cannot be read: a column of 2 rows has a page of 2147483647 values$/,
    ],
    [
      'huge-unpacked.parquet',
      content(() => parquetFile([{ name: 'a', values: [1, 2], claimedBytes: 2 ** 31 - 1 }], 2)),
      /expected pages that unpack to at most 67,108,864 bytes in all, got 2,147,483,647$/,
    ],
    [
      'idx',
      idxFiles(bigEndian(0x803, 2 ** 32 - 1, 2 ** 32 - 1, 2 ** 32 - 1), bigEndian(0x801, 2 ** 32 - 1)),
      /-ubyte: truncated: expected 4294967295(?: x 4294967295){0,2} bytes after its header, got 0$/,
    ],
    [
      'idx-packed',
      idxFiles(
        gzipSync(Buffer.concat([bigEndian(0x803, 300_000, 28, 28), Buffer.alloc(784 * 300_000)])),
        gzipSync(Buffer.concat([bigEndian(0x801, 300_000), Buffer.alloc(300_000)])),
        '.gz',
      ),
      /expected gzip data that unpack to at most 64\.0 MiB/,
    ],
    [
      'idx-rows',
      idxFiles(
        gzipSync(Buffer.concat([bigEndian(0x803, 2 ** 25, 1, 1), Buffer.alloc(2 ** 25)])),
        gzipSync(Buffer.concat([bigEndian(0x801, 2 ** 25), Buffer.alloc(2 ** 25)])),
        '.gz',
      ),
      /expected at most 524,288 images in a file of its size, got more$/,
    ],
    [
      'large-pictures',
      pictures(16_000, 8_000, 4),
      /cannot be read: it has more than 67,108,864 pixels; use --skip-bad/,
    ],
    [
      'many-pixels',
      pictures(4_000, 4_000, 20),
      /expected pictures of at most \d{3} megapixels in files of their size, got 611 megapixels$/,
    ],
    [
      'chosen-size',
      pictures(10, 10, 100),
      /expected at most 2 GiB of pixels, got 3\.1 GiB for 200 pictures of 4096 x 4096/,
      { size: { width: 4_096, height: 4_096 } },
    ],
    [
      'scaled-pictures',
      pictures(2_000, 2_000, 500),
      /expected pictures of at most \d,\d{3} megapixels in files of their size, got 3,815 megapixels$/,
      { size: { width: 8, height: 8 } },
    ],
  ])('%s is refused in one sentence, in little memory', async (name, write, message, options) => {
    const path = join(folderOf({}), name);
    await write(path);
    const measured = await open(path, options);
    expect(measured).toMatchObject({ name: 'DataError', message: expect.stringMatching(message) });
    expect(measured.message!.startsWith(name) || name.startsWith('idx'), measured.message).toBe(true);
    expect(measured.megabytes).toBeLessThan(mostMegabytes);
  });
});

it('a cell of quotes alone takes little memory', async () => {
  const quotes = '""'.repeat(7 * mebibyte);
  const rows = ['x', 'y', 'x', 'y'].map((label) => `"${quotes}",${label}\n`);
  const measured = await open(
    join(folderOf({ 'quotes.csv.gz': gzipSync(`a,label\n${rows.join('')}`) }), 'quotes.csv.gz'),
  );
  expect(measured.found).toMatch(/4 rows, 1 category/);
  expect(measured.megabytes).toBeLessThan(mostMegabytes);
});

describe('a wide table', () => {
  const width = 60_000;
  const rows = 20;
  const number = (row: number, column: number): number => ((7 * row + 3 * column) % 1_000) / 8 + 1_000_000;
  const names = Array.from({ length: width }, (_, column) => `column ${column}`);
  const labelOf = (row: number): string => (row % 2 === 0 ? 'x' : 'y');
  const numbersOf = (row: number): number[] => names.map((_, column) => number(row, column));
  const allRows = Array.from({ length: rows }, (_, row) => row);

  it.each<[name: string, content: () => string | Uint8Array]>([
    [
      'wide.csv',
      () =>
        [[...names, 'label'], ...allRows.map((row) => [...numbersOf(row), labelOf(row)])]
          .map((cells) => cells.join(','))
          .join('\n'),
    ],
    [
      'short-cells.csv',
      () =>
        [
          [...names.keys(), 'label'],
          ...allRows.map((row) => [...names.map((_, column) => (7 * row + 3 * column) % 1_000), labelOf(row)]),
        ]
          .map((cells) => cells.join(','))
          .join('\n'),
    ],
    [
      'wide.jsonl',
      () =>
        allRows
          .map((row) => {
            const fields = numbersOf(row).map((value, column) => `"${names[column]}":${value}`);
            return `{${fields.join()},"label":"${labelOf(row)}"}`;
          })
          .join('\n'),
    ],
  ])('%s of 60,000 columns takes less memory than 20 times the file', async (name, content) => {
    const bytes = Buffer.from(content());
    const folder = folderOf({ [name]: bytes, 'small.csv': 'a,label\n1,x\n2,x\n3,y\n4,y\n' });
    const { megabytes: own } = await open(join(folder, 'small.csv'));
    const measured = await open(join(folder, name));
    expect(measured).toMatchObject({
      sampleShape: [width],
      found: expect.stringContaining('20 rows, 60,000 numbers each'),
    });
    expect((measured.megabytes - own) * 1e6).toBeLessThan(20 * bytes.length);
  });
});
