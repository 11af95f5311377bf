import fc from 'fast-check';
import * as v from 'valibot';
import { describe, expect, expectTypeOf, it } from 'vitest';
import { checkFrame, decode, decodeParts, encode, framed, joinParts, ProtocolError, partsOf } from '../src/codec.ts';
import type { WatchMessageFrom } from '../src/dashboard.ts';
import type { CoordinatorMessage, Message, MessageOf, WorkerMessage } from '../src/messages.ts';
import { anyMessageOf, type MessageType, type Schema } from './arbitraries.ts';
import { expectOnlyProtocolErrors, pack, refusal, refusalOf, tableEntries } from './refusals.ts';

describe.each([...tableEntries])(
  '%s',
  (name, { table, type, sides, from, example, schema, encode: write, decode: read }) => {
    const sender = from === 'either' ? 'worker' : from;
    const frame = write(example);

    it('round-trips through its frame', () => {
      fc.assert(
        fc.property(anyMessageOf(table, type), (message) => {
          expect(read(write(message), sender)).toStrictEqual(message);
        }),
        { numRuns: 60 },
      );
    });

    it('is refused at every truncation, and with trailing bytes', () => {
      for (let length = 0; length < frame.length; length += 1) {
        expect(() => read(frame.subarray(0, length), sender)).toThrow(ProtocolError);
      }
      for (const extra of [0x00, 0x80, 0xc0, 0xff]) {
        expect(refusal(name, Uint8Array.of(...frame, extra))).toMatch(
          /^frame: expected one value of \d+ bytes, got \d+/,
        );
      }
    });

    it('is refused with an unknown field, without a required one, and with a field of another type', () => {
      expect(refusalOf(name, { surprise: 1 })).toBe(`${type}: expected no other field, got "surprise"`);
      for (const [field, { type: kind }] of Object.entries(schema.entries!).filter(
        ([key]) => key !== 'type' && key in example,
      )) {
        if (kind !== 'exact_optional') {
          const { [field]: _, ...rest } = example as unknown as Record<string, unknown>;
          expect(refusal(name, pack(rest))).toBe(`${type}: expected the field ${field}, got none`);
        }
        const form = new RegExp(`^${type}\\.${field}\\b.*got null$`);
        if (kind !== 'unknown') expect(refusalOf(name, { [field]: null })).toMatch(form);
        if (!['unknown', 'array', 'strict_object', 'variant', 'exact_optional'].includes(kind)) {
          const isArray = new RegExp(`^${type}\\.${field}: expected .*, got an array of 2$`);
          expect(refusalOf(name, { [field]: [1, 2] })).toMatch(isArray);
        }
      }
    });

    it('is refused from the wrong side', () => {
      for (const side of sides) {
        if (from === side || from === 'either') expect(read(frame, side).type).toBe(type);
        else expect(refusal(name, frame, side)).toBe(`${type}: expected it from the ${from}, got it from the ${side}`);
      }
    });
  },
);

/** The phrases of a schema and its checks. */
function phrasesOf(schema: Schema): string {
  const items = [schema, ...(schema.pipe ?? []).filter((item) => item !== schema)];
  const phrases = items.map(({ message }) => message).filter((phrase) => typeof phrase === 'string');
  return [...new Set(phrases)].join('; ') || schema.type;
}

/** Describes what each field of a schema may hold, with the schemas of single values. */
function* fieldsOf(name: string, schema: Schema): Generator<readonly [line: string, schema: Schema]> {
  const { type, entries, item, wrapped, options = [] } = schema;
  if (type === 'exact_optional') yield* fieldsOf(`${name}?`, wrapped!);
  else if (type === 'nullable') yield* fieldsOf(`${name}|null`, wrapped!);
  else if (type === 'picklist') yield [`${name}: ${options.join(' | ')}`, schema];
  else if (type === 'literal') yield [`${name}: ${schema.literal}`, schema];
  else yield [`${name}: ${phrasesOf(schema)}`, schema];
  if (type === 'array') yield* fieldsOf(`${name}[]`, item!);
  if (type === 'variant') for (const option of options) yield* fieldsOf(name, option as Schema);
  for (const [key, field] of Object.entries(entries ?? {})) yield* fieldsOf(`${name}.${key}`, field);
}

const fields = [...tableEntries].flatMap(([name, { schema }]) => [...fieldsOf(name, schema)]);

