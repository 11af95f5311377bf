/** The messages between workers and the coordinator: sender, fields and checks, from which the types derive. */
import * as v from 'valibot';
import {
  addresses,
  bytes,
  checksum,
  chunkBytes,
  faultActions,
  finite,
  flag,
  floatBytes,
  hexHash,
  innerSteps,
  type MessageIn,
  message,
  messageFrom,
  milliseconds,
  numberedSamples,
  openAddress,
  plainJson,
  powerOfTwo,
  runGeometry,
  type SentBy,
  sampleBatch,
  sampleShape,
  sampleTypes,
  shard,
  step,
  targetTypes,
  text,
  treeNode,
  vector,
  whole,
  workerKinds,
} from './fields.ts';
import { vectorEncodings } from './vector-codec.ts';

/** Raised whenever a peer of the older version could misread a newer message. */
export const protocolVersion = 10;

/** The WebSocket subprotocol that both ends ask for. */
export const subprotocol = 'lockstep.v1';

/** `waiting`: there is no run to join yet, and there will be one. */
const refusalCodes = ['protocol', 'token', 'full', 'numerics', 'model', 'busy', 'waiting', 'removed'] as const;
const taskErrorCodes = ['out-of-memory', 'device-lost', 'non-finite', 'failed'] as const;

const fromWorker = messageFrom('worker');
const fromCoordinator = messageFrom('coordinator');
const fromEither = messageFrom('either');

