/**
 * The messages between the coordinator and a viewer of the dashboard: sender, fields and checks.
 *
 * Viewers connect to a socket of their own, on the path `/watch`, and begin with `hello`. The socket is read-only
 * except for the owner's requests. The coordinator's messages may be dropped: a viewer that falls behind gets none
 * until its socket has drained, and then `run`, `history` and `workers` again.
 */
import type { MissingPolicy } from '@lockstep/data/readers';
import * as v from 'valibot';
import * as f from './fields.ts';

/** The WebSocket subprotocol of viewers. */
export const watchSubprotocol = 'lockstep.watch.v9';

/** The path of viewers' sockets; sockets on any other path are workers'. */
export const watchPath = '/watch';

/** Learning task for the label column. */
const task = v.picklist(['classification', 'regression']);
/** How missing values of a table are treated. */
const missing = v.picklist(['error', 'mean', 'median', 'most-frequent', 'drop'] satisfies MissingPolicy[]);
const rate = f.timeMs;
const name = f.printableLine(f.maxNameLength);

/** Most classes of a data set, and most values of a target. */
const maxOutputs = 65_535;
const output = f.integer(0, maxOutputs - 1);

/** Form of the samples and targets of a run. */
const dataFormat = {
  ...f.dataFields,
  /** Number of classes, or of values per target. */
  outputs: f.integer(1, maxOutputs),
  /** One name for each output; omitted if there are too many. */
  names: v.exactOptional(f.arrayOf(name, 0, 256, 'names')),
};

/** How to join. */
const joining = {
  /** Join addresses: `http(s)://` for tabs, `ws(s)://` for Node workers; never with the token. */
  joinAddresses: v.array(f.printableLine(300), 'a list of addresses'),
  /** Command to type before the run's address to start a worker: `npm run worker -- --url`. */
  workerCommand: f.printableLine(200),
  /** Whether workers need the token of the join address. */
  tokenNeeded: f.bool,
};

/** Most columns that a message names, and most categories in all of them together. */
export const maxColumnsShown = 64;
export const maxCategoriesShown = 512;

/** Longest prompt of the texts that a model writes, and longest text, in UTF-16 units. */
export const maxPromptLength = 1_000;
export const maxSampleLength = 4_000;

/** The first columns of a table, and how each is encoded as values of a sample. */
const columns = v.pipe(
  f.arrayOf(
    v.variant(
      'type',
      [
        /** One value: (number - mean) / deviation. `missing` replaces a missing value, if it may be missing. */
        v.strictObject({
          ...{ type: v.literal('number'), name, mean: f.finiteFloat, deviation: f.finiteFloat },
          missing: v.exactOptional(f.finiteFloat),
        }),
        /** One-hot: a one at the category's position, all others zero. `missing` is the position for a missing value. */
        v.strictObject({
          ...{ type: v.literal('category'), name, categories: v.array(name, 'a list of categories') },
          missing: v.exactOptional(f.integer(0, maxCategoriesShown - 1)),
        }),
      ],
      'number or category',
    ),
    0,
    maxColumnsShown,
    'columns',
  ),
  v.check(
    (all) => all.flatMap((one) => (one.type === 'category' ? one.categories : [])).length <= maxCategoriesShown,
    `at most ${maxCategoriesShown} categories`,
  ),
);

/** Points of the training curves: float32 lists of equal length, oldest first. A point may cover several steps. */
const points = v.pipe(
  v.strictObject({
    /** Steps taken when the point was measured, from 1; exact up to 2^24. */
    steps: f.floatBytes,
    /** Seconds since training began, up to that step. */
    seconds: f.floatBytes,
    /** Mean loss over the samples of the point's steps, measured with the weights before each step. */
    losses: f.floatBytes,
    /** Accuracy on those samples, 0 to 1; omitted if targets are values. */
    accuracies: v.exactOptional(f.floatBytes),
  }),
  v.check(
    ({ steps, seconds, losses, accuracies = steps }) =>
      [seconds, losses, accuracies].every(({ byteLength }) => byteLength === steps.byteLength),
    'as many seconds, losses and accuracies as steps',
  ),
);