describe('the tables', () => {
  it('hold the fields and bounds that peers of one protocol version share', async () => {
    await expect(`${fields.map(([line]) => line).join('\n')}\n`).toMatchFileSnapshot('fields.txt');
  });

  it('allow no text that is longer than a frame may hold', () => {
    const euro = '€';
    const longest = fields.map(([line]) => Number(/(\d+) (?:printable )?characters/.exec(line)?.[1] ?? 0));
    for (const length of longest) expect(() => checkFrame(pack({ text: euro.repeat(length) }))).not.toThrow();
    expect(Math.max(...longest)).toBeGreaterThan(1_000);
    expect(() => checkFrame(pack({ text: euro.repeat(2 ** 14) }))).toThrow(ProtocolError);
  });

  it('keep the bounds that their phrases state', () => {
    const accepts = (schema: Schema, value: unknown): boolean => v.is(schema, value);
    let checked = 0;
    for (const [line, schema] of fields) {
      const [, least, from, to] = /: a whole number (?:of at least (\d+)|from (\d+) to (\d+))/.exec(line) ?? [];
      const [, longest] = /: one line of 1 to (\d+) printable characters$/.exec(line) ?? [];
      const lowest = Number(least ?? from);
      const highest = to === undefined ? Number.MAX_SAFE_INTEGER : Number(to);
      if (longest !== undefined) {
        const texts = ['x'.repeat(Number(longest)), 'x', '', 'x'.repeat(Number(longest) + 1)];
        expect(
          texts.map((text) => accepts(schema, text)),
          line,
        ).toEqual([true, true, false, false]);
      } else if (!Number.isNaN(lowest)) {
        const numbers = [lowest, highest, lowest - 1, highest + 1, lowest + 0.5];
        expect(
          numbers.map((number) => accepts(schema, number)),
          line,
        ).toEqual([true, true, false, false, false]);
      } else continue;
      checked += 1;
    }
    expect(checked).toBeGreaterThan(120);
  });

  it('give each side its own messages', () => {
    expectTypeOf<WorkerMessage['type']>().toEqualTypeOf<
      'hello' | 'numericsResult' | 'gradient' | 'chunk' | 'taskError' | 'wentBack' | 'status' | 'ping' | 'pong' | 'bye'
    >();
    expectTypeOf<CoordinatorMessage['type']>().toEqualTypeOf<
      | ('welcome' | 'refuse' | 'numericsCheck' | 'weights' | 'chunk' | 'task' | 'cancel' | 'goBack' | 'injectFault')
      | ('finish' | 'ping' | 'pong' | 'bye')
    >();
    expectTypeOf<{ [T in MessageType]: MessageOf<T>['type'] }>().toEqualTypeOf<{ [T in MessageType]: T }>();
    expectTypeOf<WatchMessageFrom<'viewer'>['type']>().toEqualTypeOf<
      | ('hello' | 'wantWeights' | 'unlock' | 'admin' | 'readData' | 'runAgain')
      | ('injectFault' | 'renameWorker' | 'removeWorker')
    >();
    const senders = [...tableEntries.values()].map(({ from }) => from);
    const counts = ['worker', 'either', 'viewer'].map((side) => senders.filter((from) => from === side).length);
    expect(counts).toEqual([6, 4, 9]);
  });
});

