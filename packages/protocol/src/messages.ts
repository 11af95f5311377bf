/** The messages between workers and the coordinator: sender, fields and checks. The types derive from them. */
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

/** Incremented whenever a peer of the older version could misread a newer message. */
export const protocolVersion = 10;

/** The WebSocket subprotocol that both ends request. */
export const subprotocol = 'lockstep.v1';

/** `waiting`: there is no run to join yet, but there will be one. */
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
    /** Most bytes of samples that the worker caches, so that each is sent to it once; 0 if omitted. */
    sampleCacheBytes: v.exactOptional(whole(0)),
  }),

  /** Admits the worker: its identity, its model, and the limits that it must keep. */
  welcome: fromCoordinator('welcome', {
    id: text(64),
    resumeKey: text(128),
    /** A layer list as plain JSON; checked when the model is built. */
    model: plainJson,
    microbatchSize: whole(1),
    /**
     * Present if each microbatch is a replica: the worker takes one step of SGD per `batch` of its samples, starting
     * from the weights with zero momentum. The gradient is the weights before those steps minus the weights after them.
     */
    innerSteps: v.exactOptional(innerSteps),
    /** Type of the samples in all messages: bytes, which the model sees as byte / 255, or little-endian float32. */
    sampleType: v.picklist(sampleTypes),
    /** [height, width, channels] of a picture, [features] of a table row. */
    sampleShape,
    /** Type of the targets in all messages: class indices, little-endian u16, or values, little-endian float32. */
    targetType: v.picklist(targetTypes),
    /** Seeds the random choices of dropout; 0 if omitted. */
    seed: v.exactOptional(whole(0, 2 ** 32 - 1)),
    /** Value that 1 in half precision stands for; present if every node of the reduction tree is rounded to a half. */
    halfUnit: v.exactOptional(powerOfTwo),
    /** Size of the training set; present if the worker caches all samples, so that tasks refer to them by number. */
    cachedSamples: v.exactOptional(whole(1, 2 ** 31 - 1)),
    heartbeatMs: whole(1),
    maxFrameBytes: whole(1),
    /** Bytes of float32 values in a chunk. A longer vector travels in several chunks; only the last may be smaller. */
    chunkBytes,
    /** Only for a relay. */
    run: v.exactOptional(runGeometry),
    /** Addresses to try if this coordinator does not answer; each can be joined with the same token. */
    addresses: v.exactOptional(addresses),
  }),

  refuse: fromCoordinator('refuse', {
    code: v.picklist(refusalCodes),
    message,
    retryAfterMs: v.exactOptional(whole(0)),
  }),

  /** A fixed small problem: its gradient shows a worker's numeric mode and correctness. Empties its sample cache. */
  numericsCheck: fromCoordinator(
    'numericsCheck',
    { weights: floatBytes, ...vector, count: whole(1), samples: bytes, targets: bytes },
    sampleBatch,
  ),

  numericsResult: fromWorker('numericsResult', {
    gradient: floatBytes,
    ...vector,
    /** Hash of the whole gradient. */
    hash: hexHash,
    lossSum: finite,
    correct: whole(0),
    computeMs: milliseconds,
  }),

  /** All parameters in model order, as they are before `step`. */
  weights: fromCoordinator('weights', { step, bytes: floatBytes, ...vector }),

  /**
   * The next values of the vector begun by the sender's last `weights`, `gradient`, `numericsCheck` or
   * `numericsResult`. Other messages may come between the chunks of a vector, but no other vector.
   */
  chunk: fromEither('chunk', {
    /** Number of earlier values of the vector. */
    at: whole(1),
    /** As in `gradient`; always float32 if another message began the vector. */
    bytes,
    encoding: v.exactOptional(v.picklist(vectorEncodings)),
    /** `chunkChecksum` of this message; present in chunks of a gradient. */
    checksum: v.exactOptional(checksum),
  }),

  /** Samples of the shard's microbatches, in microbatch order. May arrive before the weights of its step. */
  task: fromCoordinator(
    'task',
    {
      ...shard,
      /** Position of the first sample in its epoch's order, which keys dropout; 0 if omitted. */
      first: v.exactOptional(whole(0)),
      /**
       * Numbers of the shard's samples in the training set, u32, little-endian. The highest bit marks samples whose
       * values and targets are in this message, in this order; an earlier task brought the others. If omitted, the
       * message holds all samples of the shard.
       */
      numbers: v.exactOptional(bytes),
      /** Number of samples in this message, then samples and targets one after another, in the types of `welcome`. */
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
      /** Little-endian float32, or the layout of vector-codec.ts if `encoding` is present. */
      bytes,
      encoding: v.exactOptional(v.picklist(vectorEncodings)),
      ...vector,
      /** `gradientChecksum` of this message, with the bytes as sent. */
      checksum,
      lossSum: finite,
      correct: whole(0),
      count: whole(0),
      computeMs: milliseconds,
      /** Time from having weights and samples to sending this message; the rest is time on the network. */
      turnaroundMs: v.exactOptional(milliseconds),
    },
    treeNode,
    [
      ({ bytes: values, encoding }) => encoding !== undefined || values.byteLength % 4 === 0,
      'float32 bytes, a multiple of 4',
    ],
    [({ correct, count }) => correct <= count, 'at most as many correct samples as samples'],
  ),

  /** The shard could not be computed. A loss that is not finite is reported this way, never as a gradient. */
  taskError: fromWorker('taskError', { ...shard, code: v.picklist(taskErrorCodes), message }, treeNode),

  /** The shard is no longer needed; the worker sends nothing for it. */
  cancel: fromCoordinator('cancel', shard, treeNode),

  /** Status shown to people. `hidden`: the worker is a browser tab that is not visible; it computes all the same. */
  status: fromWorker('status', {
    hidden: flag,
    /** Workers that compute for this one, if it is a relay. */
    workers: v.exactOptional(whole(0, 2 ** 20)),
    /** Relays only: address at which workers that know the run's token can join. */
    address: v.exactOptional(openAddress),
    /** Relays only: sums already sent contain results of a worker that was found to send wrong ones. */
    unverified: v.exactOptional(flag),
  }),

  /** Makes the worker fail as asked, for `forMs`; only in a run started with fault injection. */
  injectFault: fromCoordinator('injectFault', { action: v.picklist(faultActions), forMs: milliseconds }),

  /** The run is over; `message` says how it ended. If another may follow on this server, the worker returns for it. */
  finish: fromCoordinator('finish', { message, anotherMayFollow: v.exactOptional(flag) }),

  /**
   * `sentAtMs` is read from the sender's clock and returned unchanged in the pong. A worker reports the bytes that have
   * arrived so far, including unfinished frames if its platform reports them: a worker behind a link that has become
   * slow gets more time.
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
