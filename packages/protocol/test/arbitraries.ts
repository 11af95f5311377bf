/** Arbitrary valid messages, one generator per entry of the message table. */
import { printable } from '@lockstep/files/shown';
import fc from 'fast-check';
import { enclosed } from '../src/fields.ts';
import { type MessageOf, messages, type Side } from '../src/messages.ts';
import { vectorEncodings } from '../src/vector-codec.ts';

export type MessageType = keyof typeof messages;

/** What a text of the greatest length consists of. */
const filler = '▮';

/** Some of the texts are as long as the bound allows. */
export const text = (maxLength: number): fc.Arbitrary<string> => {
  const short = fc.string({ unit: 'grapheme', minLength: 1, maxLength: Math.min(maxLength, 90) });
  const full = fc.constant(filler.repeat(maxLength));
  return fc.oneof(
    { weight: 7, arbitrary: short.filter((value) => value.length <= maxLength && printable.test(value)) },
    { weight: 1, arbitrary: full },
  );
};

/** Yields copies of a message, each with one text that is one character longer than its bound allows. */
export function* withTooLongText(value: unknown): Generator<unknown> {
  if (typeof value === 'string' && value.startsWith(filler)) yield value + filler;
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return;
  for (const [key, field] of Object.entries(value)) {
    for (const longer of withTooLongText(field)) {
      yield Array.isArray(value) ? value.with(Number(key), longer) : { ...value, [key]: longer };
    }
  }
}

export const whole = (min: number, max: number = Number.MAX_SAFE_INTEGER): fc.Arbitrary<number> =>
  fc.oneof(
    fc.constantFrom(min, max),
    fc.integer({ min, max: Math.min(max, 300) }),
    fc.maxSafeInteger().filter((n) => n >= min && n <= max),
  );

const withoutNegativeZero = (value: number): number => (value === 0 ? 0 : value);

export const finite = fc.double({ noNaN: true, noDefaultInfinity: true }).map(withoutNegativeZero);

export const milliseconds = fc.double({ min: 0, max: 1e12, noNaN: true }).map(withoutNegativeZero);

export const floatBytes = fc
  .array(fc.float(), { maxLength: 80 })
  .map((values) => new Uint8Array(new Float32Array(values).buffer));

const bytesFor = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });

const batchFrom = (min: number) =>
  fc
    .record({
      count: fc.integer({ min, max: 5 }),
      sampleBytes: fc.integer({ min: 0, max: 60 }),
      targetBytes: fc.integer({ min: 0, max: 8 }),
    })
    .chain(({ count, sampleBytes, targetBytes }) =>
      fc.record({
        count: fc.constant(count),
        samples: bytesFor(count * sampleBytes),
        targets: bytesFor(count * targetBytes),
      }),
    );

/** Sample numbers: first `others`, then `enclosedCount` samples enclosed in the message. */
const sampleNumbers = (enclosedCount: number, others: readonly number[]): Uint8Array =>
  new Uint8Array(Uint32Array.from([...others, ...new Array<number>(enclosedCount).fill(enclosed)]).buffer);

const shard = fc
  .record({ step: whole(0), exponent: fc.integer({ min: 0, max: 12 }), index: fc.integer({ min: 0, max: 2 ** 16 }) })
  .map(({ step, exponent, index }) => ({ step, lo: index * 2 ** exponent, n: 2 ** exponent }));

const vectorValues = fc.integer({ min: 2, max: 2 ** 28 });
const vector = fc.record({ values: vectorValues }, { requiredKeys: [], noNullPrototype: true });

export const plainJson = fc
  .jsonValue({ maxDepth: 5 })
  .filter((value) => !JSON.stringify(value).includes('__proto__'))
  .map((value): unknown => JSON.parse(JSON.stringify(value)));

export const hexHash = fc.stringMatching(/^[0-9a-f]{8,128}$/);

export const message = text(1000);

const innerStep = {
  batch: whole(1),
  learningRate: fc.double({ min: 1e-9, max: 1e9, noNaN: true }),
  momentum: fc.double({ min: 0, max: 0.999, noNaN: true }).map(withoutNegativeZero),
};
const innerSteps = fc.record(innerStep, { noNullPrototype: true });
export const diloco = fc.record({ replicas: whole(1), innerSteps: whole(1), ...innerStep }, { noNullPrototype: true });

