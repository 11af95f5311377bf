/**
 * Reads and writes the safetensors format: 8 bytes of header length, a JSON header, raw little-endian numbers.
 * Format: https://github.com/huggingface/safetensors#format
 */

import { checkArguments } from '@lockstep/data';
import { fileKind } from '@lockstep/data/shown';
import { formatShape, type Shape, sizeOf } from '@lockstep/tensor';
import * as v from 'valibot';
import { check, kinds } from './check.ts';

export interface NamedTensor {
  readonly name: string;
  readonly shape: Shape;
  /** Row-major. */
  readonly values: Float32Array;
}

export interface SafetensorsFile {
  /** In the order of their data in the file. */
  readonly tensors: readonly NamedTensor[];
  readonly metadata: Readonly<Record<string, string>>;
}

const lengthBytes = 8;
/** Limit of the format: a hostile length is rejected before the header is read. */
const maximumHeaderBytes = 100_000_000;
const openingBrace = 0x7b;
const metadataKey = '__metadata__';

const count = v.pipe(
  v.number('expected a number'),
  v.safeInteger('expected a whole number'),
  v.minValue(0, 'expected 0 or more'),
);
const entrySchema = v.object({
  dtype: v.string('expected a string'),
  shape: v.array(count, 'expected a list of sizes'),
  data_offsets: v.tuple([count, count], 'expected [begin, end]'),
});
const metadataSchema = v.record(v.string(), v.string('expected a string'), 'expected an object of strings');

/** Returns the bytes of a file that holds `tensors` as F32, in the order given. */
export function writeSafetensors(file: SafetensorsFile): Uint8Array<ArrayBuffer> {
  checkArguments('writeSafetensors', [kinds.file, file]);
  const { tensors, metadata } = file;
  const header = new Map<string, unknown>();
  if (Object.keys(metadata).length > 0) header.set(metadataKey, metadata);
  let end = 0;
  for (const { name, shape, values } of tensors) {
    const size = sizeOf(shape);
    if (size !== values.length) {
      const expected = `shape ${formatShape(shape)}, expected ${size} values`;
      throw new Error(`safetensors: ${name} has ${expected}, got ${values.length}`);
    }
    if (header.has(name) || name === metadataKey) throw new Error(`safetensors: the name ${name} is already taken`);
    const begin = end;
    end += values.length * 4;
    header.set(name, { dtype: 'F32', shape, data_offsets: [begin, end] });
  }
  const text = new TextEncoder().encode(JSON.stringify(Object.fromEntries(header)));
  const headerBytes = Math.ceil(text.length / 8) * 8;
  const bytes = new Uint8Array(lengthBytes + headerBytes + end);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, BigInt(headerBytes), true);
  bytes.set(text, lengthBytes);
  bytes.fill(0x20, lengthBytes + text.length, lengthBytes + headerBytes);
  // Values are copied without conversion, here and when reading: the protocol runs only on little-endian machines.
  let at = lengthBytes + headerBytes;
  for (const { values } of tensors) {
    bytes.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), at);
    at += values.byteLength;
  }
  return bytes;
}

/**
 * Reads the F32 tensors of a file.
 * Throws one sentence if the file is truncated, has gaps or overlaps, or is in another format.
 * @param isSkipped whether to skip the tensor of this name, whatever its dtype; none by default
 */
export function readSafetensors(bytes: Uint8Array, isSkipped = (_name: string): boolean => false): SafetensorsFile {
  checkArguments('readSafetensors', [kinds.bytes, bytes]);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const { header, dataStart } = readHeader(bytes, view);
  let metadata: Record<string, string> = {};
  const entries: { name: string; shape: number[]; begin: number; end: number }[] = [];
  for (const [name, value] of Object.entries(header)) {
    if (name === metadataKey) {
      metadata = check('safetensors: metadata', metadataSchema, value);
      continue;
    }
    const { dtype, shape, data_offsets } = check(`safetensors: ${name}`, entrySchema, value);
    const [begin, end] = data_offsets;
    entries.push({ name, shape, begin, end });
    if (isSkipped(name)) continue;
    if (dtype !== 'F32') throw new Error(`safetensors: ${name}: expected dtype F32, got ${dtype}`);
    const size = 4 * sizeOf(shape);
    if (end - begin !== size) {
      const expected = `${size} bytes for shape ${formatShape(shape)}`;
      throw new Error(`safetensors: ${name}: expected ${expected}, got ${end - begin}`);
    }
  }
  entries.sort((left, right) => left.begin - right.begin || left.end - right.end);
  const dataBytes = bytes.byteLength - dataStart;
  let position = 0;
  for (const { name, begin, end } of entries) {
    if (begin !== position) {
      throw new Error(`safetensors: ${name}: expected its data at byte ${position}, got ${begin}`);
    }
    position = end;
  }
  if (position !== dataBytes) throw new Error(`safetensors: expected ${position} bytes of data, got ${dataBytes}`);
  const tensors = entries
    .filter(({ name }) => !isSkipped(name))
    .map(({ name, shape, begin, end }) => {
      const own = new Uint8Array(bytes.subarray(dataStart + begin, dataStart + end));
      return { name, shape, values: new Float32Array(own.buffer) };
    });
  return { tensors, metadata };
}

function readHeader(bytes: Uint8Array, view: DataView): { header: object; dataStart: number } {
  if (bytes.byteLength < lengthBytes) throw new Error(`expected a safetensors file, got ${fileKind(bytes)}`);
  const headerBytes = view.getBigUint64(0, true);
  const most = Math.min(bytes.byteLength - lengthBytes, maximumHeaderBytes);
  // In a file of another format, the first bytes are not a length.
  if (headerBytes > BigInt(most) && bytes[lengthBytes] !== openingBrace) {
    throw new Error(`expected a safetensors file, got ${fileKind(bytes)}`);
  }
  if (headerBytes > BigInt(most)) {
    throw new Error(`safetensors: the header claims ${headerBytes} bytes, expected at most ${most}`);
  }
  const dataStart = lengthBytes + Number(headerBytes);
  let header: unknown;
  try {
    header = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(lengthBytes, dataStart)));
  } catch {
    if (bytes[lengthBytes] !== openingBrace) throw new Error(`expected a safetensors file, got ${fileKind(bytes)}`);
    throw new Error('safetensors: expected a JSON header, got bytes that cannot be read as JSON');
  }
  if (typeof header !== 'object' || header === null || Array.isArray(header)) {
    throw new Error('safetensors: expected the header to be a JSON object');
  }
  return { header, dataStart };
}
