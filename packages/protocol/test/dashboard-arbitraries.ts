/** Arbitrary valid messages of the dashboard, one generator per entry of its table. */
import fc from 'fast-check';
import { type WatchMessage, type WatchMessageOf, watchMessages } from '../src/dashboard.ts';
import { diloco, finite, hexHash, message, milliseconds, plainJson, text, whole } from './arbitraries.ts';
import { task, uploadedData } from './data-setup-arbitraries.ts';
import { viewerArbitraries } from './viewer-arbitraries.ts';

export type WatchMessageType = keyof typeof watchMessages;

const fraction = fc.double({ min: 0, max: 1, noNaN: true }).map((value) => (value === 0 ? 0 : value));

const floats = (length: number): fc.Arbitrary<Uint8Array> =>
  fc
    .array(fc.float(), { minLength: length, maxLength: length })
    .map((values) => new Uint8Array(new Float32Array(values).buffer));

const points = fc
  .integer({ min: 0, max: 20 })
  .chain((length) =>
    fc.record(
      { steps: floats(length), seconds: floats(length), losses: floats(length), accuracies: floats(length) },
      { requiredKeys: ['steps', 'seconds', 'losses'], noNullPrototype: true },
    ),
  );

const record = <T>(fields: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> =>
  fc.record(fields, { noNullPrototype: true }) as fc.Arbitrary<T>;

const epochReport = record({
  epoch: whole(1),
  trainLoss: finite,
  trainAccuracy: fc.option(fraction),
  testLoss: finite,
  testAccuracy: fc.option(fraction),
  testR2: fc.option(finite),
  testRmse: fc.option(finite),
  seconds: milliseconds,
  imagesPerSecond: milliseconds,
});

const workerRow = fc
  .tuple(
    record({
      id: text(64),
      name: text(80),
      kind: fc.constantFrom('node' as const, 'browser' as const, 'local' as const, 'relay' as const),
      backend: text(80),
      threads: whole(1),
      phase: fc.constantFrom('handshake' as const, 'checking' as const, 'ready' as const, 'gone' as const),
      hidden: fc.boolean(),
      share: fraction,
      shards: whole(0),
      samples: whole(0),
      computeMs: milliseconds,
      sendMs: milliseconds,
      waitMs: milliseconds,
      health: fc.constantFrom('good' as const, 'idle' as const, 'late' as const, 'finished' as const, 'gone' as const),
      samplesPerSecond: milliseconds,
    }),
    fc.option(fc.constantFrom('joining' as const, 'trial' as const, 'slow' as const), { nil: undefined }),
    fc.option(whole(0), { nil: undefined }),
  )
  .map(([row, idle, workersBehind]) => ({
    ...row,
    ...(idle && { idle }),
    ...(workersBehind === undefined ? {} : { workersBehind }),
  }));

const span = record({
  kind: fc.constantFrom('receive' as const, 'compute' as const, 'send' as const, 'wait' as const),
  fromMs: milliseconds,
  toMs: milliseconds,
});

const checkpointFile = record({ file: text(100), step: whole(0) });

const evaluation = fc
  .record({
    epoch: whole(1),
    sampleBytes: fc.integer({ min: 0, max: 36 }),
    outputs: fc.integer({ min: 2, max: 12 }),
    isSmall: fc.boolean(),
  })
  .chain(({ epoch, sampleBytes, outputs, isSmall }) => {
    const sample = fc.uint8Array({ minLength: sampleBytes, maxLength: sampleBytes });
    const topError = fc
      .record({
        sample,
        label: fc.integer({ min: 0, max: outputs - 1 }),
        off: fc.integer({ min: 1, max: outputs - 1 }),
        probability: fraction,
      })
      .map(({ off, ...error }) => ({ ...error, predicted: (error.label + off) % outputs }));
    const farSample = record({ sample, target: floats(outputs), predicted: floats(outputs) });
    return record({
      type: fc.constant('evaluation' as const),
      epoch: fc.constant(epoch),
      outputs: fc.constant(outputs),
      ...(isSmall ? { confusion: floats(outputs * outputs) } : {}),
      topErrors: fc.array(topError, { maxLength: 5 }),
      farthest: fc.array(farSample, { maxLength: 5 }),
    });
  });

export const watchArbitraries: { readonly [T in WatchMessageType]: fc.Arbitrary<WatchMessageOf<T>> } = {
  run: record({
    type: fc.constant('run' as const),
    version: text(40),
    model: plainJson,
    parameters: whole(0),
    config: fc.record(
      {
        seed: whole(0),
        batch: whole(1),
        microbatchSize: whole(1),
        epochs: whole(1),
        steps: whole(1),
        optimizer: plainJson,
        diloco,
        workers: whole(0),
      },
      {
        requiredKeys: ['seed', 'batch', 'microbatchSize', 'epochs', 'steps', 'optimizer', 'workers'],
        noNullPrototype: true,
      },
    ),
    steps: whole(1),
    stepsPerEpoch: whole(1),
    microbatches: whole(1),
    samples: whole(1),
    testSamples: whole(0),
    sampleType: fc.constantFrom('u8' as const, 'f32' as const),
    sampleShape: fc.array(fc.integer({ min: 1, max: 2 ** 31 - 1 }), { minLength: 1, maxLength: 4 }),
    targetType: fc.constantFrom('classes' as const, 'values' as const),
    outputs: fc.integer({ min: 1, max: 65_535 }),
    names: fc.array(text(80), { maxLength: 4 }),
    columns: fc.array(
      fc.oneof(
        record({ type: fc.constant('number' as const), name: text(80), mean: finite, deviation: finite }),
        record({
          type: fc.constant('category' as const),
          name: text(80),
          categories: fc.array(text(80), { maxLength: 4 }),
        }),
      ),
      { maxLength: 4 },
    ),
    joinAddresses: fc.array(text(300), { maxLength: 4 }),
    workerCommand: text(200),
    tokenNeeded: fc.boolean(),
    faultInjection: fc.boolean(),
    canRunAgain: fc.boolean(),
    planAtStart: fc.record(
      { usualBatch: fc.integer({ min: 1 }), microbatchSize: fc.integer({ min: 1 }) },
      { requiredKeys: ['usualBatch'], noNullPrototype: true },
    ),
  }),
  earlierRuns: record({
    type: fc.constant('earlierRuns' as const),
    label: text(200),
    runs: fc.array(
      record({
        label: text(200),
        settings: record({
          model: text(80),
          optimizer: text(40),
          learningRate: finite,
          batch: whole(1),
          epochs: whole(1),
          schedule: text(40),
          seed: whole(0),
          workers: whole(0),
        }),
        stepsPerEpoch: whole(1),
        steps: whole(0),
        points,
        epochs: fc.array(epochReport, { maxLength: 2 }),
      }),
      { maxLength: 3 },
    ),
  }),
  dataSetup: fc.record(
    {
      type: fc.constant('dataSetup' as const),
      version: text(40),
      joinAddresses: fc.array(text(300), { maxLength: 4 }),
      workerCommand: text(200),
      tokenNeeded: fc.boolean(),
      phase: fc.constantFrom('empty' as const, 'receiving' as const, 'reading' as const, 'ready' as const),
      receivedBytes: whole(0),
      totalBytes: whole(0),
      fault: message,
      data: uploadedData,
      table: record({
        columns: fc.array(text(80), { maxLength: 4 }),
        rows: fc.array(fc.array(text(80), { maxLength: 4 }), { maxLength: 4 }),
        label: whole(0),
        task,
      }),
    },
    {
      requiredKeys: [
        ...(['type', 'version', 'joinAddresses', 'workerCommand', 'tokenNeeded', 'phase'] as const),
        ...(['receivedBytes', 'totalBytes'] as const),
      ],
      noNullPrototype: true,
    },
  ),
  history: record({
    type: fc.constant('history' as const),
    points,
    epochs: fc.array(epochReport, { maxLength: 4 }),
    events: fc.array(message, { maxLength: 4 }),
  }),
  progress: fc.record(
    {
      type: fc.constant('progress' as const),
      phase: fc.constantFrom('waiting', 'training', 'paused', 'finished', 'failed'),
      ending: record({ type: fc.constantFrom('stopped' as const, 'failed' as const), message }),
      pauseRequested: fc.boolean(),
      step: whole(0),
      epoch: whole(1),
      loss: finite,
      accuracy: fraction,
      imagesPerSecond: milliseconds,
      secondsLeft: milliseconds,
      exactness: fc.constantFrom('bit-exact', 'sample-exact', 'unverified'),
      numericMode: text(300),
      bitExactAmong: text(80),
      weightsHash: hexHash,
      weightsHashStep: whole(0),
      points,
    },
    {
      requiredKeys: ['type', 'phase', 'pauseRequested', 'step', 'epoch', 'imagesPerSecond', 'points'],
      noNullPrototype: true,
    },
  ) as fc.Arbitrary<WatchMessageOf<'progress'>>,
  workers: record({ type: fc.constant('workers' as const), workers: fc.array(workerRow, { maxLength: 5 }) }),
  timeline: record({
    type: fc.constant('timeline' as const),
    step: whole(0),
    durationMs: milliseconds,
    rows: fc.array(record({ workerId: text(64), spans: fc.array(span, { maxLength: 5 }) }), { maxLength: 5 }),
  }),
  epoch: record({ type: fc.constant('epoch' as const), report: epochReport }),
  evaluation,
  weights: record({
    type: fc.constant('weights' as const),
    step: whole(0),
    bytes: fc.integer({ min: 0, max: 40 }).chain(floats),
  }),
  result: record({
    type: fc.constant('result' as const),
    step: whole(0),
    report: fc.uint8Array({ maxLength: 40 }),
    metadata: fc.dictionary(fc.constantFrom('classes', 'seed', 'weightsSha256'), fc.string(), {
      noNullPrototype: true,
    }),
  }),
  checkpoint: fc.record(
    { type: fc.constant('checkpoint' as const), resumed: checkpointFile, newest: checkpointFile },
    { requiredKeys: ['type'], noNullPrototype: true },
  ),
  event: record({ type: fc.constant('event' as const), message }),
  role: fc.record(
    { type: fc.constant('role' as const), role: fc.constantFrom('guest' as const, 'owner' as const), fault: message },
    { requiredKeys: ['type', 'role'], noNullPrototype: true },
  ),
  joinCode: record({ type: fc.constant('joinCode' as const), code: text(16) }),
  alive: record({ type: fc.constant('alive' as const) }),
  done: record({ type: fc.constant('done' as const), message }),
  refused: record({ type: fc.constant('refused' as const), message }),
  ...viewerArbitraries,
};

export const watchMessageTypes = Object.keys(watchMessages) as WatchMessageType[];

export const anyWatchMessage = fc.oneof(
  ...watchMessageTypes.map((type) => watchArbitraries[type] as fc.Arbitrary<WatchMessage>),
);

/** A fixed example of a message type, the same in every run. */
export function watchExampleOf(type: WatchMessageType): WatchMessage {
  const [example] = fc.sample(watchArbitraries[type] as fc.Arbitrary<WatchMessage>, { numRuns: 1, seed: 11 });
  return example!;
}