const runGeometry = fc.record(
  {
    samples: fc.integer({ min: 1, max: 2 ** 31 - 1 }),
    batch: whole(1),
    steps: whole(1),
    verifyRate: fc.double({ min: 0, max: 1, noNaN: true }).map(withoutNegativeZero),
    participation: fc.constantFrom('fastest' as const, 'rotation' as const),
  },
  { requiredKeys: ['samples', 'batch', 'steps'], noNullPrototype: true },
);

const address = fc
  .tuple(fc.constantFrom('ws', 'wss'), fc.domain(), fc.integer({ min: 1, max: 65_535 }))
  .map(([scheme, host, port]) => `${scheme}://${host}:${port}`)
  .filter(({ length }) => length <= 256);

export const arbitraries: { readonly [T in MessageType]: fc.Arbitrary<MessageOf<T>> } = {
  hello: fc.record(
    {
      type: fc.constant('hello' as const),
      protocol: whole(0),
      token: text(256),
      resumeKey: text(128),
      kind: fc.constantFrom('node' as const, 'browser' as const, 'local' as const, 'relay' as const),
      backend: text(80),
      numericMode: text(200),
      name: text(80),
      threads: fc.integer({ min: 1, max: 65_536 }),
      sampleCacheBytes: whole(0),
    },
    { requiredKeys: ['type', 'protocol', 'kind', 'backend', 'numericMode', 'name', 'threads'], noNullPrototype: true },
  ),
  welcome: fc.record(
    {
      type: fc.constant('welcome' as const),
      id: text(64),
      resumeKey: text(128),
      model: plainJson,
      microbatchSize: whole(1),
      sampleType: fc.constantFrom('u8' as const, 'f32' as const),
      sampleShape: fc.array(fc.integer({ min: 1, max: 2 ** 31 - 1 }), { minLength: 1, maxLength: 4 }),
      innerSteps,
      targetType: fc.constantFrom('classes' as const, 'values' as const),
      seed: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
      halfUnit: fc.integer({ min: -64, max: 64 }).map((exponent) => 2 ** exponent),
      cachedSamples: fc.integer({ min: 1, max: 2 ** 31 - 1 }),
      heartbeatMs: whole(1),
      maxFrameBytes: whole(1),
      chunkBytes: fc.integer({ min: 1, max: 2 ** 28 }).map((values) => 4 * values),
      run: runGeometry,
      addresses: fc.array(address, { maxLength: 8 }),
    },
    {
      requiredKeys: [
        'type',
        'id',
        'resumeKey',
        'model',
        'microbatchSize',
        'sampleType',
        'sampleShape',
        'targetType',
        'heartbeatMs',
        'maxFrameBytes',
        'chunkBytes',
      ],
      noNullPrototype: true,
    },
  ),
  refuse: fc.record(
    {
      type: fc.constant('refuse' as const),
      code: fc.constantFrom(
        'protocol' as const,
        'token' as const,
        'full' as const,
        'numerics' as const,
        'model' as const,
        'busy' as const,
        'waiting' as const,
      ),
      message,
      retryAfterMs: whole(0),
    },
    { requiredKeys: ['type', 'code', 'message'], noNullPrototype: true },
  ),
  numericsCheck: fc
    .record({ weights: floatBytes, vector, batch: batchFrom(1) })
    .map(({ weights, vector: announced, batch }) => ({ type: 'numericsCheck', weights, ...announced, ...batch })),
  numericsResult: fc.record(
    {
      type: fc.constant('numericsResult' as const),
      gradient: floatBytes,
      values: vectorValues,
      hash: hexHash,
      lossSum: finite,
      correct: whole(0),
      computeMs: milliseconds,
    },
    { requiredKeys: ['type', 'gradient', 'hash', 'lossSum', 'correct', 'computeMs'], noNullPrototype: true },
  ),
  weights: fc.record(
    { type: fc.constant('weights' as const), step: whole(0), bytes: floatBytes, values: vectorValues },
    { requiredKeys: ['type', 'step', 'bytes'], noNullPrototype: true },
  ),
  chunk: fc.record(
    {
      type: fc.constant('chunk' as const),
      at: whole(1),
      bytes: fc.uint8Array({ maxLength: 64 }),
      encoding: fc.constantFrom(...vectorEncodings),
      checksum: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
    },
    { requiredKeys: ['type', 'at', 'bytes'], noNullPrototype: true },
  ),
  task: fc
    .record({
      shard,
      batch: batchFrom(0),
      first: fc.option(whole(0), { nil: undefined }),
      cached: fc.option(fc.array(fc.nat(2 ** 31 - 1)), { nil: undefined }),
    })
    .map(({ shard: node, batch, first, cached }) => ({
      type: 'task',
      ...node,
      ...(first === undefined ? {} : { first }),
      ...(cached === undefined ? {} : { numbers: sampleNumbers(batch.count, cached) }),
      ...batch,
    })),
  gradient: fc
    .record({
      shard,
      vector,
      values: fc.oneof(
        fc.record({ bytes: floatBytes }),
        fc.record({
          bytes: fc.uint8Array({ maxLength: 64 }),
          encoding: fc.constantFrom(...vectorEncodings),
        }),
      ),
      checksum: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
      lossSum: finite,
      correct: fc.nat(1000),
      wrong: fc.nat(1000),
      computeMs: milliseconds,
      turnaroundMs: fc.option(milliseconds, { nil: undefined }),
    })
    .map(({ shard: node, vector: announced, values, checksum, lossSum, correct, wrong, computeMs, turnaroundMs }) => ({
      type: 'gradient',
      ...node,
      ...announced,
      ...values,
      checksum,
      lossSum,
      correct,
      count: correct + wrong,
      computeMs,
      ...(turnaroundMs === undefined ? {} : { turnaroundMs }),
    })),
  taskError: fc
    .record({
      shard,
      code: fc.constantFrom('out-of-memory' as const, 'device-lost' as const, 'non-finite' as const, 'failed' as const),
      message,
    })
    .map(({ shard: node, code, message: reason }) => ({ type: 'taskError', ...node, code, message: reason })),
  cancel: shard.map((node) => ({ type: 'cancel', ...node })),
  status: fc.record(
    {
      type: fc.constant('status' as const),
      hidden: fc.boolean(),
      workers: fc.integer({ min: 0, max: 2 ** 20 }),
      address,
      unverified: fc.boolean(),
    },
    { requiredKeys: ['type', 'hidden'], noNullPrototype: true },
  ),
  injectFault: fc.record(
    {
      type: fc.constant('injectFault' as const),
      action: fc.constantFrom('kill' as const, 'freeze' as const, 'slow' as const),
      forMs: milliseconds,
    },
    { noNullPrototype: true },
  ),
  finish: fc.record(
    { type: fc.constant('finish' as const), message, anotherMayFollow: fc.boolean() },
    { requiredKeys: ['type', 'message'], noNullPrototype: true },
  ),
  ping: fc.record(
    { type: fc.constant('ping' as const), sentAtMs: milliseconds, receivedBytes: fc.maxSafeNat() },
    { requiredKeys: ['type', 'sentAtMs'], noNullPrototype: true },
  ),
  pong: fc.record({ type: fc.constant('pong' as const), sentAtMs: milliseconds }, { noNullPrototype: true }),
  bye: fc.record({ type: fc.constant('bye' as const), message }, { noNullPrototype: true }),
};

export const messageTypes = Object.keys(messages) as MessageType[];

/** Whether the message table lets a side send messages of a type. */
export function maySend(side: Side, type: MessageType): boolean {
  const { from } = messages[type];
  return from === side || from === 'either';
}

export const anyMessage = fc.oneof(
  ...messageTypes.map((type) => arbitraries[type] as fc.Arbitrary<MessageOf<MessageType>>),
);

/** A fixed example of a message type, the same in every run. */
export function exampleOf<T extends MessageType>(type: T): MessageOf<T> {
  const [example] = fc.sample(arbitraries[type] as fc.Arbitrary<MessageOf<T>>, { numRuns: 1, seed: 7 });
  return example!;
}
