/**
 * Every message between the coordinator and a viewer of the dashboard, once: who sends it, its fields and their checks.
 *
 * Viewers have a socket of their own, on the path `/watch`, read-only but for steering. What the coordinator sends may
 * be dropped: a viewer that falls behind gets nothing until it has drained, then `run`, `history` and `workers` anew.
 */
import * as v from 'valibot';
import {
  bytes,
  faultActions,
  finite,
  floatBytes,
  hexHash,
  message,
  milliseconds,
  plainJson,
  step,
  text,
  whole,
  workerKinds,
} from '../fields.ts';
import { areNamed, isGrid, isPointList, pointListPhrase } from './checks.ts';

/** The WebSocket subprotocol of viewers. */
export const watchSubprotocol = 'lockstep.watch.v1';

/** The path of viewers; every other path is a worker's. */
export const watchPath = '/watch';

const phases = ['waiting', 'training', 'paused', 'finished', 'failed'] as const;
const exactnesses = ['bit-exact', 'sample-exact', 'unverified'] as const;
const healths = ['good', 'late', 'gone'] as const;
const workerPhases = ['handshake', 'checking', 'ready', 'gone'] as const;
const spanKinds = ['receive', 'compute', 'send', 'wait'] as const;
const adminActions = ['start', 'pause', 'resume', 'stop', 'save'] as const;

/** A share or a probability. */
const fraction = v.pipe(
  v.number('a number from 0 to 1'),
  v.minValue(0, 'a number from 0 to 1'),
  v.maxValue(1, 'a number from 0 to 1'),
);

const rate = milliseconds;

/** Points of the training curves: float32 lists of equal length, oldest first. A point may stand for several steps. */
const points = v.pipe(
  v.strictObject({
    /** Steps taken when the point was measured, from 1; exact up to 2^24. */
    steps: floatBytes,
    /** Mean loss over the samples of the point's steps, each measured with the weights before its step. */
    losses: floatBytes,
    /** Share of those samples whose class was right, 0 to 1. */
    accuracies: floatBytes,
  }),
  v.check((value) => isPointList(value), pointListPhrase),
);

/** An epoch as in the report. */
const epochReport = v.strictObject({
  /** From 1. */
  epoch: whole(1),
  trainLoss: finite,
  trainAccuracy: fraction,
  testLoss: finite,
  testAccuracy: fraction,
  seconds: rate,
  imagesPerSecond: rate,
});

const workerRow = v.strictObject({
  id: text(64),
  name: text(80),
  kind: v.picklist(workerKinds),
  backend: text(80),
  threads: whole(1),
  phase: v.picklist(workerPhases),
  /** A browser tab that nobody sees at the moment. */
  hidden: v.boolean('true or false'),
  /** Part of all accepted samples that this worker computed. */
  share: fraction,
  shards: whole(0),
  samples: whole(0),
  /** Recent means, per step that it took part in. */
  computeMs: milliseconds,
  /** Both ways: weights and samples to the worker, the gradient back. */
  sendMs: milliseconds,
  waitMs: milliseconds,
  health: v.picklist(healths),
  /** Recent speed while it computes. */
  samplesPerSecond: rate,
});

const span = v.strictObject({ kind: v.picklist(spanKinds), fromMs: milliseconds, toMs: milliseconds });

const timelineRow = v.strictObject({
  workerId: text(64),
  /** In order of `fromMs`; what lies between two spans is not known. */
  spans: v.array(span, 'a list of spans'),
});

const error = v.strictObject({
  /** u8, `rows` x `columns`. */
  image: bytes,
  label: whole(0, 255),
  predicted: whole(0, 255),
  /** How sure the model was of `predicted`. */
  probability: fraction,
});

