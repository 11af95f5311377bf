/** Building blocks of messages: table entries, field types, and text. A phrase completes "expected …". */
import { type Dtype, type FieldRole, maxTokens, type SampleField, type TargetField } from '@lockstep/data';
import { errorMessage, printable, printableText } from '@lockstep/data/shown';
import * as v from 'valibot';

/** Messages by type: the sending side, or `either`, and the schema of the message. */
export type MessageTable = Readonly<Record<string, { readonly from: string; readonly schema: v.GenericSchema }>>;

type Merged<T> = { [K in keyof T]: T[K] };

/** The message of type `K` of a table. */
export type MessageIn<T extends MessageTable, K extends keyof T> = K extends keyof T
  ? Merged<{ type: K } & v.InferOutput<T[K]['schema']>>
  : never;

/** The messages of a table that `S` may send. */
export type SentBy<T extends MessageTable, S> = {
  [K in keyof T]: T[K]['from'] extends S | 'either' ? MessageIn<T, K> : never;
}[keyof T];

/** A condition on several fields of a message, with the phrase that completes "expected …". */
export type Condition<Message> = readonly [isMet: (message: Message) => boolean, phrase: string];

/** Makes table entries for messages that `from` may send. A message has exactly these fields, and its type. */
export function messageFrom<const From extends string>(from: From) {
  return <Fields extends v.ObjectEntries>(
    fields: Fields,
    ...conditions: readonly Condition<v.InferOutput<v.StrictObjectSchema<Fields, undefined>>>[]
  ) => {
    // The type found the entry, so it needs no check.
    const object: v.GenericSchema = v.strictObject({ type: v.string(), ...fields });
    const checks = conditions.map(([isMet, phrase]) => v.check((value: unknown) => isMet(value as never), phrase));
    return { from, schema: v.pipe(object, ...checks) as unknown as v.StrictObjectSchema<Fields, undefined> };
  };
}

/** A number that satisfies `isValid`; `phrase` describes the valid numbers. */
export function numberWhere(phrase: string, isValid: (value: number) => boolean) {
  return v.pipe(v.number(phrase), v.check(isValid, phrase));
}

/** A whole number from `minimum` to `maximum` (default: largest safe integer). */
export function integer(minimum: number, maximum: number = Number.MAX_SAFE_INTEGER) {
  const range = maximum === Number.MAX_SAFE_INTEGER ? `of at least ${minimum}` : `from ${minimum} to ${maximum}`;
  const isValid = (value: number) => Number.isSafeInteger(value) && value >= minimum && value <= maximum;
  return numberWhere(`a whole number ${range}`, isValid);
}

export const finiteFloat = numberWhere('a finite number', Number.isFinite);

const nonNegative = numberWhere('a finite number of at least 0', (value) => Number.isFinite(value) && value >= 0);
const positive = numberWhere('a finite number above 0', (value) => Number.isFinite(value) && value > 0);

/** A time or a duration in milliseconds, fractions allowed. */
export const timeMs = nonNegative;

/** A fraction or a probability. */
export const proportion = numberWhere('a number from 0 to 1', (value) => value >= 0 && value <= 1);

export const bool = v.boolean('true or false');

/** A list of `least` to `most` items, called `what` in errors. */
export function arrayOf<Item extends v.GenericSchema>(item: Item, least: number, most: number, what: string) {
  const phrase = `a list of ${least === 0 ? 'at most' : `${least} to`} ${most} ${what}`;
  return v.pipe(v.array(item, phrase), v.minLength(least, phrase), v.maxLength(most, phrase));
}

/** Raw bytes, whose contents are not checked. */
export const bytes = v.custom<Uint8Array>((value) => value instanceof Uint8Array, 'bytes');

/** Little-endian float32 values as raw bytes. */
export const floatBytes = v.pipe(
  bytes,
  v.check((value) => value.byteLength % 4 === 0, 'float32 bytes, a multiple of 4'),
);

/** Data that JSON can hold. Frames bring nothing else but bytes and numbers that are not finite. */
export const plainJson = v.pipe(v.unknown(), v.check(isPlainJson, 'plain JSON'));

function isPlainJson(value: unknown): boolean {
  if (typeof value === 'number') return Number.isFinite(value);
  if (typeof value !== 'object' || value === null) return true;
  return !(value instanceof Uint8Array) && Object.values(value).every(isPlainJson);
}

/** One printable line of 1 to `maxLength` UTF-16 units. */
export function printableLine(maxLength: number) {
  const phrase = `one line of 1 to ${maxLength} printable characters`;
  return v.pipe(v.string(phrase), v.maxLength(maxLength, phrase), v.regex(printable, phrase));
}

