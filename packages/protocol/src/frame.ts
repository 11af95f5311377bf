/**
 * Bounds what a msgpack frame may ask of its reader, by walking its headers before anything is built from it.
 *
 * Formats are those of the msgpack specification. Bulk bytes are skipped, so the walk costs a few dozen steps however
 * long the frame is. What passes is one complete map with string keys, without extension types, no deeper than
 * `maxDepth`, of at most `maxValues` values, its strings at most `maxStringBytes` each.
 */
import { maxDepth } from './fields.ts';
import { ProtocolError } from './protocol-error.ts';

/** Values (keys included) in one frame; a model description is the only message that needs more than twenty. */
export const maxValues = 16_384;

/** Longest string or key, in bytes. */
export const maxStringBytes = 16_384;

type Kind = 'scalar' | 'string' | 'binary' | 'array' | 'map';

/** A header: what it opens, bytes of a length field that follows it, and the length or size when it has none. */
interface Header {
  readonly kind: Kind;
  readonly lengthBytes: 0 | 1 | 2 | 4;
  readonly size: number;
}

const headers: readonly (Header | undefined)[] = Array.from({ length: 256 }, (_, token) => headerOf(token));

/** Throws ProtocolError unless `frame` keeps the bounds above. */
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

    if (position >= frame.length) refuse('a complete value', `the end after ${frame.length} bytes`);
    const token = frame[position]!;
    position += 1;
    const header = headers[token];
    if (header === undefined) refuse('maps, arrays, strings, bytes and numbers', `type byte 0x${token.toString(16)}`);
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

function refuse(expected: string, got: string): never {
  throw new ProtocolError(`frame: expected ${expected}, got ${got}`);
}

/** Big-endian unsigned integer of `byteCount` bytes; bytes past the end count as 0 and the caller refuses them. */
function lengthAt(frame: Uint8Array, position: number, byteCount: number): number {
  let length = 0;
  for (let index = 0; index < byteCount; index += 1) length = length * 256 + (frame[position + index] ?? 0);
  return length;
}

/** The header of a type byte; undefined for the extension types and for 0xc1, which the format never uses. */
function headerOf(token: number): Header | undefined {
  if (token < 0x80 || token >= 0xe0) return { kind: 'scalar', lengthBytes: 0, size: 0 };
  if (token < 0x90) return { kind: 'map', lengthBytes: 0, size: token - 0x80 };
  if (token < 0xa0) return { kind: 'array', lengthBytes: 0, size: token - 0x90 };
  if (token < 0xc0) return { kind: 'string', lengthBytes: 0, size: token - 0xa0 };
  switch (token) {
    case 0xc0: // nil
    case 0xc2: // false
    case 0xc3: // true
      return { kind: 'scalar', lengthBytes: 0, size: 0 };
    case 0xcc: // uint 8
    case 0xd0: // int 8
      return { kind: 'scalar', lengthBytes: 0, size: 1 };
    case 0xcd: // uint 16
    case 0xd1: // int 16
      return { kind: 'scalar', lengthBytes: 0, size: 2 };
    case 0xca: // float 32
    case 0xce: // uint 32
    case 0xd2: // int 32
      return { kind: 'scalar', lengthBytes: 0, size: 4 };
    case 0xcb: // float 64
    case 0xcf: // uint 64
    case 0xd3: // int 64
      return { kind: 'scalar', lengthBytes: 0, size: 8 };
    case 0xc4:
      return { kind: 'binary', lengthBytes: 1, size: 0 };
    case 0xc5:
      return { kind: 'binary', lengthBytes: 2, size: 0 };
    case 0xc6:
      return { kind: 'binary', lengthBytes: 4, size: 0 };
    case 0xd9:
      return { kind: 'string', lengthBytes: 1, size: 0 };
    case 0xda:
      return { kind: 'string', lengthBytes: 2, size: 0 };
    case 0xdb:
      return { kind: 'string', lengthBytes: 4, size: 0 };
    case 0xdc:
      return { kind: 'array', lengthBytes: 2, size: 0 };
    case 0xdd:
      return { kind: 'array', lengthBytes: 4, size: 0 };
    case 0xde:
      return { kind: 'map', lengthBytes: 2, size: 0 };
    case 0xdf:
      return { kind: 'map', lengthBytes: 4, size: 0 };
    default:
      return undefined;
  }
}
