/** Values of fields: which are accepted, and which are refused with what was expected and what came. */
import { classField, fieldOf, nextTargets, scaledField, tokenField } from '@lockstep/data';
import { describe, expect, it } from 'vitest';
import { decode } from '../src/codec.ts';
import type { MessageOf } from '../src/messages.ts';
import { exampleOf } from './arbitraries.ts';
import { pack, refusal, refusalOf, tableEntries } from './refusals.ts';

const [sample, value] = [new Uint8Array(4), new Uint8Array(8)];
const topError = { sample, label: 0, predicted: 1, probability: 0.5 };
const farSample = { sample, target: value, predicted: value };
const evaluation = (error: object, far: object): object => ({
  ...{ outputs: 2, confusion: new Uint8Array(16) },
  topErrors: [topError, { ...topError, ...error }],
  cellSamples: [{ ...topError, predicted: topError.label }],
  farthest: [{ ...farSample, ...far }],
});

const batch = (count: number, samples: number, targets: number): object => ({
  ...{ count, samples: new Uint8Array(samples), targets: new Uint8Array(targets) },
});

const noAddress = /^welcome\.addresses\.0: expected the address of a WebSocket without secrets/;
const curves = { steps: value, seconds: value, losses: value, accuracies: value };

const next = fieldOf(nextTargets([], 64));
const weighted = (classWeights: readonly number[]) => ({ targetField: { ...classField, classWeights } });