describe('frames', () => {
  it('are encoded once per message, in memory of their own', () => {
    const message: Message = { type: 'weights', step: 3, bytes: new Uint8Array(400) };
    const frame = encode(message);
    expect(encode(message)).toBe(frame);
    expect(encode({ ...message })).not.toBe(frame);
    expect(frame.buffer.byteLength).toBe(frame.byteLength);
  });

  it('hold a copy of bytes whose memory changes afterwards', () => {
    for (const length of [8, 40_000]) {
      const bytes = new Uint8Array(length).fill(7);
      const message = framed({ type: 'weights', step: 3, bytes });
      bytes.fill(0);
      expect(message).toEqual({ type: 'weights', step: 3, bytes: new Uint8Array(length).fill(7) });
      expect(decode(encode(message), 'coordinator')).toEqual(message);
      expect(message.bytes.buffer).toBe(encode(message).buffer);
    }
  });

  it.each([10, 5_000, 200_001])('are the same for bytes of memory that threads share, %i of them', (length) => {
    const bytes = Uint8Array.from({ length }, (_, at) => at % 251);
    const shared = new Uint8Array(new SharedArrayBuffer(length + 3), 3);
    shared.set(bytes);
    const expected = encode({ type: 'weights', step: 7, bytes });
    expect(Buffer.compare(encode({ type: 'weights', step: 7, bytes: shared }), expected)).toBe(0);
    expect(Buffer.compare(encode(framed({ type: 'weights', step: 7, bytes: shared })), expected)).toBe(0);
  });

  it('are viewed, not copied, by the bytes of a decoded message', () => {
    const frame = encode({ type: 'weights', step: 0, bytes: Uint8Array.of(1, 2, 3, 4) });
    const { bytes } = decode(Buffer.from(frame.buffer), 'coordinator') as MessageOf<'weights'>;
    expect(bytes.buffer).toBe(frame.buffer);
    expect(Object.getPrototypeOf(bytes)).toBe(Uint8Array.prototype);
  });

  it('of random bytes and of random msgpack headers throw nothing but ProtocolError', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), expectOnlyProtocolErrors), { numRuns: 2000 });
    const header = fc.oneof(fc.integer({ min: 0x80, max: 0xdf }), fc.constantFrom(0, 1, 2, 3, 0x72, 0x62, 0x42, 0xff));
    const frame = fc.array(header, { maxLength: 60 }).map((tokens) => Uint8Array.from(tokens));
    fc.assert(fc.property(frame, expectOnlyProtocolErrors), { numRuns: 3000 });
  });

  it('of the other table, or with damaged bytes, throw nothing but ProtocolError', () => {
    const damage = fc.array(fc.record({ at: fc.nat(), value: fc.nat(255) }), { maxLength: 4 });
    for (const { table, type, encode: write } of tableEntries.values()) {
      fc.assert(
        fc.property(anyMessageOf(table, type), damage, (message, changes) => {
          const frame = write(message).slice();
          for (const { at, value } of changes) frame[at % frame.length] = value;
          expectOnlyProtocolErrors(frame);
        }),
        { numRuns: 110 },
      );
    }
  });
});

describe('a frame in two parts', () => {
  const weights = (byteLength: number): MessageOf<'weights'> => ({
    type: 'weights',
    step: 3,
    bytes: new Uint8Array(byteLength).map((_, at) => at),
  });

  it('has the bytes of a long message apart; its parts join to the whole frame, and decode to the message', () => {
    fc.assert(
      fc.property(fc.nat(3_000), (values) => {
        const message = weights(4 * values);
        const { head, bulk } = partsOf(message);
        expect(bulk.length).toBe(4 * values >= 4_096 ? 4 * values : 0);
        expect(joinParts({ head, bulk })).toStrictEqual(encode(message));
        if (bulk.length === 0) return;
        const asked: string[] = [];
        const decoded = decodeParts(head, 'coordinator', (type) => {
          asked.push(type);
          return bulk;
        });
        expect(decoded).toStrictEqual(message);
        expect(decoded).toHaveProperty('bytes', bulk);
        expect(asked).toEqual(['weights']);
      }),
    );
  });

  it.each<[what: string, head: Uint8Array, bulk: Uint8Array | undefined, reason: string]>([
    [
      'without bytes there',
      partsOf(weights(8_000)).head,
      undefined,
      'frame: expected its bytes in shared memory, got none',
    ],
    [
      'whose head has bytes',
      encode(weights(8_000)),
      new Uint8Array(8_000),
      'frame: expected a last field without bytes, got 8000 bytes',
    ],
    ['that ends with a number', pack({ type: 'pong', sentAtMs: 3 }), new Uint8Array(8_000), 'without bytes, got 3'],
    ['that ends with text', pack({ sentAtMs: 3, type: 'pong' }), new Uint8Array(8_000), 'without bytes, got a string'],
    ['that breaks off', partsOf(weights(8_000)).head.subarray(0, -1), new Uint8Array(8_000), 'frame: expected'],
  ])('%s is refused', (_what, head, bulk, reason) => {
    expect(() => decodeParts(head, 'coordinator', () => bulk)).toThrow(ProtocolError);
    expect(() => decodeParts(head, 'coordinator', () => bulk)).toThrow(reason);
  });
});