/** An epoch as in the report. */
const epochReport = v.strictObject({
  epoch: f.integer(1),
  trainLoss: f.finiteFloat,
  trainAccuracy: v.nullable(f.proportion),
  testLoss: f.finiteFloat,
  testAccuracy: v.nullable(f.proportion),
  testR2: v.nullable(f.finiteFloat),
  /** In the unit of the values; null if targets are classes. */
  testRmse: v.nullable(f.finiteFloat),
  /** Omitted without validation samples. */
  validation: v.exactOptional(
    v.strictObject({ loss: f.finiteFloat, accuracy: v.nullable(f.proportion) }, 'an evaluation'),
  ),
  seconds: rate,
  imagesPerSecond: rate,
});
const epochs = v.array(epochReport, 'a list of epochs');

const earlierRun = v.strictObject({
  /** Options in which this run differs from the others, such as `lr 0.1`. */
  label: f.printableLine(200),
  /** Settings of the run, and how many workers computed it. */
  settings: v.strictObject({
    model: name,
    optimizer: f.printableLine(40),
    learningRate: f.finiteFloat,
    batch: f.integer(1),
    epochs: f.integer(1),
    schedule: f.printableLine(40),
    seed: f.integer(0),
    workers: f.integer(0),
  }),
  stepsPerEpoch: f.integer(1),
  steps: f.step,
  points,
  epochs,
  /** The epoch whose weights were kept, if the run kept the best. */
  keptEpoch: v.exactOptional(f.integer(1)),
});

const workerRow = v.strictObject({
  id: f.printableLine(64),
  name,
  kind: v.picklist(f.workerKinds),
  backend: f.printableLine(80),
  threads: f.integer(1),
  phase: v.picklist(['handshake', 'checking', 'ready', 'gone']),
  hidden: f.bool,
  /** Workers that compute for this one, if it is a relay. */
  workersBehind: v.exactOptional(f.integer(0)),
  /** Fraction of all accepted samples that this worker computed. */
  share: f.proportion,
  shards: f.integer(0),
  samples: f.integer(0),
  /** Recent mean per step in which the worker took part; so are the next two. */
  computeMs: f.timeMs,
  /** Time to send weights and samples to the worker and the gradient back. */
  sendMs: f.timeMs,
  waitMs: f.timeMs,
  /** `finished`: the worker stayed to the end of the run; `gone`: it left before. */
  health: v.picklist(['good', 'idle', 'late', 'finished', 'gone']),
  /** Why an idle worker computes nothing. */
  idle: v.exactOptional(v.picklist(['joining', 'waiting', 'paused', 'trial', 'outnumbered', 'slow', 'rotation'])),
  /** Recent speed while computing. */
  samplesPerSecond: rate,
});

const span = v.strictObject({
  kind: v.picklist(['receive', 'compute', 'send', 'wait']),
  fromMs: f.timeMs,
  toMs: f.timeMs,
});

const timelineRow = v.strictObject({
  workerId: f.printableLine(64),
  /** In order of `fromMs`; gaps between spans are unaccounted for. */
  spans: v.array(span, 'a list of spans'),
});

const checkpointFile = v.strictObject({ file: f.printableLine(100), step: f.step });

/** A sample, encoded as in a task, and the model's probability of the class that it predicted. */
const classifiedSample = v.strictObject({
  sample: f.bytes,
  label: output,
  predicted: output,
  probability: f.proportion,
});

/** A sample, encoded as in a task, with its target values and the predicted values. */
const farSample = v.strictObject({ sample: f.bytes, target: f.floatBytes, predicted: f.floatBytes });

/** The parsed upload, and the run that would start on it. */
const uploadedData = v.strictObject({
  /** Samples, their shape, classes and split, in one line. */
  found: f.message,
  /** Model and length of the run, in one line. */
  plan: f.message,
  ...dataFormat,
  /** Samples, encoded as in a task, each with its class name or value. */
  examples: v.array(v.strictObject({ sample: f.bytes, target: name }), 'a list of samples'),
});

const row = v.array(name, 'a list of texts');
/** Positions of columns that the model does not see. */
const ignoredColumns = v.array(f.integer(0), 'a list of columns');

/** The first rows of a table, as in the file. */
const uploadedTable = v.strictObject({
  /** First columns, and the one to predict, with their positions in the file. */
  columns: v.array(v.strictObject({ index: f.integer(0), name }), 'a list of columns'),
  rows: v.array(row, 'a list of rows'),
  /** Position of the column to predict. */
  label: f.integer(0),
  ignore: ignoredColumns,
  task,
  missing,
});

