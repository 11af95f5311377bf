/** Parts of the dashboard's messages: curves, epochs, workers and samples, with their checks. */
import * as v from 'valibot';
import { bytes, finite, flag, floatBytes, fraction, milliseconds, step, text, whole, workerKinds } from './fields.ts';

/** `finished`: the worker stayed to the end of the run; `gone`: it left before. */
const healths = ['good', 'idle', 'late', 'finished', 'gone'] as const;
const idleReasons = ['joining', 'waiting', 'paused', 'trial', 'outnumbered', 'slow', 'rotation'] as const;
const workerPhases = ['handshake', 'checking', 'ready', 'gone'] as const;
export const spanKinds = ['receive', 'compute', 'send', 'wait'] as const;

export const rate = milliseconds;

/** Most classes of a data set, and most values of a target. */
export const maxOutputs = 65_535;

const maxNames = 256;
const namesPhrase = `a list of at most ${maxNames} names`;
export const names = v.pipe(
  v.array(text(80), namesPhrase),
  v.check(({ length }) => length <= maxNames, namesPhrase),
);

const columnName = text(80);
/** Most columns that a message names, and most categories in all of them together. */
export const maxColumns = 64;
export const maxCategories = 512;
const columnsPhrase = `a list of at most ${maxColumns} columns with ${maxCategories} categories`;

/** The first columns of a table, and how each is encoded as values of a sample. */
export const columns = v.pipe(
  v.array(
    v.variant('type', [
      /** One value: (number - mean) / deviation. */
      v.strictObject({ type: v.literal('number'), name: columnName, mean: finite, deviation: finite }),
      /** One-hot: a one at the category's position, all others zero. */
      v.strictObject({
        type: v.literal('category'),
        name: columnName,
        categories: v.array(text(80), 'a list of categories'),
      }),
    ]),
    columnsPhrase,
  ),
  v.check(
    (list) =>
      list.length <= maxColumns &&
      list.reduce((sum, each) => sum + (each.type === 'category' ? each.categories.length : 0), 0) <= maxCategories,
    columnsPhrase,
  ),
);

/** Points of the training curves: float32 lists of equal length, oldest first. A point may cover several steps. */
export const points = v.pipe(
  v.strictObject({
    /** Steps taken when the point was measured, from 1; exact up to 2^24. */
    steps: floatBytes,
    /** Seconds since training began, up to that step. */
    seconds: floatBytes,
    /** Mean loss over the samples of the point's steps, measured with the weights before each step. */
    losses: floatBytes,
    /** Accuracy on those samples, 0 to 1; omitted if targets are values. */
    accuracies: v.exactOptional(floatBytes),
  }),
  v.check(
    ({ steps, seconds, losses, accuracies = steps }) =>
      [seconds, losses, accuracies].every(({ byteLength }) => byteLength === steps.byteLength),
    'as many seconds, losses and accuracies as steps',
  ),
);

/** An epoch as in the report. */
export const epochReport = v.strictObject({
  /** From 1. */
  epoch: whole(1),
  trainLoss: finite,
  trainAccuracy: v.nullable(fraction),
  testLoss: finite,
  testAccuracy: v.nullable(fraction),
  testR2: v.nullable(finite),
  /** In the unit of the values; null if targets are classes. */
  testRmse: v.nullable(finite),
  seconds: rate,
  imagesPerSecond: rate,
});

export const workerRow = v.strictObject({
  id: text(64),
  name: text(80),
  kind: v.picklist(workerKinds),
  backend: text(80),
  threads: whole(1),
  phase: v.picklist(workerPhases),
  hidden: flag,
  /** Workers that compute for this one, if it is a relay. */
  workersBehind: v.exactOptional(whole(0)),
  /** Fraction of all accepted samples that this worker computed. */
  share: fraction,
  shards: whole(0),
  samples: whole(0),
  /** Recent mean per step in which the worker took part; so are the next two. */
  computeMs: milliseconds,
  /** Time to send weights and samples to the worker and the gradient back. */
  sendMs: milliseconds,
  waitMs: milliseconds,
  health: v.picklist(healths),
  /** Why an idle worker computes nothing. */
  idle: v.exactOptional(v.picklist(idleReasons)),
  /** Recent speed while computing. */
  samplesPerSecond: rate,
});

const span = v.strictObject({ kind: v.picklist(spanKinds), fromMs: milliseconds, toMs: milliseconds });

export const timelineRow = v.strictObject({
  workerId: text(64),
  /** In order of `fromMs`; gaps between spans are unaccounted for. */
  spans: v.array(span, 'a list of spans'),
});

/** A checkpoint in the coordinator's folder. */
export const checkpointFile = v.strictObject({ file: text(100), step });

/** A misclassified sample, encoded as in a task. */
export const topError = v.strictObject({
  sample: bytes,
  label: whole(0, maxOutputs - 1),
  predicted: whole(0, maxOutputs - 1),
  /** The model's probability of `predicted`. */
  probability: fraction,
});

/** A sample, encoded as in a task, with its target values and the predicted values. */
export const farSample = v.strictObject({ sample: bytes, target: floatBytes, predicted: floatBytes });
