/** Building blocks of message tables: entries and field types. A check's message completes the phrase "expected …". */
import { printable } from '@lockstep/data/shown';
import * as v from 'valibot';
import { maxMessageLength } from './text.ts';

/** Messages by type: the sending side, or `either`, and the message's schema. */
export type MessageTable = Readonly<Record<string, { readonly from: string; readonly schema: v.GenericSchema }>>;

/** The message of type `K` of a table. */
export type MessageIn<T extends MessageTable, K extends keyof T> = K extends keyof T
  ? v.InferOutput<T[K]['schema']>
  : never;

/** The messages of a table that `S` may send. */
export type SentBy<T extends MessageTable, S> = {
  [K in keyof T]: T[K]['from'] extends S | 'either' ? MessageIn<T, K> : never;
}[keyof T];

/** A condition on several fields of a message, with the phrase that completes "expected …". */
export type Condition<Message> = readonly [isMet: (message: Message) => boolean, phrase: string];

/** Makes table entries for messages that `from` may send. A message has exactly these fields. */
export function messageFrom<const From extends string>(from: From) {
  return <const Type extends string, Fields extends v.ObjectEntries>(
    type: Type,
    fields: Fields,
    ...conditions: readonly Condition<v.InferOutput<v.StrictObjectSchema<Fields, undefined>>>[]
  ) => {
    const object = v.strictObject({ type: v.literal(type), ...fields });
    const checks = conditions.map(([isMet, phrase]) => v.check(isMet, phrase));
    return { from, schema: v.pipe(object, ...checks) as unknown as typeof object };
  };
}

/** Deepest nesting of a message: the model description is the only nested field. */
export const maxDepth = 32;

/** Largest microbatch index and shard size: far above any run's, far below the limit of exact integers. */
const maxMicrobatches = 2 ** 30;

const u32Max = 2 ** 32 - 1;

/** A whole number from `minimum` to `maximum` (default: largest safe integer). */
export function whole(minimum: number, maximum: number = Number.MAX_SAFE_INTEGER) {
  const phrase =
    maximum === Number.MAX_SAFE_INTEGER
      ? `a whole number of at least ${minimum}`
      : `a whole number from ${minimum} to ${maximum}`;
  return number(phrase, (value) => Number.isSafeInteger(value) && value >= minimum && value <= maximum);
}

export const finite = number('a finite number', Number.isFinite);

/** A time or a duration in milliseconds, fractions allowed. */
export const milliseconds = number('a finite number of at least 0', (value) => Number.isFinite(value) && value >= 0);

/** A fraction or a probability. */
export const fraction = number('a number from 0 to 1', (value) => value >= 0 && value <= 1);

/** One printable line of 1 to `maxLength` UTF-16 units. */
export function text(maxLength: number) {
  const phrase = `one line of 1 to ${maxLength} printable characters`;
  return v.pipe(v.string(phrase), v.maxLength(maxLength, phrase), v.regex(printable, phrase));
}

export const message = text(maxMessageLength);

export const checksum = whole(0, u32Max);

const hexPhrase = '8 to 128 hexadecimal digits';
export const hexHash = v.pipe(v.string(hexPhrase), v.regex(/^[0-9a-f]{8,128}$/, hexPhrase));

export const flag = v.boolean('true or false');

/** Raw bytes, whose contents are not checked. */
export const bytes = v.custom<Uint8Array>((value) => value instanceof Uint8Array, 'bytes');

/** Little-endian float32 values as raw bytes. */
export const floatBytes = v.pipe(
  bytes,
  v.check((value) => value.byteLength % 4 === 0, 'float32 bytes, a multiple of 4'),
);

/** Most values of a vector: 1 GiB of float32. */
const maxVectorValues = 2 ** 28;

/** Number of values of a vector, in the message that begins it. Omitted if that message holds the whole vector. */
export const vector = { values: v.exactOptional(whole(2, maxVectorValues)) };

export const chunkBytes = v.pipe(
  whole(4, 4 * maxVectorValues),
  v.check((value) => value % 4 === 0, 'a multiple of 4'),
);

/** Data that JSON can hold: null, booleans, finite numbers, strings, arrays and plain objects of these. */
export const plainJson = v.pipe(
  v.unknown(),
  v.check((value) => isPlainJson(value, maxDepth), 'plain JSON'),
);

/** A `relay` computes nothing itself: it coordinates workers of its own and sends the sum of their gradients. */
export const workerKinds = ['node', 'browser', 'local', 'relay'] as const;

/** `kill` ends a worker. For a limited time, `freeze` stops it from answering and `slow` slows its computing. */
export const faultActions = ['kill', 'freeze', 'slow'] as const;

/** The optimizer step a message belongs to, from 0. */
export const step = whole(0);

/** An aligned shard of microbatches `[lo, lo + n)`: one node of the reduction tree. */
export const shard = {
  step,
  lo: whole(0, maxMicrobatches),
  n: whole(1, maxMicrobatches),
};

