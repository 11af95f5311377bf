/** Makes files that would take far more memory than their size; the built package reads each in a measured process. */
import { execFile } from 'node:child_process';
import { closeSync, mkdirSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import sharp from 'sharp';
import { expect } from 'vitest';
import type { OpenOptions } from '../src/node/open-dataset.ts';
import { parquetFile } from './parquet-file.ts';
import { folderOf } from './temporary-folder.ts';

const program = fileURLToPath(new URL('read-measured.mjs', import.meta.url));
export const mostMegabytes = 500;
/** Stops a reader that would take minutes. */
const givesUpAfterMs = 120_000;
export const mebibyte = 2 ** 20;

interface Measured {
  readonly found?: string;
  readonly sampleShape?: readonly number[];
  readonly name?: string;
  readonly message?: string;
  readonly megabytes: number;
}

export async function open(path: string, options: OpenOptions = {}): Promise<Measured> {
  const args = [program, path, JSON.stringify(options)];
  const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: givesUpAfterMs });
  return JSON.parse(stdout) as Measured;
}

/** Writes a file with a start and a piece that repeats, without holding all of it in memory. */
export function endless(start: string, piece: string, end = ''): (path: string) => void {
  return (path) => {
    const file = openSync(path, 'w');
    writeSync(file, start);
    const block = Buffer.alloc(mebibyte, piece);
    for (let count = 0; count < 40; count += 1) writeSync(file, block);
    writeSync(file, end);
    closeSync(file);
  };
}

export const content = (bytes: () => string | Uint8Array) => (path: string) => writeFileSync(path, bytes());
export const packed = (piece: string, start = '', mebibytes = 24) =>
  content(() => gzipSync(Buffer.concat([Buffer.from(start), Buffer.alloc(mebibytes * mebibyte, piece)])));
export const bigEndian = (...values: number[]): Buffer => {
  const bytes = Buffer.alloc(4 * values.length);
  for (const [index, value] of values.entries()) bytes.writeUInt32BE(value, 4 * index);
  return bytes;
};

export function idxFiles(images: Buffer, labels: Buffer, end = ''): (path: string) => void {
  return (path) => {
    mkdirSync(path);
    for (const part of ['train', 't10k']) {
      writeFileSync(join(path, `${part}-images-idx3-ubyte${end}`), images);
      writeFileSync(join(path, `${part}-labels-idx1-ubyte${end}`), labels);
    }
  };
}

export function pictures(width: number, height: number, each: number): (path: string) => Promise<void> {
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

export const equalRows = (rows: number): Uint8Array =>
  parquetFile(
    ['a', 'label'].map((name) => ({ name, values: { equal: 1 } })),
    rows,
  );
export const longText = (rows: number): Uint8Array =>
  parquetFile(
    [
      { name: 'a', values: { equal: ` ${'1'.repeat(2 ** 20)} ` } },
      { name: 'label', values: { equal: 1 } },
    ],
    rows,
  );
export const longLine = 'expected at most 16,777,216 bytes, got more';
export const manyLines = /^[\w.-]+: expected at most 524,288 lines in a file of its size, got more$/;

/** Name and content of a file, and why it is refused. */
export type Refusal = [
  name: string,
  write: (path: string) => void | Promise<void>,
  message: RegExp,
  options?: OpenOptions,
];

/** Expects a file to be refused in one sentence, in little memory. */
export async function expectRefused(...[name, write, message, options]: Refusal): Promise<void> {
  const path = join(folderOf({}), name);
  await write(path);
  const measured = await open(path, options);
  expect(measured).toMatchObject({ name: 'DataError', message: expect.stringMatching(message) });
  expect(measured.message!.startsWith(name) || name.startsWith('idx'), measured.message).toBe(true);
  expect(measured.megabytes).toBeLessThan(mostMegabytes);
}