/** A text of at most `maxLength` UTF-16 units, with any line breaks and control characters. */
export function textOfLength(maxLength: number) {
  const phrase = `a text of at most ${maxLength} characters`;
  return v.pipe(v.string(phrase), v.maxLength(maxLength, phrase));
}

/** Longest name in a run's tables, in UTF-16 units. */
export const maxNameLength = 80;

/** Longest `message` on the wire, in UTF-16 units. */
const maxMessageLength = 1000;
export const message = printableLine(maxMessageLength);

/** Whether `text` is printable, not blank, and at most `maxLength` UTF-16 units long. */
export function isPrintableLine(text: string, maxLength: number): boolean {
  return text.trim() !== '' && text.length <= maxLength && printable.test(text);
}

/** `text` as one printable line of 1 to `maxLength` UTF-16 units. Longer text is cut and ends in "…". */
export function toMessageText(text: string, maxLength: number = maxMessageLength): string {
  const line = printableText(text);
  if (line.length === 0) return 'no reason given';
  if (line.length <= maxLength) return line;
  const last = line.charCodeAt(maxLength - 2);
  const splitsPair = last >= 0xd800 && last <= 0xdbff;
  return `${line.slice(0, splitsPair ? maxLength - 2 : maxLength - 1)}…`;
}

/** The message of anything thrown, as a message on the wire carries it. */
export function errorText(error: unknown): string {
  return toMessageText(errorMessage(error));
}

/** Compares two secrets. The time depends only on the length of `expected`, and so reveals nothing about a guess. */
export function sameSecret(expected: string, got: string): boolean {
  let difference = expected.length ^ got.length;
  for (let index = 0; index < expected.length; index++) {
    difference |= expected.charCodeAt(index) ^ got.charCodeAt(index % Math.max(1, got.length));
  }
  return difference === 0;
}

const hexPhrase = '8 to 128 hexadecimal digits';
export const hexHash = v.pipe(v.string(hexPhrase), v.regex(/^[0-9a-f]{8,128}$/, hexPhrase));

/** The optimizer step a message belongs to, or the number of steps taken; from 0. */
export const step = integer(0);

/** A `relay` computes nothing itself: it coordinates workers of its own and sends the sum of their gradients. */
export const workerKinds = ['node', 'browser', 'local', 'relay'] as const;

/** `kill` ends a worker. For a limited time, `freeze` stops it from answering and `slow` slows its computing. */
export const faultActions = ['kill', 'freeze', 'slow'] as const;

const field = <D extends Dtype, R extends FieldRole>(
  dtype: D,
  role: R,
  dimensions: readonly [least: number, most: number],
) => ({
  dtype: v.literal(dtype),
  shape: v.pipe(arrayOf(integer(1, 2 ** 31 - 1), ...dimensions, 'sizes'), v.readonly()),
  role: v.literal(role),
});

/** Most classes that may have weights, so that the weights fit into a frame of any run. */
export const maxWeightedClasses = 4_096;

const classField = v.strictObject({
  ...field('u16', 'index', [0, 0]),
  classWeights: v.exactOptional(
    v.pipe(arrayOf(nonNegative, 2, maxWeightedClasses, 'weights of classes'), v.readonly()),
  ),
});

const tokenField = v.strictObject({
  ...field('u16', 'index', [1, 1]),
  dtype: v.picklist(['u8', 'u16'], 'u8 or u16'),
  tokens: integer(2, maxTokens),
});
const nextField = v.strictObject({
  ...field('u8', 'next', [1, 1]),
  shape: v.pipe(arrayOf(integer(0, 0), 1, 1, 'sizes'), v.readonly()),
  positions: positive,
  lines: v.exactOptional(v.literal(true)),
});

/** Samples and targets in all messages; their numbers are little-endian. */
export const dataFields = {
  sampleField: v.variant(
    'role',
    [v.strictObject(field('u8', 'scaled', [1, 4])), v.strictObject(field('f32', 'value', [1, 4])), tokenField],
    'scaled, value or index',
  ),
  targetField: v.variant(
    'role',
    [classField, v.strictObject(field('f32', 'value', [1, 1])), nextField],
    'index, value or next',
  ),
} satisfies Readonly<Record<string, v.GenericSchema<unknown, SampleField | TargetField>>>;

/** An inner step of DiLoCo: the samples and settings of one step of SGD. */
export const innerStep = {
  batch: integer(1),
  learningRate: positive,
  momentum: numberWhere('a number from 0 to below 1', (value) => value >= 0 && value < 1),
  /** Number of leading parameters that keep their values. */
  frozen: v.exactOptional(integer(1)),
};
