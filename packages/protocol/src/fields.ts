/** The field types that messages are made of; every check's message is the phrase that completes "expected …". */
import * as v from 'valibot';
import { maxMessageLength, printable } from './text.ts';

/** Deepest nesting a message may have: the model description is the only nested field. */
export const maxDepth = 32;

/** Largest microbatch index and shard size; far above what a run can use, far below where integers lose exactness. */
const maxMicrobatches = 2 ** 30;

const u32Max = 2 ** 32 - 1;

/** A whole number from `minimum` to `maximum` (default: largest safe integer). */
export function whole(minimum: number, maximum: number = Number.MAX_SAFE_INTEGER) {
  const phrase =
    maximum === Number.MAX_SAFE_INTEGER
      ? `a whole number of at least ${minimum}`
      : `a whole number from ${minimum} to ${maximum}`;
  return v.pipe(v.number(phrase), v.safeInteger(phrase), v.minValue(minimum, phrase), v.maxValue(maximum, phrase));
}

export const finite = v.pipe(v.number('a finite number'), v.finite('a finite number'));

/** A time or a duration in milliseconds, fractions allowed. */
export const milliseconds = v.pipe(
  v.number('a finite number of at least 0'),
  v.finite('a finite number of at least 0'),
  v.minValue(0, 'a finite number of at least 0'),
);

/** One printable line of 1 to `maxLength` UTF-16 units. */
export function text(maxLength: number) {
  const phrase = `one line of 1 to ${maxLength} printable characters`;
  return v.pipe(v.string(phrase), v.maxLength(maxLength, phrase), v.regex(printable, phrase));
}

export const message = text(maxMessageLength);

export const checksum = whole(0, u32Max);

export const hexHash = v.pipe(
  v.string('8 to 128 hexadecimal digits'),
  v.maxLength(128, '8 to 128 hexadecimal digits'),
  v.regex(/^[0-9a-f]{8,128}$/, '8 to 128 hexadecimal digits'),
);

/** Raw bytes; only the type is looked at, never the contents. */
export const bytes = v.custom<Uint8Array>((value) => value instanceof Uint8Array, 'bytes');

/** Little-endian float32 values as raw bytes. */
export const floatBytes = v.pipe(
  bytes,
  v.check((value) => value.byteLength % 4 === 0, 'float32 bytes, a multiple of 4'),
);

/** Data that JSON can hold: null, booleans, finite numbers, strings, arrays and plain objects of these. */
export const plainJson = v.pipe(
  v.unknown(),
  v.check((value) => isPlainJson(value, maxDepth), 'plain JSON'),
);

export const workerKinds = ['node', 'browser', 'local'] as const;

/** `kill` ends a worker, `freeze` makes it answer nothing for a while, `slow` makes it compute slower for a while. */
export const faultActions = ['kill', 'freeze', 'slow'] as const;

/** The optimizer step a message belongs to, from 0. */
export const step = whole(0);

/** An aligned shard of microbatches `[lo, lo + n)`: one node of the reduce tree. */
export const shard = {
  step,
  lo: whole(0, maxMicrobatches),
  n: whole(1, maxMicrobatches),
};

interface Shard {
  readonly lo: number;
  readonly n: number;
}

/** A node of the reduce tree: `n` is a power of two and divides `lo`. */
export const isTreeNode = (value: Shard): boolean => (value.n & (value.n - 1)) === 0 && value.lo % value.n === 0;

export const treeNodePhrase = 'a shard with n a power of two and lo a multiple of n';

interface Samples {
  readonly pixels: Uint8Array;
  readonly labels: Uint8Array;
}

/** Every sample has one label and the same number of pixels. */
export const isSampleBatch = ({ pixels, labels }: Samples): boolean =>
  labels.byteLength === 0 ? pixels.byteLength === 0 : pixels.byteLength % labels.byteLength === 0;

export const sampleBatchPhrase = 'a number of pixels that is a multiple of the number of labels';

/** Set in a sample's number where the sample itself comes with the message. */
export const enclosed = 2 ** 31;

interface NamedSamples extends Samples {
  /** u32, little-endian, at any alignment. */
  readonly samples: Uint8Array;
}

/** Every sample that is marked as enclosed has a label. */
export function isNamedSampleBatch({ samples, pixels, labels }: NamedSamples): boolean {
  if (samples.byteLength % 4 !== 0 || !isSampleBatch({ pixels, labels })) return false;
  let marked = 0;
  for (let top = 3; top < samples.byteLength; top += 4) marked += samples[top]! >> 7;
  return marked === labels.byteLength;
}

export const namedSamplesPhrase = 'four bytes for each sample, and as many labels as samples that are enclosed';

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