/** Admin token of an owner's request, unless the viewer has presented it before; a secret that never reaches a log. */
const request = { token: v.exactOptional(f.printableLine(256)) };

const coordinator = f.messageFrom('coordinator');
const viewer = f.messageFrom('viewer');

export const watchMessages = {
  /** Everything that is fixed for the run. Answers `hello`, and comes first after messages were dropped. */
  run: coordinator({
    version: f.printableLine(40),
    model: f.plainJson,
    parameters: f.integer(0),
    config: v.strictObject({
      seed: f.integer(0),
      batch: f.integer(1),
      microbatchSize: f.integer(1),
      epochs: f.integer(1),
      steps: f.integer(1),
      /** As in the report. */
      optimizer: f.plainJson,
      /** Present if each step is a round of `replicas` that take `innerSteps` inner steps each. */
      diloco: v.exactOptional(
        v.strictObject({ replicas: f.integer(1), innerSteps: f.integer(1), ...f.innerStep }, 'a round'),
      ),
      workers: f.integer(0),
    }),
    steps: f.integer(1),
    stepsPerEpoch: f.integer(1),
    microbatches: f.integer(1),
    samples: f.integer(1),
    testSamples: f.integer(0),
    ...dataFormat,
    /** First columns of a table whose rows are the samples; all columns if their widths add up to a sample. */
    columns: v.exactOptional(columns),
    /** How pictures were scaled, if files of pictures are the samples. */
    fit: v.exactOptional(v.picklist(['cover', 'contain', 'stretch'])),
    /** The vocabulary of a text as JSON in UTF-8, as in a model file; omitted if it is too large to send. */
    vocabulary: v.exactOptional(f.bytes),
    /** If targets are standardized: `value * deviation + mean` is in their unit, and so is `deviation * √loss`. */
    standardization: v.exactOptional(v.strictObject({ mean: f.finiteFloat, deviation: f.finiteFloat })),
    ...joining,
    faultInjection: f.bool,
    /** Whether the server stays up after the run and then accepts `runAgain`. */
    canRunAgain: f.bool,
    /**
     * If `batch` is chosen for the workers connected at the start: arguments of `batchForWorkers` besides their number.
     */
    planAtStart: v.exactOptional(
      v.strictObject({
        usualBatch: f.integer(1),
        microbatchSize: v.exactOptional(f.integer(1)),
        leastMicrobatch: v.exactOptional(f.integer(1)),
      }),
    ),
  }),

  /** Follows `history` if the server has had earlier runs, oldest first. `label` is the current run's. */
  earlierRuns: coordinator({ label: f.printableLine(200), runs: v.array(earlierRun, 'a list of runs') }),

  /** Answers `hello` instead of `run` while there is no run yet: it waits for data, which an owner uploads. */
  dataSetup: coordinator({
    version: f.printableLine(40),
    ...joining,
    /** No data yet; data arriving; being read; ready to train on; run starting. */
    phase: v.picklist(['empty', 'receiving', 'reading', 'ready', 'starting']),
    /** Bytes of the upload that have arrived. */
    receivedBytes: f.integer(0),
    totalBytes: f.integer(0),
    /** Why the last upload cannot be trained on, in one sentence. */
    fault: v.exactOptional(f.message),
    data: v.exactOptional(uploadedData),
    /** Preview of an uploaded table, even if it could not be read as asked. */
    table: v.exactOptional(uploadedTable),
  }),

  /**
   * The curves so far, thinned to at most about 2000 points and 400 epochs, and the latest events, oldest first. Sent
   * again, without events, if the run goes back: the texts that remain follow.
   */
  history: coordinator({ points, epochs, events: v.exactOptional(v.array(f.message, 'a list of messages')) }),

  /** Sent at most ten times a second. */
  progress: coordinator({
    phase: v.picklist(['waiting', 'training', 'paused', 'finished', 'failed']),
    /** For a run that a person stopped or that failed before its last step: why, and what to try, in one sentence. */
    ending: v.exactOptional(v.strictObject({ type: v.picklist(['stopped', 'failed']), message: f.message })),
    /** The epoch that is best on the validation samples, if the run keeps its weights, and a sentence about it. */
    kept: v.exactOptional(v.strictObject({ epoch: f.integer(1), text: f.message })),
    /** Whether an owner has paused the run, which then waits for `start` or `resume`. */
    pauseRequested: f.bool,
    step: f.step,
    epoch: f.integer(1),
    /** Smoothed over recent steps; absent before the first. */
    loss: v.exactOptional(f.finiteFloat),
    accuracy: v.exactOptional(f.proportion),
    imagesPerSecond: rate,
    /** Present only while the run trains. */
    secondsLeft: v.exactOptional(rate),
    /** Absent before the first step. */
    exactness: v.exactOptional(v.picklist(['bit-exact', 'sample-exact', 'unverified'])),
    /** Numeric mode of a bit-exact run: weight hashes are comparable only within one mode. */
    numericMode: v.exactOptional(f.printableLine(300)),
    /** Backend whose workers alone reproduce these bits; absent if any worker in the coordinator's own mode does. */
    bitExactAmong: v.exactOptional(f.printableLine(80)),
    /** Shards in the weights whose sum was computed twice and compared, or by the coordinator, of all shards. */
    checked: v.exactOptional(v.strictObject({ shards: f.integer(0), of: f.integer(1) })),
    /** First digits of the SHA-256 of the weights after `weightsHashStep` steps. */
    weightsHash: v.exactOptional(f.hexHash),
    weightsHashStep: v.exactOptional(f.step),
    /** New points since the last progress message to this viewer. */
    points,
  }),

  /** Sent at most four times a second: connected workers, then those that left; truncated in very large runs. */
  workers: coordinator({ workers: v.array(workerRow, 'a list of workers') }),
  /** Sent at most twice a second: each worker's activity in one step, in milliseconds since the step began. */
  timeline: coordinator({ step: f.step, durationMs: f.timeMs, rows: v.array(timelineRow, 'a list of rows') }),
  epoch: coordinator({ report: epochReport }),

  /** Follows each `epoch`, on the test set: confusion matrix and top errors for classes, largest errors for values. */
  evaluation: coordinator(
    {
      epoch: f.integer(1),
      outputs: f.integer(1, maxOutputs),
      /**
       * Counts as float32, [classes, classes]: one row per true class, one column per predicted class. Omitted if there
       * are more than 256 classes, or none.
       */
      confusion: v.exactOptional(f.floatBytes),
      /** The most confident wrong predictions; at most 16. */
      topErrors: v.array(classifiedSample, 'a list of errors'),
      /**
       * After the run: at most 24 samples of each cell of the matrix, of at most 1 MiB together; the wrong ones with the
       * highest probabilities, the right ones with the lowest.
       */
      cellSamples: v.exactOptional(v.array(classifiedSample, 'a list of samples')),
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
      ({ outputs, cellSamples = [] }) =>
        cellSamples.every(({ label, predicted }) => label < outputs && predicted < outputs),
      'classes in each sample of a cell',
    ],
    [
      ({ outputs, farthest }) =>
        farthest.every(({ target, predicted }) => [target, predicted].every((own) => own.byteLength === 4 * outputs)),
      'a value for each output',
    ],
    [
      ({ topErrors, cellSamples = [], farthest }) =>
        new Set([...topErrors, ...cellSamples, ...farthest].map(({ sample }) => sample.byteLength)).size <= 1,
      'samples of one size',
    ],
  ),

  /**
   * A text that the model has written after `step` steps, always from the same prompt and seed; sent as soon as it is
   * written. All texts so far, thinned if there are many, follow `history`.
   */
  sample: coordinator({
    step: f.step,
    /** Beginning of every text, which the model continues; empty if it begins by itself. */
    prompt: f.textOfLength(maxPromptLength),
    /** The continuation, without the prompt. */
    text: f.textOfLength(maxSampleLength),
    /** Loss at that step on the part of the held-out text that is evaluated while the run goes on. */
    loss: v.exactOptional(f.finiteFloat),
  }),

  /**
   * All parameters in model order, after `step` steps. Sent on request, at most about once a second. At the end of a
   * run, weights of a model that is not large precede `result` without a request.
   */
  weights: coordinator({ step: f.step, bytes: f.floatBytes }),

  /** Outputs of a finished run, sent after its last epoch was evaluated. */
  result: coordinator({
    step: f.step,
    /** The report as UTF-8 JSON, as `--report` writes it. */
    report: f.bytes,
    /** Metadata of a model file with the weights after `step` steps, as UTF-8 JSON. */
    metadata: f.bytes,
  }),

  /** For a run that writes checkpoints: the one it resumed from, and the newest one to resume from. */
  checkpoint: coordinator({ resumed: v.exactOptional(checkpointFile), newest: v.exactOptional(checkpointFile) }),
  event: coordinator({ message: f.message }),
  /** Answers an admin token: the viewer's role now (only an owner has presented it), and why a token was rejected. */
  role: coordinator({ role: v.picklist(['guest', 'owner']), fault: v.exactOptional(f.message) }),
  /** For viewers that know how to join: a code to type instead of the token, valid as long as this run lasts. */
  joinCode: coordinator({ code: f.printableLine(16) }),
  /** Sent after a second without other messages, so that silence means that something is wrong. */
  alive: coordinator({}),
  /** Answers a successful request of this viewer if there is something to say, such as the path of the saved model. */
  done: coordinator({ message: f.message }),
  /** Answers a request that this viewer may not make, or that failed. */
  refused: coordinator({ message: f.message }),
  /**
   * First message of a viewer; nothing is sent to it before. Has either token, or both; these secrets never reach a
   * log. Watching may need one of them, and the admin token gets a place even if all places are taken.
   */
  hello: viewer({ token: v.exactOptional(f.printableLine(256)), adminToken: v.exactOptional(f.printableLine(256)) }),
  /** Asks for one `weights` message; sent again for the next. */
  wantWeights: viewer({}),
  /** Presents an admin token, after `hello` had none or a wrong one. The token is a secret and never reaches a log. */
  unlock: viewer({ token: f.printableLine(256) }),
  admin: viewer({ ...request, action: v.picklist(['start', 'pause', 'resume', 'stop', 'save']) }),
  /** Reads the uploaded table again, with other columns (from 0), another task, or treatment of missing values. */
  readData: viewer({
    ...request,
    label: v.exactOptional(f.integer(0)),
    ignore: v.exactOptional(ignoredColumns),
    task: v.exactOptional(task),
    missing: v.exactOptional(missing),
  }),

  /**
   * Starts another run once this one is over; `run` follows on a new connection, or `refused` on this one. The run's
   * own option checks validate the changes.
   */
  runAgain: viewer({
    ...request,
    seed: v.exactOptional(f.finiteFloat),
    learningRate: v.exactOptional(f.finiteFloat),
    optimizer: v.exactOptional(f.printableLine(40)),
    model: v.exactOptional(f.printableLine(40)),
    batch: v.exactOptional(f.finiteFloat),
    epochs: v.exactOptional(f.finiteFloat),
    schedule: v.exactOptional(f.printableLine(40)),
  }),

  /** Makes one worker fail; only in a run started with fault injection. */
  injectFault: viewer({ ...request, action: v.picklist(f.faultActions), workerId: f.printableLine(64) }),
  renameWorker: viewer({ ...request, workerId: f.printableLine(64), name }),
  /** Removes a worker, which is told so and does not reconnect by itself. */
  removeWorker: viewer({ ...request, workerId: f.printableLine(64) }),
};

export type WatchSide = 'viewer' | 'coordinator';

type WatchMessageType = keyof typeof watchMessages;

export type WatchMessageOf<T extends WatchMessageType> = f.MessageIn<typeof watchMessages, T>;

/** The messages that `S` may send. */
export type WatchMessageFrom<S extends WatchSide> = f.SentBy<typeof watchMessages, S>;

export type WatchMessage = WatchMessageOf<WatchMessageType>;

/** Facts that do not change during a run. */
export type RunMessage = WatchMessageOf<'run'>;
export type ProgressMessage = WatchMessageOf<'progress'>;
/** Options that the owner may change for the next run on a server; omitted options stay the same. */
export type RunChanges = Omit<WatchMessageOf<'runAgain'>, 'type' | 'token'>;
export type ViewerRole = WatchMessageOf<'role'>['role'];
export type AdminAction = WatchMessageOf<'admin'>['action'];
export type FaultAction = WatchMessageOf<'injectFault'>['action'];
export type SpanKind = v.InferOutput<typeof span>['kind'];
