import fc from 'fast-check';
import { unpack } from 'msgpackr/unpack';
import { describe, expect, it } from 'vitest';
import { checkFrame, decode, encode, FramePool, framed, maxDepth, maxValues, ProtocolError } from '../src/codec.ts';
import { pack } from './refusals.ts';

const maxStringBytes = 16_384;

/** `{ "a": … }` as raw bytes, with the given bytes after the key. */
const mapWith = (...value: number[]): Uint8Array => Uint8Array.of(0x81, 0xa1, 0x61, ...value);

const nested = (depth: number): unknown => (depth === 0 ? 1 : [nested(depth - 1)]);

describe('checkFrame', () => {
  it('accepts any packed JSON', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 4 })), (value) => {
        checkFrame(pack(value));
      }),
    );
  });

  it('accepts nothing that msgpackr cannot read', () => {
    const token = fc.oneof(fc.integer({ min: 0, max: 255 }), fc.constantFrom(0x80, 0x81, 0x90, 0x91, 0xa0, 0xa1, 0xc0));
    let passed = 0;
    fc.assert(
      fc.property(fc.array(token, { maxLength: 12 }), (tokens) => {
        const frame = Uint8Array.of(0x81, 0xa0, ...tokens);
        try {
          checkFrame(frame);
        } catch (error) {
          expect(error).toBeInstanceOf(ProtocolError);
          return;
        }
        passed += 1;
        expect(unpack(frame)).toBeTypeOf('object');
      }),
      { numRuns: 5000, seed: 11 },
    );
    expect(passed).toBeGreaterThan(200);
  });

  const hostile: readonly (readonly [string, Uint8Array, RegExp])[] = [
    ['nothing', new Uint8Array(0), /expected a complete value, got the end after 0 bytes/],
    ['a bare number', Uint8Array.of(7), /expected a map, got a value of kind scalar/],
    ['a bare array', Uint8Array.of(0x90), /expected a map, got a value of kind array/],
    ['an array of 2^32 - 1', mapWith(0xdd, 255, 255, 255, 255), /at most 16384 values, got 4294967295 in one array/],
    ['a map of 2^32 - 1', Uint8Array.of(0xdf, 255, 255, 255, 255), /got 4294967295 in one map/],
    ['an array of 65535', mapWith(0xdc, 255, 255), /got 65535 in one array/],
    ['a string of 4 GiB', mapWith(0xdb, 255, 255, 255, 255), /strings of at most 16384 bytes, got 4294967295 bytes/],
    ['bytes of 4 GiB', mapWith(0xc6, 255, 255, 255, 255), /expected 4294967303 bytes from its headers, got 8 bytes/],
    ['half a length', mapWith(0xc6, 255), /expected \d+ bytes from its headers, got 5 bytes/],
    ['a number as key', Uint8Array.of(0x81, 1, 1), /expected a string as key, got a value of kind scalar/],
    ['the unused type', mapWith(0xc1), /got type byte 0xc1/],
    ['undefined', mapWith(0xd4, 0, 0), /got type byte 0xd4/],
    ['a record definition', mapWith(0xd4, 0x72, 0x40, 0x91, 0xa1, 0x61, 1), /got type byte 0xd4/],
    ['a date', mapWith(0xd6, 0xff, 0, 0, 0, 0), /got type byte 0xd6/],
    ['a big integer', mapWith(0xc7, 9, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9), /got type byte 0xc7/],
    ['bundled strings', mapWith(0xd6, 0x62, 255, 255, 255, 255), /got type byte 0xd6/],
    ['a set', mapWith(0xd4, 0x73, 0, 0x90), /got type byte 0xd4/],
    ['a pattern', mapWith(0xd4, 0x78, 0, 0x92, 0xa1, 0x61, 0xa0), /got type byte 0xd4/],
    ['a reference', mapWith(0xd6, 0x70, 0, 0, 0, 1), /got type byte 0xd6/],
    ['one level too many', pack({ a: nested(maxDepth + 1) }), /nesting of at most 32, got more/],
    [
      'a hundred thousand levels',
      new Uint8Array(100_000).fill(0x91).with(0, 0x81).with(1, 0xa0),
      /nesting of at most 32, got more/,
    ],
    ['a value too many', pack({ a: new Array<null>(maxValues).fill(null) }), /at most 16384 values, got more/],
    ['a long string', pack({ a: 'x'.repeat(maxStringBytes + 1) }), /got 16385 bytes/],
  ];

  it.each(hostile)('refuses %s', (_name, frame, message) => {
    expect(() => checkFrame(frame)).toThrow(ProtocolError);
    expect(() => checkFrame(frame)).toThrow(message);
    expect(() => decode(frame, 'worker')).toThrow(message);
  });

  it('accepts frames just within the bounds', () => {
    checkFrame(pack({ a: nested(maxDepth - 1) }));
    checkFrame(pack({ a: new Array<null>(maxValues - 3).fill(null) }));
    checkFrame(pack({ a: 'x'.repeat(maxStringBytes) }));
  });

  it('allocates almost nothing for frames that claim gigabytes', () => {
    const before = process.memoryUsage();
    for (let round = 0; round < 500; round += 1) {
      for (const [, frame] of hostile) expect(() => decode(frame, 'coordinator')).toThrow(ProtocolError);
    }
    const after = process.memoryUsage();
    expect(after.arrayBuffers - before.arrayBuffers).toBeLessThan(16 * 2 ** 20);
    expect(after.rss - before.rss).toBeLessThan(512 * 2 ** 20);
  });
});

const chunk = (at: number, length: number) =>
  ({ type: 'chunk', at, bytes: Uint8Array.from({ length }, (_, index) => (at + index) % 251) }) as const;

describe('the memory of frames', () => {
  it('is used again by frames of any length, and by one of those in use at a time', () => {
    const action = fc.record({ length: fc.constantFrom(0, 4, 8_188, 8_192, 100_000), gives: fc.boolean() });
    fc.assert(
      fc.property(fc.array(action, { maxLength: 40 }), (actions) => {
        const pool = new FramePool();
        const inUse: { readonly frame: Uint8Array; readonly own: Uint8Array }[] = [];
        for (const [at, { length, gives }] of actions.entries()) {
          const own = encode(framed(chunk(at, length)));
          inUse.push({ frame: encode(framed(chunk(at, length), pool)), own });
          if (gives) pool.give(inUse.shift()!.frame.fill(0xee));
          for (const { frame, own } of inUse) expect(Buffer.compare(frame, own)).toBe(0);
        }
      }),
    );
  });

  it('is that of a frame that was given back, if it is long enough', () => {
    const pool = new FramePool();
    const first = encode(framed(chunk(0, 8_192), pool));
    pool.give(first);
    const [shorter, longer] = [8_000, 20_000].map((length) => encode(framed(chunk(7, length), pool)));
    expect(shorter!.buffer).toBe(first.buffer);
    expect(longer!.buffer).not.toBe(first.buffer);
  });

  it('is taken back only from frames of the pool, and up to 8 MiB', () => {
    const [pool, other] = [new FramePool(), new FramePool()];
    const frames = [pool, pool, pool, other].map((each) => encode(framed(chunk(1, 3_500_000), each)));
    for (const frame of frames) pool.give(frame);
    const again = frames.map(() => encode(framed(chunk(2, 3_500_000), pool)).buffer);
    expect(frames.map(({ buffer }) => again.includes(buffer))).toEqual([true, true, false, false]);
  });
});
