/** More files that would take far more memory than their size, and large files that take little. */
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import {
  bigEndian,
  content,
  endless,
  expectRefused,
  idxFiles,
  longLine,
  longText,
  manyLines,
  mebibyte,
  mostMegabytes,
  open,
  packed,
  pictures,
  type Refusal,
} from './large-files.ts';
import { parquetFile } from './parquet-file.ts';
import { folderOf } from './temporary-folder.ts';

describe('a file that would take more than it is', () => {
  it.each<Refusal>([
    ['endless-first-line.csv', endless('', 'x'), new RegExp(`line 1: ${longLine}$`)],
    ['endless-cells.csv', endless('a,b\n', '1,'), new RegExp(`line 2: ${longLine}$`)],
    ['quoted-breaks.csv', endless('a,b\n"', '\n', '",1\n'), new RegExp(`line 2: ${longLine}: is a quote missing\\?$`)],
    ['quoted-header.csv', endless('a,"', '\n', '"\n1,2\n'), new RegExp(`line 1: ${longLine}: is a quote missing\\?$`)],
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
    ['quoted-rows.csv.gz', packed('"",""\n', 'a,label\n'), manyLines],
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
    ['spaces.csv.gz', packed(' '), new RegExp(`line 1: ${longLine}$`)],
    [
      'long-text.parquet',
      content(() => longText(500_000)),
      /expected pages that unpack to at most 67,108,864 bytes in all, got \d\d,\d{3},\d{3}$/,
    ],
    [
      'huge-unpacked.parquet',
      content(() => parquetFile([{ name: 'a', values: [1, 2], claimedBytes: 2 ** 31 - 1 }], 2)),
      /expected pages that unpack to at most 67,108,864 bytes in all, got 2,147,483,647$/,
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
      'scaled-pictures',
      pictures(2_000, 2_000, 500),
      /expected pictures of at most \d,\d{3} megapixels in files of their size, got 3,815 megapixels$/,
      { size: { width: 8, height: 8 } },
    ],
  ])('%s is refused in one sentence, in little memory', (...row) => expectRefused(...row));
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