const refused: readonly (readonly [type: string, fields: object, message: RegExp])[] = [
  ['hello', { name: '' }, /^hello\.name: expected one line of 1 to 80 printable .* 0 characters$/],
  ['hello', { name: 'x'.repeat(81) }, /^hello\.name: .* got a string of 81 characters$/],
  ['hello', { name: '\u001b[2J' }, /^hello\.name: expected one line/],
  ['hello', { threads: 0 }, /^hello\.threads: expected a whole number from 1 to 65536, got 0$/],
  ['hello', { kind: 'toaster' }, /^hello\.kind: expected one of .*"node".*, got "toaster"$/],
  ['weights', { step: 1.5 }, /^weights\.step: expected a whole number of at least 0, got 1\.5$/],
  ['weights', { step: -1 }, /^weights\.step: .* got -1$/],
  ['weights', { step: 2 ** 53 }, /^weights\.step: .* got 9007199254740992$/],
  ['weights', { bytes: new Uint8Array(6) }, /^weights\.bytes: expected .* multiple of 4, got 6 bytes$/],
  ['weights', { values: 1 }, /^weights\.values: expected a whole number from 2 to 268435456/],
  ['chunk', { at: 0 }, /^chunk\.at: expected a whole number of at least 1, got 0$/],
  ['welcome', { chunkBytes: 6 }, /^welcome\.chunkBytes: expected a multiple of 4, got 6$/],
  ['cancel', { lo: 0, n: 3 }, /^cancel: expected a shard with n a power of two .* lo 0, n 3$/],
  ['cancel', { lo: 0, n: 0 }, /^cancel\.n: expected a whole number from 1 to \d+, got 0$/],
  ['gradient', { lo: 2, n: 4 }, /^gradient: expected a shard .* lo a multiple of n, got .*lo 2, n 4/],
  [
    'task',
    batch(2, 5, 4),
    /^task: expected as many bytes for each of its samples, .* count 2, samples of 5 bytes, targets of 4 bytes$/,
  ],
  [
    'numericsCheck',
    batch(2, 4, 3),
    /^numericsCheck: expected as many bytes for each of its samples, .* targets of 3 bytes$/,
  ],
  [
    'task',
    { numbers: Uint8Array.of(0, 0, 0, 0x80, 1, 0, 0, 0x80), ...batch(1, 4, 2) },
    /^task: expected four bytes for each number, .* numbers of 8 bytes, count 1, samples of 4 bytes, targets of 2 bytes$/,
  ],
  [
    'task',
    { numbers: Uint8Array.of(5, 0, 0, 0), ...batch(1, 4, 2) },
    /^task: expected four bytes for each number, and as many samples as are marked as enclosed, got /,
  ],
  [
    'task',
    { numbers: new Uint8Array(6), ...batch(0, 0, 0) },
    /^task: expected four bytes for each number, .* numbers of 6 bytes/,
  ],
  ['task', batch(0, 0, 2), /^task: expected as many bytes for each of its samples, .* targets of 2 bytes$/],
  ['welcome', { sampleField: scaledField([]) }, /^welcome\.sampleField\.shape: expected a list of 1 to 4 sizes/],
  ['welcome', { sampleField: scaledField([4, 0]) }, /^welcome\.sampleField\.shape\.1: expected a whole number from 1 /],
  [
    'welcome',
    { sampleField: { ...tokenField(65, 93), tokens: 1 } },
    /^welcome\.sampleField\.tokens: expected a whole /,
  ],
  [
    'welcome',
    { sampleField: { ...tokenField(65, 93), shape: [8, 8] } },
    /^welcome\.sampleField\.shape: expected a list /,
  ],
  [
    'welcome',
    { targetField: { ...next, positions: 0 } },
    /^welcome\.targetField\.positions: expected a finite number a/,
  ],
  [
    'welcome',
    { targetField: { ...next, shape: [1] } },
    /^welcome\.targetField\.shape\.0: expected a whole number from 0/,
  ],
  ['welcome', weighted([1]), /^welcome\.targetField\.classWeights: expected a list of 2 to 4096 weights of classes/],
  [
    'welcome',
    weighted([1, -1]),
    /^welcome\.targetField\.classWeights\.1: expected a finite number of at least 0, got -1/,
  ],
  ['gradient', { lossSum: Number.NaN }, /^gradient\.lossSum: expected a finite number, got NaN$/],
  ['gradient', { computeMs: Number.POSITIVE_INFINITY }, /^gradient\.computeMs: .* got Infinity$/],
  ['gradient', { checksum: 2 ** 32 }, /^gradient\.checksum: .* to 4294967295, got 4294967296$/],
  ['numericsResult', { hash: 'ABCDEF0123' }, /^numericsResult\.hash: expected 8 to 128 hexadecimal/],
  ['welcome', { model: { layers: [new Uint8Array(2)] } }, /^welcome\.model: expected plain JSON/],
  ['bye', { message: 'x'.repeat(1001) }, /^bye\.message: .* got a string of 1001 characters$/],
  ['welcome', { addresses: ['http://127.0.0.1:7070'] }, noAddress],
  ['welcome', { addresses: ['ws://'] }, noAddress],
  ['welcome', { addresses: ['ws://user:secret@127.0.0.1:7070'] }, noAddress],
  ['welcome', { addresses: ['ws://127.0.0.1:7070/?token=secret'] }, noAddress],
  ['welcome', { addresses: ['ws://127.0.0.1:7070/#token=secret'] }, noAddress],
  [
    'welcome',
    { addresses: new Array<string>(9).fill('ws://127.0.0.1:7070') },
    /^welcome\.addresses: expected a list of at most 8 addresses, got an array of 9$/,
  ],
  [
    'status',
    { address: 'ws://127.0.0.1:7070/?token=secret' },
    /^status\.address: expected the address of a WebSocket without secrets/,
  ],
  [
    'watch.history',
    { points: { ...curves, losses: new Uint8Array(4) } },
    /^history\.points: expected as many seconds, losses and accuracies as steps/,
  ],
  ['watch.progress', { accuracy: 1.01 }, /^progress\.accuracy: expected a number from 0 to 1/],
  ['watch.evaluation', { confusion: new Uint8Array(20) }, /^evaluation: expected classes x classes c/],
  ['watch.admin', { action: 'explode' }, /^admin\.action: expected one of .*"start".*got "explode"$/],
  ['watch.evaluation', evaluation({ predicted: 0 }, {}), /^evaluation: expected two different classes/],
  ['watch.evaluation', evaluation({ label: 2 }, {}), /^evaluation: expected two different classes/],
  ['watch.evaluation', evaluation({ sample: value }, {}), /^evaluation: expected samples of one size/],
  ['watch.evaluation', evaluation({}, { sample: value }), /^evaluation: expected samples of one size/],
  ['watch.evaluation', evaluation({}, { target: sample }), /^evaluation: expected a value for each o/],
  [
    'watch.evaluation',
    { ...evaluation({}, {}), cellSamples: [{ ...topError, label: 2 }] },
    /classes in each sample of a cell/,
  ],
  ['watch.run', { names: new Array(257).fill('a') }, /^run\.names: expected a list of at most 256 names/],
];

