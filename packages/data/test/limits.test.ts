/** Files that would take far more memory than their size: one of each kind; `limits.full.test.ts` has more. */
import { describe, it } from 'vitest';
import {
  bigEndian,
  content,
  endless,
  equalRows,
  expectRefused,
  idxFiles,
  longLine,
  manyLines,
  mebibyte,
  packed,
  pictures,
  type Refusal,
} from './large-files.ts';
import { parquetFile } from './parquet-file.ts';

describe('a file that would take more than it is', () => {
  it.each<Refusal>([
    ['endless-line.csv', endless('a,b\n', 'x'), new RegExp(`line 2: ${longLine}$`)],
    ['endless-quoted.csv', endless('a,b\n"', 'x\n'), new RegExp(`line 2: ${longLine}: is a quote missing\\?$`)],
    ['million-columns.csv', endless(`${'a,'.repeat(1_000_000)}\n`, '1,\n'), /line 1: expected at most 100,000 columns/],
    ['endless-line.jsonl', endless('{"a":1}\n{"a":"', 'x'), new RegExp(`line 2: ${longLine}$`)],
    [
      'nested.jsonl',
      content(() => `{"sample":${'['.repeat(7 * mebibyte)}${']'.repeat(7 * mebibyte)},"label":1}`),
      /line 1: expected at most 2,097,152 lists and objects, got 7,340,033$/,
    ],
    ['rows.csv.gz', packed('1\n', 'a\n'), manyLines],
    ['rows.jsonl.gz', packed('{"a":1}\n'), manyLines],
    ['zeros.csv.gz', packed('\0'), /expected UTF-8 text, got a file with NUL bytes: is it text\?$/],
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
      'idx',
      idxFiles(bigEndian(0x803, 2 ** 32 - 1, 2 ** 32 - 1, 2 ** 32 - 1), bigEndian(0x801, 2 ** 32 - 1)),
      /-ubyte: truncated: expected 4294967295(?: x 4294967295){0,2} bytes after its header, got 0$/,
    ],
    [
      'chosen-size',
      pictures(10, 10, 100),
      /expected at most 2 GiB of pixels, got 3\.1 GiB for 200 pictures of 4096 x 4096/,
      { size: { width: 4_096, height: 4_096 } },
    ],
  ])('%s is refused in one sentence, in little memory', (...row) => expectRefused(...row));
});