export const messages = {
  /** First message of a worker; `token` and `resumeKey` are secrets and never reach a log. */
  hello: fromWorker('hello', {
    protocol: whole(0),
    token: v.exactOptional(text(256)),
    resumeKey: v.exactOptional(text(128)),
    kind: v.picklist(workerKinds),
    backend: text(80),
    /** Name of the float arithmetic; equal names promise equal bits. */
    numericMode: text(200),
    name: text(80),
    threads: whole(1, 65_536),
    /** Most bytes of samples that it caches, so that each is sent to it once; 0 where left out. */
    sampleCacheBytes: v.exactOptional(whole(0)),
  }),

  /** The worker is admitted: its identity, its model, and the limits that it must keep. */
  welcome: fromCoordinator('welcome', {
    id: text(64),
    resumeKey: text(128),
    /** A layer list as plain JSON; its meaning is checked where the model is built. */
    model: plainJson,
    microbatchSize: whole(1),
    /**
     * Where it is present, a microbatch is a replica's: one step of SGD for each `batch` of its samples, from the weights and
     * without momentum at first. Its gradient is the weights before those steps, less the weights after them.
     */
    innerSteps: v.exactOptional(innerSteps),
    /** Of the samples in all messages: bytes, which the model sees as byte / 255, or little-endian float32. */
    sampleType: v.picklist(sampleTypes),
    /** [height, width, channels] of a picture, [features] of a table row. */
    sampleShape,
    /** Of the targets in all messages: class indices, little-endian u16, or values, little-endian float32. */
    targetType: v.picklist(targetTypes),
    /** Seeds the random choices of dropout; 0 where left out. */
    seed: v.exactOptional(whole(0, 2 ** 32 - 1)),
    /** What 1 in half precision stands for, if every node of the reduction tree is rounded to a half. */
    halfUnit: v.exactOptional(powerOfTwo),
    /** Samples in the training set; present where the worker caches all of them, and tasks name those it has. */
    cachedSamples: v.exactOptional(whole(1, 2 ** 31 - 1)),
    heartbeatMs: whole(1),
    maxFrameBytes: whole(1),
    /** Bytes of float32 values in a chunk: longer vectors travel in several, each of so many but for the last. */
    chunkBytes,
    /** For a relay alone. */
    run: v.exactOptional(runGeometry),
    /** Where the worker may try to join where this coordinator does not answer; each can be joined with the same token. */
    addresses: v.exactOptional(addresses),
  }),

  refuse: fromCoordinator('refuse', {
    code: v.picklist(refusalCodes),
    message,
    retryAfterMs: v.exactOptional(whole(0)),
  }),

  /**
   * A fixed small problem whose gradient shows the numeric mode of a worker, and whether it computes correctly. With it the
   * sample cache is emptied.
   */
  numericsCheck: fromCoordinator(
    'numericsCheck',
    { weights: floatBytes, ...vector, count: whole(1), samples: bytes, targets: bytes },
    sampleBatch,
  ),

  numericsResult: fromWorker('numericsResult', {
    gradient: floatBytes,
    ...vector,
    /** Of the whole gradient. */
    hash: hexHash,
    lossSum: finite,
    correct: whole(0),
    computeMs: milliseconds,
  }),

  /** All parameters in model order, as they are before `step`. */
  weights: fromCoordinator('weights', { step, bytes: floatBytes, ...vector }),

  /**
   * The next values of the vector that the sender's last `weights`, `gradient`, `numericsCheck` or `numericsResult` began.
   * Other messages may come between the chunks of a vector, but no other vector.
   */
  chunk: fromEither('chunk', {
    /** Values of the vector before these. */
    at: whole(1),
    /** As in `gradient`; always float32 where another message began the vector. */
    bytes,
    encoding: v.exactOptional(v.picklist(vectorEncodings)),
    /** `chunkChecksum` of this message; a chunk of a gradient has it. */
    checksum: v.exactOptional(checksum),
  }),

  /** Samples of the shard's microbatches, in microbatch order; may arrive before the weights of its step. */
  task: fromCoordinator(
    'task',
    {
      ...shard,
      /** Position of the first sample in its epoch's order, which keys dropout; 0 where left out. */
      first: v.exactOptional(whole(0)),
      /**
       * Numbers of the shard's samples in the training set, u32, little-endian. The highest bit is set for those whose
       * values and targets are in this message, in this order; an earlier task brought the others. Where this is left
       * out, the message has all samples of the shard.
       */
      numbers: v.exactOptional(bytes),
      /** Samples in this message, one after another, and their targets, in the types of `welcome`. */
      count: whole(0),
      samples: bytes,
      targets: bytes,
    },
    treeNode,
    sampleBatch,
    numberedSamples,
  ),

  /** Sum, not mean, of the gradients of the shard's `count` samples, in model order. */
  gradient: fromWorker(
    'gradient',
    {
      ...shard,
      /** Little-endian float32, or a vector in the layout of vector-codec.ts where `encoding` is present. */
      bytes,
      encoding: v.exactOptional(v.picklist(vectorEncodings)),
      ...vector,
      /** `gradientChecksum` of this message, with the bytes as they are sent. */
      checksum,
      lossSum: finite,
      correct: whole(0),
      count: whole(0),
      computeMs: milliseconds,
      /** From when the worker had weights and samples to when it sent this; the rest is time on the network. */
      turnaroundMs: v.exactOptional(milliseconds),
    },
    treeNode,
    [
      ({ bytes: values, encoding }) => encoding !== undefined || values.byteLength % 4 === 0,
      'float32 bytes, a multiple of 4',
    ],
    [({ correct, count }) => correct <= count, 'at most as many correct samples as samples'],
  ),

  /** The shard could not be computed. A loss that is not finite is reported by this and never as a gradient. */
  taskError: fromWorker('taskError', { ...shard, code: v.picklist(taskErrorCodes), message }, treeNode),

  /** The shard is not needed any more; the worker sends nothing for it. */
  cancel: fromCoordinator('cancel', shard, treeNode),

  /** Shown to people; `hidden` is true for a browser tab that is not visible. It computes all the same. */
  status: fromWorker('status', {
    hidden: flag,
    /** Of a relay: the workers that compute for it. */
    workers: v.exactOptional(whole(0, 2 ** 20)),
    /** Of a relay: where workers that know the run's token can join it. */
    address: v.exactOptional(openAddress),
    /** Of a relay: results of a worker that was found to send wrong ones are in sums that it has sent. */
    unverified: v.exactOptional(flag),
  }),

  /** The worker fails as asked, for `forMs`; only in a run that was started with fault injection. */
  injectFault: fromCoordinator('injectFault', { action: v.picklist(faultActions), forMs: milliseconds }),

  /** The run is over; `message` says how it ended. Where another may follow on this server, the worker comes back for it. */
  finish: fromCoordinator('finish', { message, anotherMayFollow: v.exactOptional(flag) }),

  /**
   * `sentAtMs` is read from the sender's clock and comes back unchanged in the pong. A worker tells how many bytes have
   * arrived so far, unfinished frames included where its platform tells: behind a link that has become slow it has more time.
   */
  ping: fromEither('ping', { sentAtMs: milliseconds, receivedBytes: v.exactOptional(whole(0)) }),

  pong: fromEither('pong', { sentAtMs: milliseconds }),

  /** The sender leaves on purpose. */
  bye: fromEither('bye', { message }),
};

export type Side = 'worker' | 'coordinator';

type MessageType = keyof typeof messages;

export type MessageOf<T extends MessageType> = MessageIn<typeof messages, T>;

/** The messages that `S` may send. */
export type MessageFrom<S extends Side> = SentBy<typeof messages, S>;

export type Message = MessageOf<MessageType>;
export type WorkerMessage = MessageFrom<'worker'>;
export type CoordinatorMessage = MessageFrom<'coordinator'>;

export type WorkerKind = (typeof workerKinds)[number];
export type TaskErrorCode = (typeof taskErrorCodes)[number];
