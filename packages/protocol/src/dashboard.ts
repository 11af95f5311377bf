/**
 * The messages between the coordinator and a viewer of the dashboard: sender, fields and checks.
 *
 * Viewers connect to a socket of their own, on the path `/watch`, and begin with `hello`. The socket is read-only
 * except for the owner's requests. The coordinator's messages may be dropped: a viewer that falls behind gets none
 * until its socket has drained, and then `run`, `history` and `workers` again.
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

/** No data yet; data arriving; being read; ready to train on; run starting. */
const dataPhases = ['empty', 'receiving', 'reading', 'ready', 'starting'] as const;
/** Learning task for the label column. */
const tasks = ['classification', 'regression'] as const;

/** A table cell or a column name; never empty. */
const cell = text(80);

const row = v.array(cell, 'a list of texts');

/** A sample, encoded as in a task, and its class name or value. */
const example = v.strictObject({ sample: bytes, target: cell });

/** The first rows of a table, as in the file. */
const table = v.strictObject({
  columns: row,
  rows: v.array(row, 'a list of rows'),
  /** Index of the column to predict. */
  label: whole(0),
  task: v.picklist(tasks),
});

/** The parsed upload, and the run that would start on it. */
const data = v.strictObject({
  /** Samples, their shape, classes and split, in one line. */
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
  /** Bytes of the upload that have arrived. */
  receivedBytes: whole(0),
  totalBytes: whole(0),
  /** Why the last upload cannot be trained on, in one sentence. */
  fault: v.exactOptional(message),
  data: v.exactOptional(data),
  /** Preview of an uploaded table, even if it could not be read as asked. */
  table: v.exactOptional(table),
};

/** Options to change for the next run; the run's own option checks validate the values. */
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

/** Settings of a run, and how many workers computed it. */
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
  /** Options in which this run differs from the others, such as `lr 0.1`. */
  label: text(200),
  settings: runSettings,
  stepsPerEpoch: whole(1),
  /** Steps taken. */
  steps: whole(0),
  points,
  epochs: v.array(epochReport, 'a list of epochs'),
});

const earlierRuns = {
  /** Label of the current run. */
  label: text(200),
  /** Oldest first. */
  runs: v.array(earlierRun, 'a list of runs'),
};

/** The WebSocket subprotocol of viewers. */
export const watchSubprotocol = 'lockstep.watch.v6';

/** The path of viewers' sockets; sockets on any other path are workers'. */
export const watchPath = '/watch';

const phases = ['waiting', 'training', 'paused', 'finished', 'failed'] as const;
/** Why a run ended before its last step: a person stopped it, or it failed. */
const earlyEnds = ['stopped', 'failed'] as const;
const exactnesses = ['bit-exact', 'sample-exact', 'unverified'] as const;
/** A guest watches; an owner has presented the admin token. */
const roles = ['guest', 'owner'] as const;
const adminActions = ['start', 'pause', 'resume', 'stop', 'save'] as const;

const fromCoordinator = messageFrom('coordinator');
const fromViewer = messageFrom('viewer');

