import fc from 'fast-check';
import { describe, expect, expectTypeOf, it } from 'vitest';
import { decode, encode, framed, ProtocolError } from '../src/codec.ts';
import {
  type CoordinatorMessage,
  type Message,
  type MessageOf,
  messages,
  type WorkerMessage,
} from '../src/messages.ts';
import {
  anyMessage,
  arbitraries,
  exampleOf,
  type MessageType,
  maySend,
  messageTypes,
  withTooLongText,
} from './arbitraries.ts';
import { packedWith, refusal, senderOf } from './frames.ts';
import { expectNoOtherError, pack } from './refusals.ts';

function expectOnlyProtocolErrors(frame: Uint8Array): void {
  for (const from of ['worker', 'coordinator'] as const) expectNoOtherError(() => decode(frame, from));
}

describe.each(messageTypes)('%s', (type) => {
  const from = senderOf(type);

  it('carries its own name as type', () => {
    expect(exampleOf(type).type).toBe(type);
  });

  it('round-trips through its frame, unless a text in it is too long', () => {
    fc.assert(
      fc.property(arbitraries[type] as fc.Arbitrary<Message>, (message) => {
        expect(decode(encode(message), from)).toStrictEqual(message);
        for (const longer of withTooLongText(message)) expect(refusal(pack(longer), from)).toContain('printable');
      }),
    );
  });

  it('is refused at every truncation', () => {
    const frame = encode(exampleOf(type));
    for (let length = 0; length < frame.length; length += 1) {
      expect(() => decode(frame.subarray(0, length), from)).toThrow(ProtocolError);
    }
  });

  it('is refused with trailing bytes', () => {
    const frame = encode(exampleOf(type));
    for (const extra of [0x00, 0x80, 0xc0, 0xff]) {
      expect(refusal(Uint8Array.of(...frame, extra), from)).toMatch(/^frame: expected one value of \d+ bytes, got \d+/);
    }
  });

  it('is refused with an unknown field', () => {
    expect(refusal(packedWith(type, { surprise: 1 }), from)).toBe(`${type}: expected no other field, got "surprise"`);
  });

  it('is refused without any one of its required fields', () => {
    const optional = new Set([
      'halfUnit',
      'token',
      'resumeKey',
      'retryAfterMs',
      'turnaroundMs',
      'seed',
      'first',
      'innerSteps',
      'sampleCacheBytes',
      'cachedSamples',
      'numbers',
      'encoding',
      'values',
      'anotherMayFollow',
      'run',
      'addresses',
      'workers',
      'address',
      'unverified',
      'receivedBytes',
    ]);
    if (type === 'chunk') optional.add('checksum');
    const example: Record<string, unknown> = { ...exampleOf(type) };
    for (const field of Object.keys(example)) {
      if (field === 'type' || (optional.has(field) && !(type === 'welcome' && field === 'resumeKey'))) continue;
      const { [field]: _, ...rest } = example;
      expect(refusal(pack(rest), from)).toBe(`${type}: expected the field ${field}, got none`);
    }
  });

  it('is refused when a field has another type', () => {
    for (const field of Object.keys(exampleOf(type))) {
      if (['type', 'model', 'sampleShape', 'innerSteps', 'run', 'addresses'].includes(field)) continue;
      expect(refusal(packedWith(type, { [field]: [1, 2] }), from)).toMatch(
        new RegExp(`^${type}\\.${field}: expected .*, got an array of 2$`),
      );
      expect(refusal(packedWith(type, { [field]: null }), from)).toMatch(/, got null$/);
    }
  });

  it('is refused from the wrong side', () => {
    for (const side of ['worker', 'coordinator'] as const) {
      const frame = encode(exampleOf(type));
      if (maySend(side, type)) expect(decode(frame, side).type).toBe(type);
      else expect(refusal(frame, side)).toBe(`${type}: expected it from the ${from}, got it from the ${side}`);
    }
  });
});

describe('the table', () => {
  it('gives each side its own messages', () => {
    expectTypeOf<WorkerMessage['type']>().toEqualTypeOf<
      'hello' | 'numericsResult' | 'gradient' | 'chunk' | 'taskError' | 'status' | 'ping' | 'pong' | 'bye'
    >();
    expectTypeOf<CoordinatorMessage['type']>().toEqualTypeOf<
      | 'welcome'
      | 'refuse'
      | 'numericsCheck'
      | 'weights'
      | 'chunk'
      | 'task'
      | 'cancel'
      | 'injectFault'
      | 'finish'
      | 'ping'
      | 'pong'
      | 'bye'
    >();
    expectTypeOf<{ [T in MessageType]: MessageOf<T>['type'] }>().toEqualTypeOf<{ [T in MessageType]: T }>();
    expect(Object.keys(messages).filter((type) => maySend('worker', type as MessageType))).toHaveLength(9);
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

  it('are viewed, not copied, by the bytes of a decoded message', () => {
    const frame = encode({ type: 'weights', step: 0, bytes: Uint8Array.of(1, 2, 3, 4) });
    const { bytes } = decode(Buffer.from(frame.buffer), 'coordinator') as MessageOf<'weights'>;
    expect(bytes.buffer).toBe(frame.buffer);
    expect(Object.getPrototypeOf(bytes)).toBe(Uint8Array.prototype);
  });

  it('of random bytes throw nothing but ProtocolError', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), expectOnlyProtocolErrors), { numRuns: 2000 });
  });

  it('of random msgpack headers throw nothing but ProtocolError', () => {
    const header = fc.oneof(fc.integer({ min: 0x80, max: 0xdf }), fc.constantFrom(0, 1, 2, 3, 0x72, 0x62, 0x42, 0xff));
    const frame = fc.array(header, { maxLength: 60 }).map((tokens) => Uint8Array.from(tokens));
    fc.assert(fc.property(frame, expectOnlyProtocolErrors), { numRuns: 3000 });
  });

  it('with damaged bytes throw nothing but ProtocolError', () => {
    const damage = fc.array(fc.record({ at: fc.nat(), value: fc.integer({ min: 0, max: 255 }) }), {
      minLength: 1,
      maxLength: 4,
    });
    fc.assert(
      fc.property(anyMessage, damage, (message, changes) => {
        const frame = encode(message).slice();
        for (const { at, value } of changes) frame[at % frame.length] = value;
        expectOnlyProtocolErrors(frame);
      }),
      { numRuns: 3000 },
    );
  });
});
