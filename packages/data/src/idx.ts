/**
 * Reads IDX files, the format of MNIST.
 *
 * Format: http://yann.lecun.com/exdb/mnist/ - big-endian: two zero bytes, element type (8 for u8), number of
 * dimensions, each dimension as u32, then the elements, last dimension fastest.
 */
import { DataError } from './data-error.ts';
import { requireRows } from './limits.ts';

/** Magic numbers; the last byte is the number of dimensions. */
const magics = { images: [0x0000_0803, 0x0000_0804], labels: [0x0000_0801] } as const;

type Content = keyof typeof magics;

/** Bytes of the longest header. */
const maxHeaderBytes = 4 + 4 * 4;

/**
 * Reads u8 pixels, gray `[count, rows, columns]` or color `[count, rows, columns, channels]`; `pixels` is a view.
 * @throws DataError whose message begins with `name`
 */
export function parseImages(file: Uint8Array, name: string) {
  const { dimensions, elements } = parse(file, name, 'images');
  const [count, rows, columns, channels = 1] = dimensions;
  // PyTorch puts channels before rows; such a file would be misread, with channels as rows.
  if ((rows === 1 || rows === 3) && channels > 4) {
    const got = dimensions.join(' x ');
    throw new DataError(
      `${name}: expected images as count x rows x columns x channels, got ${got}: move the channels to the end`,
    );
  }
  return { name, count: count!, rows: rows!, columns: columns!, channels, pixels: elements };
}

/** Reads u8 labels, `[count]`; `labels` is a view. @throws DataError whose message begins with `name` */
export function parseLabels(file: Uint8Array, name: string) {
  const { dimensions, elements } = parse(file, name, 'labels');
  return { name, count: dimensions[0]!, labels: elements };
}

/** Creates a check of a file while it is read, which stops early if the file contradicts its header or is too large. */
export function idxGate(name: string, content: Content) {
  let header: ReturnType<typeof headerOf> | undefined;
  let seenBytes = 0;
  return (chunk: Uint8Array, totalBytes: number, fileBytes: number): void => {
    seenBytes += chunk.length;
    // A first chunk that is shorter than a header is not checked: more may follow, and `parse` sees the whole file.
    if (seenBytes === chunk.length && chunk.length >= maxHeaderBytes) {
      header = headerOf(chunk, name, content);
    }
    if (header === undefined) return;
    const { dimensions, expectedBytes } = header;
    const bytes = Math.max(seenBytes, totalBytes);
    if (totalBytes > 0 || bytes > expectedBytes) requireBytes(name, expectedBytes, bytes);
    // Sorted labels may compress well, so they have no such limit; their number has to match the images.
    if (content === 'images') requireRows(name, 'images', dimensions[0]!, fileBytes);
  };
}

function parse(file: Uint8Array, name: string, content: Content) {
  const { dimensions, headerBytes, expectedBytes } = headerOf(file, name, content);
  requireBytes(name, expectedBytes, file.byteLength);
  return { dimensions, elements: file.subarray(headerBytes) };
}

/** @param file at least its first bytes */
function headerOf(file: Uint8Array, name: string, content: Content) {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const magic = file.byteLength >= 4 ? view.getUint32(0) : magics[content][0];
  if (!magics[content].some((known) => known === magic)) refuseMagic(magic, name, content);
  const rank = magic & 0xff;
  const headerBytes = 4 + 4 * rank;
  if (file.byteLength < headerBytes) {
    throw new DataError(`${name}: truncated: ${headerBytes} bytes expected for its header, got ${file.byteLength}`);
  }
  const dimensions = Array.from({ length: rank }, (_, axis) => view.getUint32(4 + 4 * axis));
  if (dimensions.includes(0)) {
    throw new DataError(`${name}: expected ${content}, got none: its dimensions are ${dimensions.join(' x ')}`);
  }
  const elementCount = dimensions.reduce((product, dimension) => product * dimension, 1);
  return { dimensions, headerBytes, expectedBytes: headerBytes + elementCount };
}

function requireBytes(name: string, expectedBytes: number, got: number): void {
  if (got === expectedBytes) return;
  const fault = got < expectedBytes ? 'truncated' : 'too long';
  throw new DataError(`${name}: ${fault}: ${expectedBytes} bytes expected from its header, got ${got}`);
}

function refuseMagic(found: number, name: string, content: Content): never {
  const expected = `${content} (magic ${hex(magics[content][0])})`;
  for (const [other, known] of Object.entries(magics)) {
    if (!known.some((magic) => magic === found)) continue;
    throw new DataError(`${name}: expected ${expected}, got ${other} (magic ${hex(found)}): are two files swapped?`);
  }
  throw new DataError(`${name}: expected an IDX file of ${expected}, got magic ${hex(found)}`);
}

const hex = (magic: number): string => `0x${magic.toString(16).padStart(8, '0')}`;