export const watchMessages = {
  /** Everything that is fixed for the run. Answers `hello`, and comes first after messages were dropped. */
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
      /** Present if each step is a round of replicas. */
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
    /** Number of classes, or of values per target. */
    outputs: whole(1, maxOutputs),
    /** One name for each output; omitted if there are more than 256. */
    names: v.exactOptional(names),
    /** First columns of a table whose rows are the samples; all columns if their widths add up to a sample. */
    columns: v.exactOptional(columns),
    /** If targets are standardized: `value * deviation + mean` is in their unit, and so is `deviation * √loss`. */
    standardization: v.exactOptional(v.strictObject({ mean: finite, deviation: finite })),
    /** Join addresses: `http(s)://` for tabs, `ws(s)://` for Node workers; never with the token. */
    joinAddresses: v.array(text(300), 'a list of addresses'),
    /** Command to type before the run's address to start a worker: `npm run worker -- --url`. */
    workerCommand: text(200),
    /** Whether workers need the token of the join address. */
    tokenNeeded: flag,
    faultInjection: flag,
    /** Whether the server stays up after the run and then accepts `runAgain`. */
    canRunAgain: flag,
    /**
     * If `batch` is chosen for the workers connected at the start: arguments of `batchForWorkers` besides their number.
     */
    planAtStart: v.exactOptional(v.strictObject({ usualBatch: whole(1), microbatchSize: v.exactOptional(whole(1)) })),
  }),

  /** Follows `history` if the server has had earlier runs. */
  earlierRuns: fromCoordinator('earlierRuns', earlierRuns),

  /** Answers `hello` instead of `run` while there is no run yet: it waits for data, which an owner uploads. */
  dataSetup: fromCoordinator('dataSetup', dataSetup),

  /** The curves so far, thinned to at most about 2000 points and 400 epochs. */
  history: fromCoordinator('history', {
    points,
    epochs: v.array(epochReport, 'a list of epochs'),
    /** The latest event messages, oldest first. */
    events: v.array(message, 'a list of messages'),
  }),

  /** Sent at most ten times a second. */
  progress: fromCoordinator('progress', {
    phase: v.picklist(phases),
    /** For a run that ended before its last step: why, and what to try, in one sentence. */
    ending: v.exactOptional(v.strictObject({ type: v.picklist(earlyEnds), message })),
    /** Whether an owner has paused the run, which then waits for `start` or `resume`. */
    pauseRequested: flag,
    /** Steps taken. */
    step,
    /** From 1. */
    epoch: whole(1),
    /** Smoothed over recent steps; absent before the first. */
    loss: v.exactOptional(finite),
    accuracy: v.exactOptional(fraction),
    imagesPerSecond: rate,
    /** Present only while the run trains. */
    secondsLeft: v.exactOptional(rate),
    /** Absent before the first step. */
    exactness: v.exactOptional(v.picklist(exactnesses)),
    /** Numeric mode of a bit-exact run: weight hashes are comparable only within one mode. */
    numericMode: v.exactOptional(text(300)),
    /** Backend whose workers alone reproduce these bits; absent if any worker in the coordinator's own mode does. */
    bitExactAmong: v.exactOptional(text(80)),
    /** First digits of the SHA-256 of the weights after `weightsHashStep` steps. */
    weightsHash: v.exactOptional(hexHash),
    weightsHashStep: v.exactOptional(step),
    /** New points since the last progress message to this viewer. */
    points,
  }),

  /** Sent at most four times a second: connected workers, then those that left; truncated in very large runs. */
  workers: fromCoordinator('workers', { workers: v.array(workerRow, 'a list of workers') }),

  /** Sent at most twice a second: each worker's activity in one step, in milliseconds since the step began. */
  timeline: fromCoordinator('timeline', {
    step,
    durationMs: milliseconds,
    rows: v.array(timelineRow, 'a list of rows'),
  }),

  epoch: fromCoordinator('epoch', { report: epochReport }),

  /** Follows each `epoch`, on the test set: confusion matrix and top errors for classes, largest errors for values. */
  evaluation: fromCoordinator(
    'evaluation',
    {
      /** From 1. */
      epoch: whole(1),
      /** As in `run`. */
      outputs: whole(1, maxOutputs),
      /**
       * Counts as float32, [classes, classes]: one row per true class, one column per predicted class. Omitted if there
       * are more than 256 classes, or none.
       */
      confusion: v.exactOptional(floatBytes),
      /** The most confident wrong predictions; at most 16. */
      topErrors: v.array(topError, 'a list of errors'),
      /** The samples with the largest errors; at most 16. */
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
   * All parameters in model order, after `step` steps. Sent on request, at most about once a second. At the end of a
   * run, weights of a model that is not large precede `result` without a request.
   */
  weights: fromCoordinator('weights', { step, bytes: floatBytes }),

  /** Outputs of a finished run, sent after its last evaluation. */
  result: fromCoordinator('result', {
    /** Steps taken. */
    step,
    /** The report as UTF-8 JSON, as `--report` writes it. */
    report: bytes,
    /** Metadata of a model file with the weights after `step` steps. */
    metadata: v.record(v.string('a name'), v.string('a text'), 'texts by name'),
  }),

  /** For a run that writes checkpoints: the one it resumed from, and the newest one to resume from. */
  checkpoint: fromCoordinator('checkpoint', {
    resumed: v.exactOptional(checkpointFile),
    newest: v.exactOptional(checkpointFile),
  }),

  /** A line for people. */
  event: fromCoordinator('event', { message }),

  /** Answers an admin token: the viewer's role now, and what was wrong with a rejected token. */
  role: fromCoordinator('role', { role: v.picklist(roles), fault: v.exactOptional(message) }),

  /** For viewers that know how to join: a code to type instead of the token, valid as long as this run lasts. */
  joinCode: fromCoordinator('joinCode', { code: text(16) }),

  /** Sent after a second without other messages, so that silence means that something is wrong. */
  alive: fromCoordinator('alive', {}),

  /** Answers a successful request of this viewer if there is something to say, such as the path of the saved model. */
  done: fromCoordinator('done', { message }),

  /** Answers a request that this viewer may not make, or that failed. */
  refused: fromCoordinator('refused', { message }),

  /**
   * First message of a viewer; nothing is sent to it before. Has either token, or both; these secrets never reach a
   * log. Watching may need one of them, and the admin token gets a place even if all places are taken.
   */
  hello: fromViewer('hello', { token: v.exactOptional(text(256)), adminToken: v.exactOptional(text(256)) }),

  /** Asks for one `weights` message; sent again for the next. */
  wantWeights: fromViewer('wantWeights', {}),

  /** Presents an admin token, after `hello` had none or a wrong one. The token is a secret and never reaches a log. */
  unlock: fromViewer('unlock', { token: text(256) }),

  /** Controls the run. `token` is a secret and never reaches a log. */
  admin: fromViewer('admin', {
    token: v.exactOptional(text(256)),
    action: v.picklist(adminActions),
  }),

  /** Reads the uploaded table again, with another label column (from 0) or for another task. */
  readData: fromViewer('readData', {
    token: v.exactOptional(text(256)),
    label: v.exactOptional(whole(0)),
    task: v.exactOptional(v.picklist(tasks)),
  }),

  /** Starts another run once this one is over; `run` follows on a new connection, or `refused` on this one. */
  runAgain: fromViewer('runAgain', { token: v.exactOptional(text(256)), ...runChanges }),

  /** Makes one worker fail; only in a run started with fault injection. */
  injectFault: fromViewer('injectFault', {
    token: v.exactOptional(text(256)),
    action: v.picklist(faultActions),
    workerId: text(64),
  }),

  renameWorker: fromViewer('renameWorker', { token: v.exactOptional(text(256)), workerId: text(64), name: text(80) }),

  /** Removes a worker, which is told so and does not reconnect by itself. */
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
