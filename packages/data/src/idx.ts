/**
 * Reads IDX files, the format of MNIST.
 *
 * Format: http://yann.lecun.com/exdb/mnist/ - big-endian: two zero bytes, element type (8 for u8), number of
 * dimensions, each dimension as u32, then the elements, last dimension fastest.
 */
import { DataError } from './data-error.ts';

const magics = { images: 0x0000_0803, labels: 0x0000_0801 } as const;

type Content = keyof typeof magics;

/** Reads a file of `[count, rows, columns]` u8 pixels, of which `pixels` is a view. Throws DataError with its `name`. */
export function parseImages(file: Uint8Array, name: string) {
  const { dimensions, elements } = parse(file, name, 'images');
  const [count, rows, columns] = dimensions;
  return { name, count: count!, rows: rows!, columns: columns!, pixels: elements };
}

/** Reads a file of `[count]` u8 labels, of which `labels` is a view. Throws DataError with its `name`. */
export function parseLabels(file: Uint8Array, name: string) {
  const { dimensions, elements } = parse(file, name, 'labels');
  return { name, count: dimensions[0]!, labels: elements };
}

function parse(file: Uint8Array, name: string, content: Content) {
  const magic = magics[content];
  const rank = magic & 0xff;
  const headerBytes = 4 + 4 * rank;
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);

  if (file.byteLength >= 4 && view.getUint32(0) !== magic) refuseMagic(view.getUint32(0), name, content);
  if (file.byteLength < headerBytes) {
    throw new DataError(`${name}: truncated: ${headerBytes} bytes expected for its header, got ${file.byteLength}`);
  }

  const dimensions = Array.from({ length: rank }, (_, axis) => view.getUint32(4 + 4 * axis));
  if (dimensions.includes(0)) {
    throw new DataError(`${name}: expected ${content}, got none: its dimensions are ${dimensions.join(' x ')}`);
  }
  const elementCount = dimensions.reduce((product, dimension) => product * dimension, 1);
  const expectedBytes = headerBytes + elementCount;
  if (file.byteLength !== expectedBytes) {
    const fault = file.byteLength < expectedBytes ? 'truncated' : 'too long';
    throw new DataError(`${name}: ${fault}: ${expectedBytes} bytes expected from its header, got ${file.byteLength}`);
  }
  return { dimensions, elements: new Uint8Array(file.buffer, file.byteOffset + headerBytes, elementCount) };
}

function refuseMagic(found: number, name: string, content: Content): never {
  const expected = `${content} (magic ${hex(magics[content])})`;
  for (const [other, magic] of Object.entries(magics)) {
    if (found !== magic) continue;
    throw new DataError(`${name}: expected ${expected}, got ${other} (magic ${hex(found)}): are two files swapped?`);
  }
  throw new DataError(`${name}: expected an IDX file of ${expected}, got magic ${hex(found)}`);
}

const hex = (magic: number): string => `0x${magic.toString(16).padStart(8, '0')}`;
