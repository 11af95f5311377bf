/** Arbitrary valid messages, derived from the message tables: a schema says which values a field accepts. */
import { printable } from '@lockstep/data/shown';
import fc from 'fast-check';
import * as v from 'valibot';
import { watchMessages } from '../src/dashboard.ts';
import { enclosed, type MessageOf, messages, type Side, vectorEncodings } from '../src/messages.ts';

export type MessageType = keyof typeof messages;
type WatchMessageType = keyof typeof watchMessages;

/** The parts of a schema from which values are made. */
export interface Schema extends v.GenericSchema {
  readonly message?: unknown;
  readonly pipe?: readonly Schema[];
  readonly requirement?: unknown;
  readonly entries?: Readonly<Record<string, Schema>>;
  readonly options?: readonly unknown[];
  readonly literal?: unknown;
  readonly item?: Schema;
  readonly wrapped?: Schema;
}

const withoutNegativeZero = (value: number): number => (value === 0 ? 0 : value);

const numbers = fc
  .oneof(
    fc.nat(300),
    fc.integer({ min: -64, max: 53 }).map((exponent) => 2 ** exponent),
    fc.maxSafeInteger(),
    fc.double({ min: 0, max: 1, noNaN: true }),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
  )
  .map(withoutNegativeZero);

const plainJson = fc
  .jsonValue({ maxDepth: 5 })
  .filter((value) => !JSON.stringify(value).includes('__proto__'))
  .map((value): unknown => JSON.parse(JSON.stringify(value)));

const addresses = fc
  .tuple(fc.constantFrom('ws', 'wss'), fc.domain(), fc.integer({ min: 1, max: 65_535 }))
  .map(([scheme, host, port]) => `${scheme}://${host}:${port}`);

const bytesOf = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const floats = (length: number): fc.Arbitrary<Uint8Array> =>
  fc
    .array(fc.float(), { minLength: length, maxLength: length })
    .map((all) => new Uint8Array(Float32Array.from(all).buffer));
const anyFloats = fc.nat(40).chain(floats);

const shard = fc
  .record({ exponent: fc.nat(12), index: fc.nat(2 ** 16) })
  .map(({ exponent, index }) => ({ lo: index * 2 ** exponent, n: 2 ** exponent }));

const batchFrom = (least: number) =>
  fc.tuple(fc.integer({ min: least, max: 5 }), fc.nat(60), fc.nat(8)).chain(([count, sampleBytes, targetBytes]) =>
    fc.record({
      count: fc.constant(count),
      samples: bytesOf(count * sampleBytes),
      targets: bytesOf(count * targetBytes),
    }),
  );

/** A task brings all its samples, or numbers: first of samples that came earlier, then of those it encloses. */
const task = fc.tuple(shard, batchFrom(0), fc.option(fc.array(fc.nat(2 ** 31 - 1)))).map(([node, batch, earlier]) => {
  const all = earlier && Uint32Array.from([...earlier, ...new Array<number>(batch.count).fill(enclosed)]);
  return { ...node, ...batch, numbers: all ? new Uint8Array(all.buffer) : undefined };
});

const gradient = fc
  .tuple(
    shard,
    fc.oneof(
      fc.record({ bytes: anyFloats, encoding: fc.constant(undefined) }),
      fc.record({ bytes: fc.uint8Array({ maxLength: 64 }), encoding: fc.constantFrom(...vectorEncodings) }),
    ),
    fc.nat(1000),
    fc.nat(1000),
  )
  .map(([node, values, correct, wrong]) => ({ ...node, ...values, correct, count: correct + wrong }));

const points = fc.tuple(fc.nat(20), fc.boolean()).chain(([length, isOfClasses]) =>
  fc.record({
    steps: floats(length),
    seconds: floats(length),
    losses: floats(length),
    accuracies: isOfClasses ? floats(length) : fc.constant(undefined),
  }),
);

const evaluation = fc
  .tuple(fc.nat(36), fc.integer({ min: 2, max: 12 }), fc.boolean())
  .chain(([sampleBytes, outputs, isSmall]) => {
    const sample = bytesOf(sampleBytes);
    const topError = fc
      .record({
        sample,
        label: fc.nat(outputs - 1),
        off: fc.integer({ min: 1, max: outputs - 1 }),
        probability: fc.constant(0.5),
      })
      .map(({ off, ...error }) => ({ ...error, predicted: (error.label + off) % outputs }));
    const farSample = fc.record(
      { sample, target: floats(outputs), predicted: floats(outputs) },
      { noNullPrototype: true },
    );
    return fc.record({
      outputs: fc.constant(outputs),
      confusion: isSmall ? floats(outputs * outputs) : fc.constant(undefined),
      topErrors: fc.array(topError, { maxLength: 5 }),
      cellSamples: fc.option(fc.array(topError, { maxLength: 5 }), { nil: undefined }),
      farthest: fc.array(farSample, { maxLength: 5 }),
    });
  });