/** A shard is a node of the reduction tree. */
export const treeNode: Condition<{ readonly lo: number; readonly n: number }> = [
  ({ lo, n }) => (n & (n - 1)) === 0 && lo % n === 0,
  'a shard with n a power of two and lo a multiple of n',
];

/** Policies for choosing the workers that compute a step. */
const participations = ['fastest', 'rotation'] as const;

/** Settings that a relay needs to cut its shards as the coordinator would. */
export const runGeometry = v.strictObject(
  {
    /** Samples in the training set. */
    samples: whole(1, 2 ** 31 - 1),
    /** Samples of a step. */
    batch: whole(1),
    steps: whole(1),
    /** Fraction of shards that a relay computes as well, to check its workers; 0 by default. */
    verifyRate: v.exactOptional(fraction),
    participation: v.exactOptional(v.picklist(participations)),
  },
  'the geometry of a run',
);

/** Most alternative addresses that a worker is given. */
const maxAddresses = 8;
const addressesPhrase = `at most ${maxAddresses} addresses of WebSockets without secrets`;
const addressForm = /^wss?:\/\/[^\s/?#@]+([/?][^\s#]*)?$/;

const isOpenAddress = (one: string): boolean => addressForm.test(one) && !/[?&]token=/.test(one);

/** Address at which a relay can be joined. */
export const openAddress = v.pipe(text(256), v.check(isOpenAddress, 'the address of a WebSocket without secrets'));

/** Alternative addresses at which a run can be joined. */
export const addresses = v.pipe(
  v.array(text(256), addressesPhrase),
  v.check((list) => list.length <= maxAddresses && list.every(isOpenAddress), addressesPhrase),
);

export const sampleTypes = ['u8', 'f32'] as const;
export const targetTypes = ['classes', 'values'] as const;

const shapePhrase = 'a list of 1 to 4 sizes';
export const sampleShape = v.pipe(
  v.array(whole(1, 2 ** 31 - 1), shapePhrase),
  v.check(({ length }) => length >= 1 && length <= 4, shapePhrase),
);

/** Limited to the range in which scaling a half by it and back is exact in float32. */
export const powerOfTwo = number('a power of two from 2^-64 to 2^64', (value) => {
  const exponent = Math.log2(value);
  return Number.isInteger(exponent) && Math.abs(exponent) <= 64;
});

const positive = number('a finite number above 0', (value) => Number.isFinite(value) && value > 0);
const momentum = number('a number from 0 to below 1', (value) => value >= 0 && value < 1);

const innerStep = { batch: whole(1), learningRate: positive, momentum };

/** SGD steps that a worker takes by itself, with `batch` samples each. */
export const innerSteps = v.strictObject(innerStep, 'inner steps');

/** One step of the run: `replicas` replicas that take `innerSteps` inner steps each. */
export const diloco = v.strictObject({ replicas: whole(1), innerSteps: whole(1), ...innerStep }, 'a round');

/** All samples have the same number of bytes, and so do all targets. */
export const sampleBatch: Condition<{
  readonly count: number;
  readonly samples: Uint8Array;
  readonly targets: Uint8Array;
}> = [
  ({ count, samples, targets }) => [samples, targets].every(({ byteLength }) => isMultiple(byteLength, count)),
  'as many bytes for each of its samples, and for each target',
];

/** Bit of a sample's number that marks the sample as enclosed in the message. */
export const enclosed = 2 ** 31;

/** If present, `numbers` (u32, little-endian) marks as many samples as enclosed as the message holds. */
export const numberedSamples: Condition<{ readonly numbers?: Uint8Array; readonly count: number }> = [
  ({ numbers, count }) => {
    if (numbers === undefined) return true;
    let marked = 0;
    for (let top = 3; top < numbers.byteLength; top += 4) marked += numbers[top]! >> 7;
    return numbers.byteLength % 4 === 0 && marked === count;
  },
  'four bytes for each number, and as many samples as are marked as enclosed',
];

function isMultiple(byteLength: number, count: number): boolean {
  return count === 0 ? byteLength === 0 : byteLength % count === 0;
}

/** A number that satisfies `isValid`; `phrase` describes the valid numbers. */
function number(phrase: string, isValid: (value: number) => boolean) {
  return v.pipe(v.number(phrase), v.check(isValid, phrase));
}

function isPlainJson(value: unknown, depth: number): boolean {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return true;
    case 'number':
      return Number.isFinite(value);
    case 'object': {
      if (value === null) return true;
      if (depth === 0) return false;
      if (Array.isArray(value)) return value.every((item) => isPlainJson(item, depth - 1));
      if (Object.getPrototypeOf(value) !== Object.prototype) return false;
      return Object.values(value).every((item) => isPlainJson(item, depth - 1));
    }
    default:
      return false;
  }
}
