/**
 * The messages between the coordinator and a viewer of the dashboard: sender, fields and checks.
 *
 * Viewers have a socket of their own, on the path `/watch`, read-only but for what an owner does, and begin
 * with `hello`. The coordinator's messages may be dropped: a viewer that falls behind gets none until its socket has
 * drained, and then `run`, `history` and `workers` again.
 */
import * as v from 'valibot';
import {
  checkpointFile,
  columns,
  epochReport,
  farSample,
  maxOutputs,
  names,
  points,
  rate,
  type spanKinds,
  timelineRow,
  topError,
  workerRow,
} from './dashboard-parts.ts';
import {
  bytes,
  diloco,
  faultActions,
  finite,
  flag,
  floatBytes,
  fraction,
  hexHash,
  type MessageIn,
  message,
  messageFrom,
  milliseconds,
  plainJson,
  type SentBy,
  sampleShape,
  sampleTypes,
  step,
  targetTypes,
  text,
  whole,
} from './fields.ts';

/** No data yet; they arrive; they are read; a run on them can start; it starts. */
const dataPhases = ['empty', 'receiving', 'reading', 'ready', 'starting'] as const;
/** What is learned of a column. */
const tasks = ['classification', 'regression'] as const;

/** A cell, or the name of a column; never empty. */
const cell = text(80);

const row = v.array(cell, 'a list of texts');

/** A sample, as in a task, and the name of its class or its value. */
const example = v.strictObject({ sample: bytes, target: cell });

/** The first rows of a table, as they stand in the file. */
const table = v.strictObject({
  columns: row,
  rows: v.array(row, 'a list of rows'),
  /** The column that is learned. */
  label: whole(0),
  task: v.picklist(tasks),
});

/** What was read from the upload, and the run that would start on it. */
const data = v.strictObject({
  /** Samples, their shape, classes, and how they were split, in one line. */
  found: message,
  /** Model and length of the run, in one line. */
  plan: message,
  sampleType: v.picklist(sampleTypes),
  sampleShape,
  targetType: v.picklist(targetTypes),
  outputs: whole(1, maxOutputs),
  names: v.exactOptional(names),
  examples: v.array(example, 'a list of samples'),
});

const dataSetup = {
  version: text(40),
  /** As in `run`. */
  joinAddresses: v.array(text(300), 'a list of addresses'),
  workerCommand: text(200),
  tokenNeeded: flag,
  phase: v.picklist(dataPhases),
  /** Of the upload that arrives. */
  receivedBytes: whole(0),
  totalBytes: whole(0),
  /** Why the last upload cannot be the data of a run, in one sentence. */
  fault: v.exactOptional(message),
  data: v.exactOptional(data),
  /** Of an upload of rows, also where they could not be read as asked. */
  table: v.exactOptional(table),
};

/** What the next run has otherwise than the last one; the options of a run check the values. */
const runChanges = {
  seed: v.exactOptional(finite),
  learningRate: v.exactOptional(finite),
  optimizer: v.exactOptional(text(40)),
  /** The name of a built-in model. */
  model: v.exactOptional(text(40)),
  batch: v.exactOptional(finite),
  epochs: v.exactOptional(finite),
  /** The name of a schedule of the learning rate. */
  schedule: v.exactOptional(text(40)),
};

/** What a run was given, and how many workers computed it. */
const runSettings = v.strictObject({
  model: text(80),
  optimizer: text(40),
  learningRate: finite,
  batch: whole(1),
  epochs: whole(1),
  /** The name of the schedule. */
  schedule: text(40),
  seed: whole(0),
  workers: whole(0),
});

const earlierRun = v.strictObject({
  /** What it had otherwise than the other runs, such as `lr 0.1`. */
  label: text(200),
  settings: runSettings,
  stepsPerEpoch: whole(1),
  /** Steps taken. */
  steps: whole(0),
  points,
  epochs: v.array(epochReport, 'a list of epochs'),
});

const earlierRuns = {
  /** Of the current run. */
  label: text(200),
  /** The oldest first. */
  runs: v.array(earlierRun, 'a list of runs'),
};

/** The WebSocket subprotocol of viewers. */
export const watchSubprotocol = 'lockstep.watch.v6';

/** The path of viewers' sockets; sockets on any other path are workers'. */
export const watchPath = '/watch';

const phases = ['waiting', 'training', 'paused', 'finished', 'failed'] as const;
/** How a run ended before its last step: as a person wished, or because it could not go on. */
const earlyEnds = ['stopped', 'failed'] as const;
const exactnesses = ['bit-exact', 'sample-exact', 'unverified'] as const;
/** A guest watches; an owner has shown the admin token. */
const roles = ['guest', 'owner'] as const;
const adminActions = ['start', 'pause', 'resume', 'stop', 'save'] as const;

const fromCoordinator = messageFrom('coordinator');
const fromViewer = messageFrom('viewer');