/** Fields that depend on each other, by schema. */
const dependent = new Map<v.GenericSchema, fc.Arbitrary<object>>([
  [messages.numericsCheck.schema, batchFrom(1)],
  [messages.task.schema, task],
  [messages.gradient.schema, gradient],
  [messages.taskError.schema, shard],
  [messages.cancel.schema, shard],
  [watchMessages.history.schema.entries.points, points],
  [watchMessages.evaluation.schema, evaluation],
]);

/** The requirement of a check of a schema, or of the schema that it extends. */
function requirement(schema: Schema, type: string): unknown {
  for (const item of schema.pipe ?? []) {
    if (item.type === type && 'requirement' in item) return item.requirement;
    const inner = item === schema ? undefined : requirement(item, type);
    if (inner !== undefined) return inner;
  }
  return undefined;
}

function strings(schema: Schema): fc.Arbitrary<string> {
  const form = requirement(schema, 'regex') as RegExp | undefined;
  if (form && form !== printable) return fc.stringMatching(form);
  const maxLength = Math.min(90, (requirement(schema, 'max_length') as number | undefined) ?? 90);
  return fc.oneof(fc.string({ unit: 'grapheme', minLength: 1, maxLength }), addresses);
}

function objects(schema: Schema): fc.Arbitrary<object> {
  const entries = Object.entries(schema.entries!);
  const requiredKeys = entries.filter(([, field]) => field.type !== 'exact_optional').map(([key]) => key);
  const fields = Object.fromEntries(entries.map(([key, field]) => [key, arbitraryOf(field)]));
  const all = fc.record(fields, { requiredKeys, noNullPrototype: true });
  const given = dependent.get(schema);
  if (!given) return all;
  return fc.tuple(all, given).map((parts) => {
    const merged = Object.entries({ ...parts[0], ...parts[1] });
    return Object.fromEntries(merged.filter(([, value]) => value !== undefined));
  });
}

function candidates(schema: Schema): fc.Arbitrary<unknown> {
  switch (schema.type) {
    case 'string':
      return strings(schema);
    case 'number':
      return numbers;
    case 'boolean':
      return fc.boolean();
    case 'custom':
      return fc.oneof(fc.uint8Array({ maxLength: 64 }), anyFloats);
    case 'unknown':
      return plainJson;
    case 'literal':
      return fc.constant(schema.literal);
    case 'picklist':
      return fc.constantFrom(...schema.options!);
    case 'variant':
      return fc.oneof(...(schema.options as readonly Schema[]).map(arbitraryOf));
    case 'array':
      return fc.array(arbitraryOf(schema.item!), { maxLength: 4 });
    case 'nullable':
      return fc.option(arbitraryOf(schema.wrapped!));
    case 'exact_optional':
      return arbitraryOf(schema.wrapped!);
    case 'strict_object':
      return objects(schema);
    default:
      throw new Error(`expected a type of schema with values, got ${schema.type}`);
  }
}

/** Values that a schema accepts. */
function arbitraryOf(schema: Schema): fc.Arbitrary<unknown> {
  return candidates(schema).filter((value) => v.is(schema, value));
}

/** Arbitrary messages of a type. */
export function anyMessageOf(
  table: typeof messages | typeof watchMessages,
  type: string,
): fc.Arbitrary<{ type: string }> {
  const { schema } = (table as Readonly<Record<string, { readonly schema: v.GenericSchema }>>)[type]!;
  return (objects(schema as Schema) as fc.Arbitrary<object>)
    .map((fields) => ({ ...fields, type }))
    .filter((message) => v.is(schema, message));
}

export const messageTypes = Object.keys(messages) as MessageType[];
export const watchMessageTypes = Object.keys(watchMessages) as WatchMessageType[];

/** Whether the message table lets a side send messages of a type. */
export function maySend(side: Side, type: MessageType): boolean {
  const { from } = messages[type];
  return from === side || from === 'either';
}

/** A fixed example of a message type, the same in every run. */
export function exampleOf<T extends MessageType>(type: T): MessageOf<T> {
  return example(messages, type) as MessageOf<T>;
}

export function example(table: typeof messages | typeof watchMessages, type: string): { type: string } {
  return fc.sample(anyMessageOf(table, type), { numRuns: 1, seed: 7 })[0]!;
}
