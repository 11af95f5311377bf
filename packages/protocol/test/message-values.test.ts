/** Fields with invalid values are refused with what was expected and what came. */
import { describe, expect, it } from 'vitest';
import { decode } from '../src/codec.ts';
import type { MessageOf } from '../src/messages.ts';
import type { MessageType } from './arbitraries.ts';
import { packedWith, refusal, senderOf } from './frames.ts';
import { pack } from './refusals.ts';

describe('values', () => {
  const cases: readonly (readonly [string, MessageType, Record<string, unknown>, RegExp])[] = [
    ['an empty name', 'hello', { name: '' }, /^hello\.name: expected one line of 1 to 80 printable .* 0 characters$/],
    ['a long name', 'hello', { name: 'x'.repeat(81) }, /^hello\.name: .* got a string of 81 characters$/],
    ['an escape sequence', 'hello', { name: '\u001b[2J' }, /^hello\.name: expected one line/],
    ['no threads', 'hello', { threads: 0 }, /^hello\.threads: expected a whole number from 1 to 65536, got 0$/],
    ['an unknown kind', 'hello', { kind: 'toaster' }, /^hello\.kind: expected one of .*"node".*, got "toaster"$/],
    ['a fractional step', 'weights', { step: 1.5 }, /^weights\.step: expected a whole number of at least 0, got 1\.5$/],
    ['a negative step', 'weights', { step: -1 }, /^weights\.step: .* got -1$/],
    ['an unsafe step', 'weights', { step: 2 ** 53 }, /^weights\.step: .* got 9007199254740992$/],
    [
      'torn floats',
      'weights',
      { bytes: new Uint8Array(6) },
      /^weights\.bytes: expected .* multiple of 4, got 6 bytes$/,
    ],
    [
      'a vector of one value',
      'weights',
      { values: 1 },
      /^weights\.values: expected a whole number from 2 to 268435456/,
    ],
    ['a chunk at the beginning', 'chunk', { at: 0 }, /^chunk\.at: expected a whole number of at least 1, got 0$/],
    ['chunks of torn floats', 'welcome', { chunkBytes: 6 }, /^welcome\.chunkBytes: expected a multiple of 4, got 6$/],
    ['n of 3', 'cancel', { lo: 0, n: 3 }, /^cancel: expected a shard with n a power of two .* lo 0, n 3$/],
    ['n of 0', 'cancel', { lo: 0, n: 0 }, /^cancel\.n: expected a whole number from 1 to \d+, got 0$/],
    ['lo astride', 'gradient', { lo: 2, n: 4 }, /^gradient: expected a shard .* lo a multiple of n, got .*lo 2, n 4/],
    [
      'uneven samples',
      'task',
      { count: 2, samples: new Uint8Array(5), targets: new Uint8Array(4) },
      /^task: expected as many bytes for each of its samples, .* count 2, samples of 5 bytes, targets of 4 bytes$/,
    ],
    [
      'uneven targets',
      'numericsCheck',
      { count: 2, samples: new Uint8Array(4), targets: new Uint8Array(3) },
      /^numericsCheck: expected as many bytes for each of its samples, .* targets of 3 bytes$/,
    ],
    [
      'a sample that is marked but missing',
      'task',
      {
        numbers: Uint8Array.of(0, 0, 0, 0x80, 1, 0, 0, 0x80),
        count: 1,
        samples: new Uint8Array(4),
        targets: new Uint8Array(2),
      },
      /^task: expected four bytes for each number, .* numbers of 8 bytes, count 1, samples of 4 bytes, targets of 2 bytes$/,
    ],
    [
      'a sample too many',
      'task',
      { numbers: Uint8Array.of(5, 0, 0, 0), count: 1, samples: new Uint8Array(4), targets: new Uint8Array(2) },
      /^task: expected four bytes for each number, and as many samples as are marked as enclosed, got /,
    ],
    [
      'a torn sample number',
      'task',
      { numbers: new Uint8Array(6), count: 0, samples: new Uint8Array(0), targets: new Uint8Array(0) },
      /^task: expected four bytes for each number, .* numbers of 6 bytes/,
    ],
    [
      'targets without samples',
      'task',
      { count: 0, samples: new Uint8Array(0), targets: new Uint8Array(2) },
      /^task: expected as many bytes for each of its samples, .* targets of 2 bytes$/,
    ],
    ['a shape without sizes', 'welcome', { sampleShape: [] }, /^welcome\.sampleShape: expected a list of 1 to 4 sizes/],
    ['an empty axis', 'welcome', { sampleShape: [4, 0] }, /^welcome\.sampleShape\.1: expected a whole number from 1 /],
    ['a NaN loss', 'gradient', { lossSum: Number.NaN }, /^gradient\.lossSum: expected a finite number, got NaN$/],
    ['an infinite time', 'gradient', { computeMs: Number.POSITIVE_INFINITY }, /^gradient\.computeMs: .* got Infinity$/],
    ['a wide checksum', 'gradient', { checksum: 2 ** 32 }, /^gradient\.checksum: .* to 4294967295, got 4294967296$/],
    ['too many correct', 'gradient', { correct: 3, count: 2 }, /^gradient: expected at most as many correct samples/],
    [
      'a hash in upper case',
      'numericsResult',
      { hash: 'ABCDEF0123' },
      /^numericsResult\.hash: expected 8 to 128 hexadecimal/,
    ],
    ['bytes in a model', 'welcome', { model: { layers: [new Uint8Array(2)] } }, /^welcome\.model: expected plain JSON/],
    ['a long message', 'bye', { message: 'x'.repeat(1001) }, /^bye\.message: .* got a string of 1001 characters$/],
  ];

  it.each(cases)('refuses %s', (_name, type, fields, message) => {
    expect(refusal(packedWith(type, fields), senderOf(type))).toMatch(message);
  });

  it('keeps secrets out of error messages', () => {
    const token = `${'s3cret'.repeat(50)}`;
    expect(refusal(packedWith('hello', { token }), 'worker')).not.toContain('s3cret');
  });

  it('accepts a whole number in any msgpack format', () => {
    const uint64 = Uint8Array.of(0x82, 0xa4, ...ascii('type'), 0xa4, ...ascii('ping'), 0xa8, ...ascii('sentAtMs'));
    const frame = Uint8Array.of(...uint64, 0xcf, 0, 0, 0, 0, 0, 0, 0, 9);
    expect(decode(frame, 'worker')).toEqual({ type: 'ping', sentAtMs: 9 });
  });

  it('refuses a __proto__ key, and does nothing else with it', () => {
    const frame = Uint8Array.of(0x82, 0xa4, ...ascii('type'), 0xa3, ...ascii('bye'), 0xa9, ...ascii('__proto__'), 0x80);
    expect(refusal(frame, 'worker')).toMatch(/^bye: /);
    const model = JSON.parse('{"__proto__": {"polluted": true}, "constructor": 1}') as unknown;
    const welcome = decode(packedWith('welcome', { model }), 'coordinator');
    expect(Object.getPrototypeOf((welcome as MessageOf<'welcome'>).model)).toBe(Object.prototype);
    expect('polluted' in {}).toBe(false);
  });

  it('refuses types that are names on Object.prototype', () => {
    for (const type of ['toString', 'constructor', '__proto__', 'hasOwnProperty', 7, null]) {
      expect(refusal(pack({ type }), 'worker')).toMatch(/^frame: expected a known message type, got /);
    }
    expect(refusal(pack({}), 'worker')).toBe('frame: expected a known message type, got none');
  });
});

function ascii(text: string): number[] {
  return [...text].map((character) => character.charCodeAt(0));
}