/** Values at the ends of what is allowed. */
const accepted: readonly (readonly [type: string, fields: object])[] = [
  ['hello', { name: '👩\u200d🏫 zoë 数学', numericMode: 'x'.repeat(200), threads: 65_536, protocol: 2 ** 53 - 1 }],
  ['hello', { token: 't'.repeat(256), resumeKey: 'k'.repeat(128), kind: 'relay', sampleCacheBytes: 0 }],
  [
    'welcome',
    { sampleField: scaledField([1, 2, 3, 2 ** 31 - 1]), halfUnit: 2 ** -64, seed: 2 ** 32 - 1, chunkBytes: 2 ** 30 },
  ],
  ['welcome', { sampleField: tokenField(65, 93), targetField: next }],
  ['welcome', { sampleField: tokenField(16, 65_535), targetField: { ...next, positions: 6.2, lines: true } }],
  ['welcome', weighted(new Array(4096).fill(0.1))],
  ['welcome', { addresses: ['wss://[::1]:7070/?fingerprint=00ff', 'ws://relay.example:80'], halfUnit: 2 ** 64 }],
  ['welcome', { innerSteps: { batch: 1, learningRate: 1e-9, momentum: 0 }, cachedSamples: 2 ** 31 - 1 }],
  ['weights', { values: 2 ** 28, bytes: new Uint8Array(0) }],
  ['cancel', { lo: 2 ** 30, n: 2 ** 30 }],
  ['gradient', { checksum: 2 ** 32 - 1, correct: 5, count: 5, lossSum: -1.5 }],
  ['numericsResult', { hash: '0123456789abcdef'.repeat(8) }],
  ['bye', { message: 'x'.repeat(1000) }],
  ['status', { workers: 2 ** 20, address: 'ws://a' }],
  ['watch.evaluation', evaluation({}, {})],
  ['watch.run', { names: new Array(256).fill('a'), outputs: 65_535 }],
];

describe('values', () => {
  it.each(refused)('refuses %s with %j', (type, fields, message) => {
    expect(refusalOf(type, fields)).toMatch(message);
  });

  it.each(accepted)('accepts %s with %j', (type, fields) => {
    const { decode: read, from, example } = tableEntries.get(type)!;
    expect(read(pack({ ...example, ...fields }), from)).toMatchObject(fields);
  });

  it.each(['hello', 'watch.hello', 'watch.unlock', 'watch.admin', 'watch.injectFault'])(
    'of %s keep secrets out of error messages',
    (type) => {
      expect(refusalOf(type, { token: 's3cret'.repeat(50) })).not.toContain('s3cret');
    },
  );

  it('accepts a whole number in any msgpack format', () => {
    const uint64 = Uint8Array.of(0x82, 0xa4, ...ascii('type'), 0xa4, ...ascii('ping'), 0xa8, ...ascii('sentAtMs'));
    const frame = Uint8Array.of(...uint64, 0xcf, 0, 0, 0, 0, 0, 0, 0, 9);
    expect(decode(frame, 'worker')).toEqual({ type: 'ping', sentAtMs: 9 });
  });

  it('refuses a __proto__ key, and does nothing else with it', () => {
    const frame = Uint8Array.of(0x82, 0xa4, ...ascii('type'), 0xa3, ...ascii('bye'), 0xa9, ...ascii('__proto__'), 0x80);
    expect(refusal('bye', frame)).toMatch(/^bye: /);
    const model = JSON.parse('{"__proto__": {"polluted": true}, "constructor": 1}') as unknown;
    const welcome = decode(pack({ ...exampleOf('welcome'), model }), 'coordinator');
    expect(Object.getPrototypeOf((welcome as MessageOf<'welcome'>).model)).toBe(Object.prototype);
    expect('polluted' in {}).toBe(false);
  });

  it('refuses types that are names on Object.prototype', () => {
    for (const type of ['toString', 'constructor', '__proto__', 'hasOwnProperty', 7, null]) {
      expect(refusal('bye', pack({ type }))).toMatch(/^frame: expected a known message type, got /);
    }
    expect(refusal('bye', pack({}))).toBe('frame: expected a known message type, got none');
  });
});

function ascii(text: string): number[] {
  return [...text].map((character) => character.charCodeAt(0));
}
