/** Every message once: who sends it, its fields and their checks; the TypeScript types derive from this table. */
import * as v from 'valibot';
import {
  bytes,
  checksum,
  faultActions,
  finite,
  floatBytes,
  hexHash,
  isNamedSampleBatch,
  isSampleBatch,
  isTreeNode,
  message,
  milliseconds,
  namedSamplesPhrase,
  plainJson,
  sampleBatchPhrase,
  shard,
  step,
  text,
  treeNodePhrase,
  whole,
  workerKinds,
} from './fields.ts';
import { lossyEncodings, vectorEncodings } from './vector-codec.ts';

/** Raised whenever a peer of the older version could misread a newer message. */
export const protocolVersion = 3;

/** The WebSocket subprotocol both ends ask for. */
export const subprotocol = 'lockstep.v1';

const refusalCodes = ['protocol', 'token', 'full', 'numerics', 'model', 'busy'] as const;
const taskErrorCodes = ['out-of-memory', 'device-lost', 'non-finite', 'failed'] as const;

export const messages = {
  /** First message of a worker; `token` and `resumeKey` are secrets and never reach a log. */
  hello: {
    from: 'worker',
    schema: v.strictObject({
      type: v.literal('hello'),
      protocol: whole(0),
      token: v.exactOptional(text(256)),
      resumeKey: v.exactOptional(text(128)),
      kind: v.picklist(workerKinds),
      backend: text(80),
      /** Names the float arithmetic; equal names promise equal bits. */
      numericMode: text(200),
      name: text(80),
      threads: whole(1, 65_536),
      /** Bytes of samples that it is ready to keep, so that each travels to it once; none where left out. */
      keepsBytes: v.exactOptional(whole(0)),
    }),
  },

  /** The worker is in: who it is, what it computes, and the limits it must keep. */
  welcome: {
    from: 'coordinator',
    schema: v.strictObject({
      type: v.literal('welcome'),
      id: text(64),
      resumeKey: text(128),
      /** A layer list as plain JSON; its meaning is checked by who builds the model. */
      model: plainJson,
      /** Samples in a microbatch. */
      microbatchSize: whole(1),
      /** Fixes what the model drops at random; 0 where left out. */
      seed: v.exactOptional(whole(0, 2 ** 32 - 1)),
      /** How workers are to round what they send; not at all where left out. */
      gradients: v.exactOptional(v.picklist(lossyEncodings)),
      /** Samples in the training set, where tasks may name those that came before; stands only if the worker keeps so many. */
      samples: v.exactOptional(whole(1, 2 ** 31 - 1)),
      heartbeatMs: whole(1),
      maxFrameBytes: whole(1),
    }),
  },

  refuse: {
    from: 'coordinator',
    schema: v.strictObject({
      type: v.literal('refuse'),
      code: v.picklist(refusalCodes),
      message,
      retryAfterMs: v.exactOptional(whole(0)),
    }),
  },

  /** A fixed small problem whose gradient shows what arithmetic a worker really has. */
  numericsCheck: {
    from: 'coordinator',
    schema: v.pipe(
      v.strictObject({ type: v.literal('numericsCheck'), weights: floatBytes, pixels: bytes, labels: bytes }),
      v.check((message) => isSampleBatch(message), sampleBatchPhrase),
    ),
  },

  numericsResult: {
    from: 'worker',
    schema: v.strictObject({
      type: v.literal('numericsResult'),
      gradient: floatBytes,
      hash: hexHash,
      lossSum: finite,
      correct: whole(0),
      computeMs: milliseconds,
    }),
  },

  /** All parameters in model order, as they are before `step`. */
  weights: {
    from: 'coordinator',
    schema: v.pipe(
      v.strictObject({
        type: v.literal('weights'),
        step,
        bytes: floatBytes,
        /** Where it stands, the bytes are packed, and a chunk that was left out is as in this earlier step's weights. */
        since: v.exactOptional(step),
      }),
      v.check(
        (message) => message.since === undefined || message.since < message.step,
        'changes since an earlier step',
      ),
    ),
  },

  /** Samples of the shard's microbatches, in microbatch order; may arrive before the weights of its step. */
  task: {
    from: 'coordinator',
    schema: v.pipe(
      v.strictObject({
        type: v.literal('task'),
        ...shard,
        /** Position of the first sample in its epoch's order, which fixes what is dropped; 0 where left out. */
        first: v.exactOptional(whole(0)),
        /**
         * Numbers of the shard's samples in the training set, u32, little-endian; the highest bit is set for those whose
         * pixels and labels are in this message, in this order. The others came with an earlier one. All are, in order,
         * where this is left out.
         */
        samples: v.exactOptional(bytes),
        pixels: bytes,
        labels: bytes,
      }),
      v.check((message) => isTreeNode(message), treeNodePhrase),
      v.check((message) => isSampleBatch(message), sampleBatchPhrase),
      v.check(
        ({ samples, ...own }) => samples === undefined || isNamedSampleBatch({ samples, ...own }),
        namedSamplesPhrase,
      ),
    ),
  },

  /** Sum, not mean, of the gradients of the shard's `count` samples, in model order. */
  gradient: {
    from: 'worker',
    schema: v.pipe(
      v.strictObject({
        type: v.literal('gradient'),
        ...shard,
        /** Little-endian float32, or what packing.ts makes of it. */
        bytes,
        encoding: v.exactOptional(v.picklist(vectorEncodings)),
        /** Of the bytes as they travel. */
        checksum,
        lossSum: finite,
        correct: whole(0),
        count: whole(0),
        computeMs: milliseconds,
        /** From when the worker had all it needs for the shard to when it sent this; the rest is the network's. */
        turnaroundMs: v.exactOptional(milliseconds),
      }),
      v.check((message) => isTreeNode(message), treeNodePhrase),
      v.check(
        ({ bytes: values, encoding }) => encoding !== undefined || values.byteLength % 4 === 0,
        'float32 bytes, a multiple of 4',
      ),
      v.check(({ correct, count }) => correct <= count, 'at most as many correct samples as samples'),
    ),
  },

  /** The shard could not be computed; a loss or gradient that is not finite comes as this, never as a gradient. */
  taskError: {
    from: 'worker',
    schema: v.pipe(
      v.strictObject({ type: v.literal('taskError'), ...shard, code: v.picklist(taskErrorCodes), message }),
      v.check((message) => isTreeNode(message), treeNodePhrase),
    ),
  },

  cancel: {
    from: 'coordinator',
    schema: v.pipe(
      v.strictObject({ type: v.literal('cancel'), ...shard }),
      v.check((message) => isTreeNode(message), treeNodePhrase),
    ),
  },

  /** What a person should know of a worker that goes on computing all the same. */
  status: {
    from: 'worker',
    schema: v.strictObject({
      type: v.literal('status'),
      /** Whether it is a browser tab that nobody sees. */
      hidden: v.boolean('true or false'),
    }),
  },

  /** Trouble made on purpose, only in a run that was started for it: the worker fails as asked, for so long. */
  injectFault: {
    from: 'coordinator',
    schema: v.strictObject({ type: v.literal('injectFault'), action: v.picklist(faultActions), forMs: milliseconds }),
  },

  /** The run is over; the sentence says how it ended. */
  finish: {
    from: 'coordinator',
    schema: v.strictObject({ type: v.literal('finish'), message }),
  },

  /** `sentAtMs` is the sender's own clock, and comes back unchanged in the pong. */
  ping: {
    from: 'either',
    schema: v.strictObject({ type: v.literal('ping'), sentAtMs: milliseconds }),
  },

  pong: {
    from: 'either',
    schema: v.strictObject({ type: v.literal('pong'), sentAtMs: milliseconds }),
  },

  /** The sender leaves on purpose. */
  bye: {
    from: 'either',
    schema: v.strictObject({ type: v.literal('bye'), message }),
  },
} as const;

export type Side = 'worker' | 'coordinator';

export type MessageType = keyof typeof messages;

export type MessageOf<T extends MessageType> = T extends MessageType
  ? v.InferOutput<(typeof messages)[T]['schema']>
  : never;

/** What may travel from `S`. */
export type MessageFrom<S extends Side> = {
  [T in MessageType]: (typeof messages)[T]['from'] extends S | 'either' ? MessageOf<T> : never;
}[MessageType];

export type Message = MessageOf<MessageType>;
export type WorkerMessage = MessageFrom<'worker'>;
export type CoordinatorMessage = MessageFrom<'coordinator'>;

export type WorkerKind = (typeof workerKinds)[number];
export type RefusalCode = (typeof refusalCodes)[number];
export type TaskErrorCode = (typeof taskErrorCodes)[number];

/** Whether the table lets `from` send a message of this type. */
export function maySend(from: Side, type: MessageType): boolean {
  const sender = messages[type].from;
  return sender === from || sender === 'either';
}
