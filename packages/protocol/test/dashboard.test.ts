import fc from 'fast-check';
import { describe, expect, expectTypeOf, it } from 'vitest';
import { decodeWatch, encode, encodeWatch, ProtocolError } from '../src/codec.ts';
import { type WatchMessage, type WatchMessageFrom, type WatchSide, watchMessages } from '../src/dashboard.ts';
import { anyMessage, withTooLongText } from './arbitraries.ts';
import {
  anyWatchMessage,
  type WatchMessageType,
  watchArbitraries,
  watchExampleOf,
  watchMessageTypes,
} from './dashboard-arbitraries.ts';
import { expectNoOtherError, pack, refusalOf } from './refusals.ts';

const sides = ['viewer', 'coordinator'] as const;
const senderOf = (type: WatchMessageType): WatchSide => watchMessages[type].from;

const refusal = (frame: Uint8Array, from: WatchSide): string => refusalOf(() => decodeWatch(frame, from));

function expectOnlyProtocolErrors(frame: Uint8Array): void {
  for (const from of sides) expectNoOtherError(() => decodeWatch(frame, from));
}

describe.each(watchMessageTypes)('%s', (type) => {
  const from = senderOf(type);
  const frame = encodeWatch(watchExampleOf(type));

  it('round-trips through its frame, unless a text in it is too long', () => {
    fc.assert(
      fc.property(watchArbitraries[type] as fc.Arbitrary<WatchMessage>, (message) => {
        expect(message.type).toBe(type);
        expect(decodeWatch(encodeWatch(message), from)).toStrictEqual(message);
        for (const longer of withTooLongText(message)) expect(refusal(pack(longer), from)).toContain('printable');
      }),
      { numRuns: 50 },
    );
  });

  it('is refused at every truncation, and with trailing bytes', () => {
    for (let length = 0; length < frame.length; length += 1) {
      expect(() => decodeWatch(frame.subarray(0, length), from)).toThrow(ProtocolError);
    }
    expect(refusal(Uint8Array.of(...frame, 0xc0), from)).toMatch(/^frame: expected one value of \d+ bytes, got \d+/);
  });

  it('is refused with an unknown field, and with a field of another type', () => {
    const example = watchExampleOf(type);
    expect(refusal(pack({ ...example, surprise: 1 }), from)).toBe(`${type}: expected no other field, got "surprise"`);
    for (const field of Object.keys(example).filter((name) => !['type', 'model'].includes(name))) {
      expect(refusal(pack({ ...example, [field]: null }), from)).toMatch(
        new RegExp(`^${type}\\.${field}\\b.*got null$`),
      );
    }
  });

  it('is refused from the other side', () => {
    const other = from === 'viewer' ? 'coordinator' : 'viewer';
    expect(refusal(frame, other)).toBe(`${type}: expected it from the ${from}, got it from the ${other}`);
  });
});

describe('the table of the dashboard', () => {
  it('lets viewers say hello, ask for weights, show the admin token, control the run and its workers, and nothing else', () => {
    expectTypeOf<WatchMessageFrom<'viewer'>['type']>().toEqualTypeOf<
      | 'hello'
      | 'wantWeights'
      | 'unlock'
      | 'admin'
      | 'readData'
      | 'runAgain'
      | 'injectFault'
      | 'renameWorker'
      | 'removeWorker'
    >();
    expect(watchMessageTypes.filter((type) => senderOf(type) === 'viewer')).toEqual([
      'hello',
      'wantWeights',
      'unlock',
      'admin',
      'readData',
      'runAgain',
      'injectFault',
      'renameWorker',
      'removeWorker',
    ]);
  });

  it('keeps secrets out of error messages', () => {
    for (const type of ['hello', 'unlock', 'admin', 'injectFault'] as const) {
      expect(refusal(pack({ ...watchExampleOf(type), token: 's3cret'.repeat(50) }), 'viewer')).not.toContain('s3cret');
    }
  });

  it.each<[string, WatchMessageType, Record<string, unknown>, RegExp]>([
    [
      'curves of unequal length',
      'history',
      {
        points: {
          steps: new Uint8Array(8),
          seconds: new Uint8Array(8),
          losses: new Uint8Array(4),
          accuracies: new Uint8Array(8),
        },
      },
      /^history\.points: expected as many seconds, losses and accuracies as steps/,
    ],
    ['a probability above 1', 'progress', { accuracy: 1.01 }, /^progress\.accuracy: expected a number from 0 to 1/],
    [
      'a torn matrix',
      'evaluation',
      { confusion: new Uint8Array(20) },
      /^evaluation: expected classes x classes counts/,
    ],
    ['an unknown action', 'admin', { action: 'explode' }, /^admin\.action: expected one of .*"start".*got "explode"$/],
  ])('refuses %s', (_name, type, fields, message) => {
    expect(refusal(pack({ ...watchExampleOf(type), ...fields }), senderOf(type))).toMatch(message);
  });

  it('refuses errors that are none, samples of different sizes, and values that are too few', () => {
    const [sample, value] = [new Uint8Array(4), new Uint8Array(8)];
    const topError = { sample, label: 0, predicted: 1, probability: 0.5 };
    const farSample = { sample, target: value, predicted: value };
    const evaluation = (error: object, far: object) =>
      pack({
        type: 'evaluation',
        epoch: 1,
        outputs: 2,
        topErrors: [topError, { ...topError, ...error }],
        farthest: [{ ...farSample, ...far }],
      });
    expect(decodeWatch(evaluation({}, {}), 'coordinator').type).toBe('evaluation');
    const refused: [object, object, RegExp][] = [
      [{ predicted: 0 }, {}, /^evaluation: expected two different classes in each error/],
      [{ label: 2 }, {}, /^evaluation: expected two different classes in each error/],
      [{ sample: new Uint8Array(5) }, {}, /^evaluation: expected samples of one size/],
      [{}, { sample: new Uint8Array(5) }, /^evaluation: expected samples of one size/],
      [{}, { target: new Uint8Array(4) }, /^evaluation: expected a value for each output/],
    ];
    for (const [error, far, message] of refused) {
      expect(refusal(evaluation(error, far), 'coordinator')).toMatch(message);
    }
  });
});

describe('frames of the dashboard', () => {
  it('of workers, and of random bytes, throw nothing but ProtocolError', () => {
    fc.assert(
      fc.property(anyMessage, (message) => expectOnlyProtocolErrors(encode(message))),
      { numRuns: 300 },
    );
    fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), expectOnlyProtocolErrors), { numRuns: 1000 });
  });

  it('with damaged bytes throw nothing but ProtocolError', () => {
    const damage = fc.array(fc.record({ at: fc.nat(), value: fc.integer({ min: 0, max: 255 }) }), {
      minLength: 1,
      maxLength: 4,
    });
    fc.assert(
      fc.property(anyWatchMessage, damage, (message, changes) => {
        const frame = encodeWatch(message).slice();
        for (const { at, value } of changes) frame[at % frame.length] = value;
        expectOnlyProtocolErrors(frame);
      }),
      { numRuns: 2000 },
    );
  });
});