export const watchMessages = {
  /** First message, and the first after a drop: what does not change while the run lasts. */
  run: {
    from: 'coordinator',
    schema: v.strictObject({
      type: v.literal('run'),
      version: text(40),
      /** A layer list as plain JSON. */
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
        workers: whole(0),
      }),
      steps: whole(1),
      stepsPerEpoch: whole(1),
      microbatches: whole(1),
      /** Samples in the training set and in the test set. */
      samples: whole(1),
      testSamples: whole(0),
      /** Of one image, as the files have it. */
      rows: whole(1),
      columns: whole(1),
      classes: whole(1, 256),
      /** Where to join: `https://` or `http://` for tabs, `wss://` or `ws://` for terminals; never with the token. */
      joinAddresses: v.array(text(300), 'a list of addresses'),
      /** Whether workers need the token of the join address. */
      tokenNeeded: v.boolean('true or false'),
      faultInjection: v.boolean('true or false'),
    }),
  },

  /** Everything of the curves so far, thinned to at most about 2000 points and 400 epochs. */
  history: {
    from: 'coordinator',
    schema: v.strictObject({
      type: v.literal('history'),
      points,
      epochs: v.array(epochReport, 'a list of epochs'),
      /** The last few, oldest first. */
      events: v.array(message, 'a list of sentences'),
    }),
  },

  /** At most ten a second. */
  progress: {
    from: 'coordinator',
    schema: v.strictObject({
      type: v.literal('progress'),
      phase: v.picklist(phases),
      /** Whether an admin holds the run: it waits for `start` or `resume`. */
      pauseRequested: v.boolean('true or false'),
      /** Steps taken. */
      step,
      /** From 1. */
      epoch: whole(1),
      /** Smoothed over recent steps; absent before the first. */
      loss: v.exactOptional(finite),
      accuracy: v.exactOptional(fraction),
      imagesPerSecond: rate,
      secondsLeft: v.exactOptional(rate),
      exactness: v.picklist(exactnesses),
      /** First digits of SHA-256 of the weights after `weightsHashStep` steps. */
      weightsHash: v.exactOptional(hexHash),
      weightsHashStep: v.exactOptional(step),
      /** Since the last progress that this viewer was sent. */
      points,
    }),
  },

  /** At most four a second. Who is here and, last, who has gone; not every one of a very large room. */
  workers: {
    from: 'coordinator',
    schema: v.strictObject({ type: v.literal('workers'), workers: v.array(workerRow, 'a list of workers') }),
  },

  /** At most two a second: who did what in one step, in milliseconds since the step began. */
  timeline: {
    from: 'coordinator',
    schema: v.strictObject({
      type: v.literal('timeline'),
      step,
      durationMs: milliseconds,
      rows: v.array(timelineRow, 'a list of rows'),
    }),
  },

  epoch: {
    from: 'coordinator',
    schema: v.strictObject({ type: v.literal('epoch'), report: epochReport }),
  },

  /** After each epoch's `epoch`: how the test images were read. */
  evaluation: {
    from: 'coordinator',
    schema: v.pipe(
      v.strictObject({
        type: v.literal('evaluation'),
        /** From 1. */
        epoch: whole(1),
        rows: whole(1),
        columns: whole(1),
        classes: whole(1, 256),
        /** Counts as float32, `classes` x `classes`: one row for each true class, one column for each predicted one. */
        confusion: floatBytes,
        /** Where the model was most sure and wrong; at most 16. */
        topErrors: v.array(error, 'a list of topErrors'),
      }),
      v.check(({ confusion, classes }) => isGrid(confusion, classes), 'classes x classes counts'),
      v.check((value) => areNamed(value), 'images of rows x columns pixels, and classes below classes'),
    ),
  },

  /** On request, about one a second: all parameters in model order, after `step` steps. */
  weights: {
    from: 'coordinator',
    schema: v.strictObject({ type: v.literal('weights'), step, bytes: floatBytes }),
  },

  /** Something worth telling a person. */
  event: {
    from: 'coordinator',
    schema: v.strictObject({ type: v.literal('event'), message }),
  },

  /** This viewer asked for something that it may not do, or that cannot be done. */
  refused: {
    from: 'coordinator',
    schema: v.strictObject({ type: v.literal('refused'), message }),
  },

  /** Asks for `weights` once: the next ones when they are sent. Said again for more. */
  wantWeights: {
    from: 'viewer',
    schema: v.strictObject({ type: v.literal('wantWeights') }),
  },

  /** Steers the run. `token` is a secret and never reaches a log. */
  admin: {
    from: 'viewer',
    schema: v.strictObject({
      type: v.literal('admin'),
      token: v.exactOptional(text(256)),
      action: v.picklist(adminActions),
    }),
  },

  /** Makes trouble for one worker; only where the run was started for it. */
  injectFault: {
    from: 'viewer',
    schema: v.strictObject({
      type: v.literal('injectFault'),
      token: v.exactOptional(text(256)),
      action: v.picklist(faultActions),
      workerId: text(64),
    }),
  },
} as const;

export type WatchSide = 'viewer' | 'coordinator';

export type WatchMessageType = keyof typeof watchMessages;

export type WatchMessageOf<T extends WatchMessageType> = T extends WatchMessageType
  ? v.InferOutput<(typeof watchMessages)[T]['schema']>
  : never;

/** What may travel from `S`. */
export type WatchMessageFrom<S extends WatchSide> = {
  [T in WatchMessageType]: (typeof watchMessages)[T]['from'] extends S ? WatchMessageOf<T> : never;
}[WatchMessageType];

export type WatchMessage = WatchMessageOf<WatchMessageType>;

export type AdminAction = (typeof adminActions)[number];
export type FaultAction = (typeof faultActions)[number];
export type WorkerHealth = (typeof healths)[number];
export type SpanKind = (typeof spanKinds)[number];
