/**
 * Bounds the work that decoding a msgpack frame can take, by walking its headers before anything is decoded.
 *
 * Type bytes are those of the msgpack specification. Bulk bytes are skipped, so the walk takes a few dozen steps however
 * long the frame is. A frame passes that is one complete map with string keys, without extension types, no deeper than
 * `maxDepth`, with at most `maxValues` values and strings of at most `maxStringBytes`.
 */
import { maxDepth } from './fields.ts';
import { ProtocolError } from './protocol-error.ts';

/** Most values (keys included) in a frame; only a model description needs more than twenty. */
export const maxValues = 16_384;

/** Longest string or key, in bytes. */
const maxStringBytes = 16_384;

type Kind = 'scalar' | 'string' | 'binary' | 'array' | 'map';

interface Header {
  readonly kind: Kind;
  /** Bytes of the length field that follows; 0 where there is none. */
  readonly lengthBytes: number;
  /** The length or size where there is no such field. */
  readonly size: number;
}

/** Throws ProtocolError unless `frame` keeps within the bounds above. */
export function checkFrame(frame: Uint8Array): void {
  const remaining: number[] = [1];
  const isMap: boolean[] = [false];
  let position = 0;
  let values = 0;

  while (remaining.length > 0) {
    const level = remaining.length - 1;
    if (remaining[level] === 0) {
      remaining.pop();
      isMap.pop();
      continue;
    }
    const expectsKey = isMap[level]! && remaining[level]! % 2 === 0;
    remaining[level]! -= 1;
    values += 1;
    if (values > maxValues) refuse(`at most ${maxValues} values`, 'more');

    const header = headerAt(frame, position);
    position += 1;
    if (level === 0 && header.kind !== 'map') refuse('a map', `a value of kind ${header.kind}`);
    if (expectsKey && header.kind !== 'string') refuse('a string as key', `a value of kind ${header.kind}`);

    const size = header.lengthBytes === 0 ? header.size : lengthAt(frame, position, header.lengthBytes);
    position += header.lengthBytes;
    switch (header.kind) {
      case 'array':
      case 'map':
        if (size > maxValues) refuse(`at most ${maxValues} values`, `${size} in one ${header.kind}`);
        if (level >= maxDepth) refuse(`nesting of at most ${maxDepth}`, 'more');
        remaining.push(header.kind === 'map' ? 2 * size : size);
        isMap.push(header.kind === 'map');
        break;
      case 'string':
        if (size > maxStringBytes) refuse(`strings of at most ${maxStringBytes} bytes`, `${size} bytes`);
        position += size;
        break;
      case 'binary':
      case 'scalar':
        position += size;
        break;
      default:
        header.kind satisfies never;
    }
    if (position > frame.length) refuse(`${position} bytes from its headers`, `${frame.length} bytes`);
  }
  if (position !== frame.length) refuse(`one value of ${position} bytes`, `${frame.length} bytes`);
}

function headerAt(frame: Uint8Array, position: number): Header {
  if (position >= frame.length) refuse('a complete value', `the end after ${frame.length} bytes`);
  const token = frame[position]!;
  return headers[token] ?? refuse('maps, arrays, strings, bytes and numbers', `type byte 0x${token.toString(16)}`);
}

function refuse(expected: string, got: string): never {
  throw new ProtocolError(`frame: expected ${expected}, got ${got}`);
}

/** Big-endian unsigned integer of `byteCount` bytes; bytes past the end count as 0 and the caller refuses them. */
function lengthAt(frame: Uint8Array, position: number, byteCount: number): number {
  let length = 0;
  for (let index = 0; index < byteCount; index += 1) length = length * 256 + (frame[position + index] ?? 0);
  return length;
}

/** Type bytes of scalars, by the bytes of the value that follows. */
const scalars: Readonly<Record<number, readonly number[]>> = {
  0: [0xc0, 0xc2, 0xc3], // nil, false, true
  1: [0xcc, 0xd0], // uint 8, int 8
  2: [0xcd, 0xd1], // uint 16, int 16
  4: [0xca, 0xce, 0xd2], // float 32, uint 32, int 32
  8: [0xcb, 0xcf, 0xd3], // float 64, uint 64, int 64
};

/** Type bytes that a length field follows, by kind and the bytes of that field. */
const withLength = {
  binary: { 1: 0xc4, 2: 0xc5, 4: 0xc6 },
  string: { 1: 0xd9, 2: 0xda, 4: 0xdb },
  array: { 2: 0xdc, 4: 0xdd },
  map: { 2: 0xde, 4: 0xdf },
} as const satisfies Readonly<Record<string, Readonly<Record<number, number>>>>;

/** Headers by type byte; undefined for the extension types and for 0xc1, which the format never uses. */
function createHeaders(): readonly (Header | undefined)[] {
  const headers = new Array<Header | undefined>(256).fill(undefined);
  const fill = (kind: Kind, from: number, to: number): void => {
    for (let token = from; token < to; token++) headers[token] = { kind, lengthBytes: 0, size: token - from };
  };
  fill('map', 0x80, 0x90);
  fill('array', 0x90, 0xa0);
  fill('string', 0xa0, 0xc0);
  const integers = [...Array(0x80).keys(), ...Array.from({ length: 0x20 }, (_, index) => 0xe0 + index)];
  for (const token of integers) headers[token] = { kind: 'scalar', lengthBytes: 0, size: 0 };
  for (const [size, tokens] of Object.entries(scalars)) {
    for (const token of tokens) headers[token] = { kind: 'scalar', lengthBytes: 0, size: Number(size) };
  }
  for (const kind of ['binary', 'string', 'array', 'map'] as const) {
    for (const [bytes, token] of Object.entries(withLength[kind])) {
      headers[token] = { kind, lengthBytes: Number(bytes), size: 0 };
    }
  }
  return headers;
}

const headers = createHeaders();