export const watchMessages = {
  /** Answers `hello`, and comes first after messages were dropped: all that is fixed for the run. */
  run: fromCoordinator('run', {
    version: text(40),
    model: plainJson,
    parameters: whole(0),
    config: v.strictObject({
      seed: whole(0),
      batch: whole(1),
      microbatchSize: whole(1),
      epochs: whole(1),
      steps: whole(1),
      /** As in the report. */
      optimizer: plainJson,
      /** What a step is, where it is a round of replicas. */
      diloco: v.exactOptional(diloco),
      workers: whole(0),
    }),
    steps: whole(1),
    stepsPerEpoch: whole(1),
    microbatches: whole(1),
    samples: whole(1),
    testSamples: whole(0),
    sampleType: v.picklist(sampleTypes),
    /** [height, width, channels] of a picture, [features] of a table row. */
    sampleShape,
    targetType: v.picklist(targetTypes),
    /** Classes, or values of a sample. */
    outputs: whole(1, maxOutputs),
    /** One for each; left out where there are more than 256. */
    names: v.exactOptional(names),
    /** First columns of a table whose rows are the samples; all of them if their widths add up to a sample. */
    columns: v.exactOptional(columns),
    /** Of values that are learned standardized: `value * deviation + mean` is in their unit, as is the root of a loss, times the deviation. */
    standardization: v.exactOptional(v.strictObject({ mean: finite, deviation: finite })),
    /** Addresses to join at: `http(s)://` for tabs, `ws(s)://` for Node workers; never with the token. */
    joinAddresses: v.array(text(300), 'a list of addresses'),
    /** What a person types before the run's address to start a worker: `npm run worker -- --url`. */
    workerCommand: text(200),
    /** Whether workers need the token of the join address. */
    tokenNeeded: flag,
    faultInjection: flag,
    /** Whether the server stays after the run, and takes `runAgain` then. */
    canRunAgain: flag,
    /** Where `batch` is chosen for the workers that are there at the start: what `batchForWorkers` takes beside their number. */
    planAtStart: v.exactOptional(v.strictObject({ usualBatch: whole(1), microbatchSize: v.exactOptional(whole(1)) })),
  }),

  /** After `history`, where the server has had runs before this one. */
  earlierRuns: fromCoordinator('earlierRuns', earlierRuns),

  /** Answers `hello` in place of `run` where there is no run yet: it waits for its data, which an owner uploads. */
  dataSetup: fromCoordinator('dataSetup', dataSetup),

  /** The curves so far, thinned to at most about 2000 points and 400 epochs. */
  history: fromCoordinator('history', {
    points,
    epochs: v.array(epochReport, 'a list of epochs'),
    /** The latest event messages, oldest first. */
    events: v.array(message, 'a list of messages'),
  }),

  /** At most ten a second. */
  progress: fromCoordinator('progress', {
    phase: v.picklist(phases),
    /** Of a run that ended before its last step: why, and what to try, in one sentence. */
    ending: v.exactOptional(v.strictObject({ type: v.picklist(earlyEnds), message })),
    /** Whether an admin has paused the run: it waits for `start` or `resume`. */
    pauseRequested: flag,
    /** Steps taken. */
    step,
    /** From 1. */
    epoch: whole(1),
    /** Smoothed over recent steps; absent before the first. */
    loss: v.exactOptional(finite),
    accuracy: v.exactOptional(fraction),
    imagesPerSecond: rate,
    /** Only while the run trains. */
    secondsLeft: v.exactOptional(rate),
    /** Absent before the first step. */
    exactness: v.exactOptional(v.picklist(exactnesses)),
    /** Of a bit-exact run: only runs of one numeric mode have comparable hashes. */
    numericMode: v.exactOptional(text(300)),
    /** Backend whose workers alone give these bits; absent where any worker in the coordinator's own mode does. */
    bitExactAmong: v.exactOptional(text(80)),
    /** First digits of the SHA-256 of the weights after `weightsHashStep` steps. */
    weightsHash: v.exactOptional(hexHash),
    weightsHashStep: v.exactOptional(step),
    /** New since the last progress message to this viewer. */
    points,
  }),

  /** At most four a second: connected workers, then those that left; cut off in very large runs. */
  workers: fromCoordinator('workers', { workers: v.array(workerRow, 'a list of workers') }),

  /** At most two a second: what each worker did in one step, in milliseconds since the step began. */
  timeline: fromCoordinator('timeline', {
    step,
    durationMs: milliseconds,
    rows: v.array(timelineRow, 'a list of rows'),
  }),

  epoch: fromCoordinator('epoch', { report: epochReport }),

  /** After each `epoch`, on the test set: confusion matrix and top errors of classes, or the farthest samples of values. */
  evaluation: fromCoordinator(
    'evaluation',
    {
      /** From 1. */
      epoch: whole(1),
      /** As in `run`. */
      outputs: whole(1, maxOutputs),
      /**
       * Counts as float32, [classes, classes]: a row for each true class, a column for each predicted one. Left out where
       * there are more than 256 classes, or none.
       */
      confusion: v.exactOptional(floatBytes),
      /** The wrong predictions of the highest probability; at most 16. */
      topErrors: v.array(topError, 'a list of errors'),
      /** The samples of the largest errors; at most 16. */
      farthest: v.array(farSample, 'a list of samples'),
    },
    [
      ({ confusion, outputs }) => confusion === undefined || confusion.byteLength === 4 * outputs * outputs,
      'classes x classes counts',
    ],
    [
      ({ outputs, topErrors }) =>
        topErrors.every(({ label, predicted }) => label < outputs && predicted < outputs && label !== predicted),
      'two different classes in each error',
    ],
    [
      ({ outputs, farthest }) =>
        farthest.every(({ target, predicted }) => [target, predicted].every((own) => own.byteLength === 4 * outputs)),
      'a value for each output',
    ],
    [
      ({ topErrors, farthest }) =>
        new Set([...topErrors, ...farthest].map(({ sample }) => sample.byteLength)).size <= 1,
      'samples of one size',
    ],
  ),

  /**
   * On request, at most about one a second: all parameters in model order, after `step` steps. At the end of a run those of
   * a model that is not large come before `result` without a request.
   */
  weights: fromCoordinator('weights', { step, bytes: floatBytes }),

  /** What a run leaves behind, once its last evaluation is done. */
  result: fromCoordinator('result', {
    /** Steps taken. */
    step,
    /** The report as UTF-8 JSON, as `--report` writes it. */
    report: bytes,
    /** What a model file says beside the weights after `step` steps. */
    metadata: v.record(v.string('a name'), v.string('a text'), 'texts by name'),
  }),

  /** In a run that writes checkpoints: the one it went on from, and the one it can go on from if it is cut off. */
  checkpoint: fromCoordinator('checkpoint', {
    resumed: v.exactOptional(checkpointFile),
    newest: v.exactOptional(checkpointFile),
  }),

  /** A line for people. */
  event: fromCoordinator('event', { message }),

  /** Answers an admin token: the role that the viewer has now, and what was wrong with a token that is not the run's. */
  role: fromCoordinator('role', { role: v.picklist(roles), fault: v.exactOptional(message) }),

  /** For viewers that know how to join: what people may type in place of the token, as long as this run lasts. */
  joinCode: fromCoordinator('joinCode', { code: text(16) }),

  /** Sent when there is nothing else to send for a second, so that silence means that something is wrong. */
  alive: fromCoordinator('alive', {}),

  /** Answers a request of this viewer that was met, if there is something to say: where the model was saved. */
  done: fromCoordinator('done', { message }),

  /** Answers a request that this viewer may not make, or that cannot be met. */
  refused: fromCoordinator('refused', { message }),

  /**
   * First message of a viewer, which nothing is sent before. Either token, or both; secrets that never reach a log.
   * Watching may need one of them, and the admin token keeps a place where all are taken.
   */
  hello: fromViewer('hello', { token: v.exactOptional(text(256)), adminToken: v.exactOptional(text(256)) }),

  /** Asks for one `weights` message; sent again for the next. */
  wantWeights: fromViewer('wantWeights', {}),

  /** Shows an admin token, which may be right where that of `hello` was not. It is a secret and never reaches a log. */
  unlock: fromViewer('unlock', { token: text(256) }),

  /** Controls the run. `token` is a secret and never reaches a log. */
  admin: fromViewer('admin', {
    token: v.exactOptional(text(256)),
    action: v.picklist(adminActions),
  }),

  /** Reads the uploaded table anew: by the label in another column, from 0, or for another task. */
  readData: fromViewer('readData', {
    token: v.exactOptional(text(256)),
    label: v.exactOptional(whole(0)),
    task: v.exactOptional(v.picklist(tasks)),
  }),

  /** Begins another run once this one is over; `run` follows on a new connection, or `refused` on this one. */
  runAgain: fromViewer('runAgain', { token: v.exactOptional(text(256)), ...runChanges }),

  /** Makes one worker fail; only in a run that was started with fault injection. */
  injectFault: fromViewer('injectFault', {
    token: v.exactOptional(text(256)),
    action: v.picklist(faultActions),
    workerId: text(64),
  }),

  renameWorker: fromViewer('renameWorker', { token: v.exactOptional(text(256)), workerId: text(64), name: text(80) }),

  /** The worker is told so, and does not come back by itself. */
  removeWorker: fromViewer('removeWorker', { token: v.exactOptional(text(256)), workerId: text(64) }),
};

export type WatchSide = 'viewer' | 'coordinator';

type WatchMessageType = keyof typeof watchMessages;

export type WatchMessageOf<T extends WatchMessageType> = MessageIn<typeof watchMessages, T>;

/** The messages that `S` may send. */
export type WatchMessageFrom<S extends WatchSide> = SentBy<typeof watchMessages, S>;

export type WatchMessage = WatchMessageOf<WatchMessageType>;

export type ViewerRole = (typeof roles)[number];
export type AdminAction = (typeof adminActions)[number];
export type FaultAction = (typeof faultActions)[number];
export type SpanKind = (typeof spanKinds)[number];
