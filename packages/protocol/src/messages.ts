/** The messages between workers and the coordinator: sender, fields and checks. The types derive from them. */
import * as v from 'valibot';
import * as f from './fields.ts';

/** Incremented whenever a peer of the older version could misread a newer message. */
export const protocolVersion = 15;

/** The WebSocket subprotocol that both ends request. */
export const subprotocol = 'lockstep.v1';

/** Largest microbatch index and shard size: far above any run's, far below the limit of exact integers. */
const maxMicrobatches = 2 ** 30;

/** An aligned shard of microbatches `[lo, lo + n)`. */
const shard = { step: f.step, lo: f.integer(0, maxMicrobatches), n: f.integer(1, maxMicrobatches) };

/** A shard is a node of the reduction tree. */
const treeNode: f.Condition<{ readonly lo: number; readonly n: number }> = [
  ({ lo, n }) => (n & (n - 1)) === 0 && lo % n === 0,
  'a shard with n a power of two and lo a multiple of n',
];

/** Most values of a vector: 1 GiB of float32. */
const maxVectorValues = 2 ** 28;

/** Number of values of a vector, in the message that begins it. Omitted if that message holds the whole vector. */
const vector = { values: v.exactOptional(f.integer(2, maxVectorValues)) };

/**
 * How `vectors.ts` encodes the values of a gradient compactly; they are little-endian float32 if omitted. `fp16` holds
 * halves in a unit that both ends know: lossless if every value is a half times the unit.
 */
export const vectorEncodings = ['sparse', 'fp16'] as const;
export type VectorEncoding = (typeof vectorEncodings)[number];
const encoding = v.exactOptional(v.picklist(vectorEncodings));
const checksum = f.integer(0, 2 ** 32 - 1);

/** Number of samples in a message, then samples and targets one after another, in the types of `welcome`. */
const batch = { samples: f.bytes, targets: f.bytes };

/** All samples have the same number of bytes, and so do all targets. */
const sampleBatch: f.Condition<{
  readonly count: number;
  readonly samples: Uint8Array;
  readonly targets: Uint8Array;
}> = [
  ({ count, samples, targets }) =>
    [samples, targets].every(({ byteLength }) => (count === 0 ? byteLength === 0 : byteLength % count === 0)),
  'as many bytes for each of its samples, and for each target',
];

/** Bit of a sample's number that marks the sample as enclosed in the message. */
export const enclosed = 2 ** 31;

/** If present, `numbers` marks as many samples as enclosed as the message holds. */
const numberedSamples: f.Condition<{ readonly numbers?: Uint8Array; readonly count: number }> = [
  ({ numbers, count }) => {
    if (numbers === undefined) return true;
    let marked = 0;
    for (let top = 3; top < numbers.byteLength; top += 4) marked += numbers[top]! >> 7;
    return numbers.byteLength % 4 === 0 && marked === count;
  },
  'four bytes for each number, and as many samples as are marked as enclosed',
];

/** Settings that a relay needs to cut its shards as the coordinator would. */
const runGeometry = v.strictObject(
  {
    /** Samples in the training set. */
    samples: f.integer(1, 2 ** 31 - 1),
    /** Samples of a step. */
    batch: f.integer(1),
    steps: f.integer(1),
    /** Fraction of shards that a relay computes as well, to check its workers; 0 by default. */
    verifyRate: v.exactOptional(f.proportion),
    /** Policy for choosing the workers that compute a step. */
    participation: v.exactOptional(v.picklist(['fastest', 'rotation'])),
  },
  'the geometry of a run',
);

/** Address of a WebSocket without secrets. */
const openAddress = v.pipe(
  f.printableLine(256),
  v.check(
    (url) => /^wss?:\/\/[^\s/?#@]+([/?][^\s#]*)?$/.test(url) && !/[?&]token=/.test(url),
    'the address of a WebSocket without secrets',
  ),
);

/** Limited to the range in which scaling a half by it and back is exact in float32. */
const powerOfTwo = f.numberWhere('a power of two from 2^-64 to 2^64', (value) => {
  const exponent = Math.log2(value);
  return Number.isInteger(exponent) && Math.abs(exponent) <= 64;
});

const chunkBytes = v.pipe(
  f.integer(4, 4 * maxVectorValues),
  v.check((value) => value % 4 === 0, 'a multiple of 4'),
);

const worker = f.messageFrom('worker');
const coordinator = f.messageFrom('coordinator');
const either = f.messageFrom('either');

export const messages = {
  /** First message of a worker; `token` and `resumeKey` are secrets and never reach a log. */
  hello: worker({
    protocol: f.integer(0),
    token: v.exactOptional(f.printableLine(256)),
    resumeKey: v.exactOptional(f.printableLine(128)),
    kind: v.picklist(f.workerKinds),
    backend: f.printableLine(80),
    /** Name of the float arithmetic; equal names promise equal bits. */
    numericMode: f.printableLine(200),
    name: f.printableLine(f.maxNameLength),
    threads: f.integer(1, 65_536),
    /** Length of the vectors that compute, if it is known. */
    vectorBits: v.exactOptional(f.integer(1, 65_536)),
    /** Most bytes of samples that the worker caches, so that each is sent to it once; 0 if omitted. */
    sampleCacheBytes: v.exactOptional(f.integer(0)),
  }),

  /** Admits the worker: its identity, its model, and the limits that it must keep. */
  welcome: coordinator({
    id: f.printableLine(64),
    resumeKey: f.printableLine(128),
    /** A layer list; checked when the model is built. */
    model: f.plainJson,
    microbatchSize: f.integer(1),
    /**
     * Present if each microbatch is a replica: the worker takes one step of SGD per `batch` of its samples, starting
     * from the weights with zero momentum. The gradient is the weights before those steps minus the weights after them.
     */
    innerSteps: v.exactOptional(v.strictObject(f.innerStep, 'inner steps')),
    ...f.dataFields,
    /** Seeds the random choices of dropout; 0 if omitted. */
    seed: v.exactOptional(f.integer(0, 2 ** 32 - 1)),
    /** Value that 1 in half precision stands for; present if every node of the reduction tree is rounded to a half. */
    halfUnit: v.exactOptional(powerOfTwo),
    /** Size of the training set; present if the worker caches all samples, so that tasks refer to them by number. */
    cachedSamples: v.exactOptional(f.integer(1, 2 ** 31 - 1)),
    heartbeatMs: f.integer(1),
    maxFrameBytes: f.integer(1),
    /** Bytes of float32 values in a chunk. A longer vector travels in several chunks; only the last may be smaller. */
    chunkBytes,
    /** Only for a relay. */
    run: v.exactOptional(runGeometry),
    /** Addresses to try if this coordinator does not answer; each can be joined with the same token. */
    addresses: v.exactOptional(f.arrayOf(openAddress, 0, 8, 'addresses')),
  }),

  refuse: coordinator({
    /** `waiting`: there is no run to join yet, but there will be one. */
    code: v.picklist(['protocol', 'token', 'full', 'numerics', 'model', 'busy', 'waiting', 'removed']),
    message: f.message,
    retryAfterMs: v.exactOptional(f.integer(0)),
  }),

  /** A fixed small problem: its gradient shows a worker's numeric mode and correctness. Empties its sample cache. */
  numericsCheck: coordinator({ weights: f.floatBytes, ...vector, count: f.integer(1), ...batch }, sampleBatch),

  numericsResult: worker({
    gradient: f.floatBytes,
    ...vector,
    /** Hash of the whole gradient. */
    hash: f.hexHash,
    lossSum: f.finiteFloat,
    correct: f.integer(0),
    computeMs: f.timeMs,
  }),

  /** All parameters in model order, as they are before `step`. */
  weights: coordinator({ step: f.step, bytes: f.floatBytes, ...vector }),

  /**
   * The next values of the vector begun by the sender's last `weights`, `gradient`, `numericsCheck` or
   * `numericsResult`. Other messages may come between the chunks of a vector, but no other vector.
   */
  chunk: either({
    /** Number of earlier values of the vector. */
    at: f.integer(1),
    bytes: f.bytes,
    /** Only in chunks of a gradient. */
    encoding,
    /** `chunkChecksum` of this message; present in chunks of a gradient. */
    checksum: v.exactOptional(checksum),
  }),

  /** Samples of the shard's microbatches, in microbatch order. May arrive before the weights of its step. */
  task: coordinator(
    {
      ...shard,
      /** Position of the first sample in its epoch's order, which keys dropout; 0 if omitted. */
      first: v.exactOptional(f.integer(0)),
      /**
       * Numbers of the shard's samples in the training set, u32, little-endian. The highest bit marks samples whose
       * values and targets are in this message, in this order; an earlier task brought the others. If omitted, the
       * message holds all samples of the shard.
       */
      numbers: v.exactOptional(f.bytes),
      count: f.integer(0),
      ...batch,
    },
    treeNode,
    sampleBatch,
    numberedSamples,
  ),

  /** Sum, not mean, of the gradients of the shard's `count` samples, in model order. */
  gradient: worker(
    {
      ...shard,
      bytes: f.bytes,
      encoding,
      ...vector,
      /** `gradientChecksum` of this message, with the bytes as sent. */
      checksum,
      lossSum: f.finiteFloat,
      correct: f.integer(0),
      count: f.integer(0),
      computeMs: f.timeMs,
      /** Time from having weights and samples to sending this message; the rest is time on the network. */
      turnaroundMs: v.exactOptional(f.timeMs),
    },
    treeNode,
    [
      (gradient) => gradient.encoding !== undefined || gradient.bytes.byteLength % 4 === 0,
      'float32 bytes, a multiple of 4',
    ],
  ),

  /** The shard could not be computed. A loss that is not finite is reported this way, never as a gradient. */
  taskError: worker(
    {
      ...shard,
      code: v.picklist(['out-of-memory', 'device-lost', 'non-finite', 'failed']),
      message: f.message,
    },
    treeNode,
  ),

  /** The shard is no longer needed; the worker sends nothing for it. */
  cancel: coordinator(shard, treeNode),

  /**
   * The run goes back: weights of this step and of later ones do not count any more, nor do their tasks. Other weights
   * and tasks of these steps follow once the worker has answered with `wentBack`, after all results from before.
   */
  goBack: coordinator({ step: f.step }),
  wentBack: worker({}),

  /** Status shown to people. `hidden`: the worker is a browser tab that is not visible; it computes all the same. */
  status: worker({
    hidden: f.bool,
    /** Workers that compute for this one, if it is a relay. */
    workers: v.exactOptional(f.integer(0, 2 ** 20)),
    /** Relays only: address at which workers that know the run's token can join. */
    address: v.exactOptional(openAddress),
    /** Relays only: first step whose sums contain results of a worker that was found to send wrong ones. */
    wrongFrom: v.exactOptional(f.step),
  }),

  /** Makes the worker fail as asked, for `forMs`; only in a run started with fault injection. */
  injectFault: coordinator({ action: v.picklist(f.faultActions), forMs: f.timeMs }),
  /** The run is over; `message` says how it ended. If another may follow on this server, the worker returns for it. */
  finish: coordinator({ message: f.message, anotherMayFollow: v.exactOptional(f.bool) }),
  /**
   * `sentAtMs` is read from the sender's clock and returned unchanged in the pong. A worker reports the bytes that have
   * arrived so far, including unfinished frames if its platform reports them: a worker behind a link that has become
   * slow gets more time.
   */
  ping: either({ sentAtMs: f.timeMs, receivedBytes: v.exactOptional(f.integer(0)) }),
  pong: either({ sentAtMs: f.timeMs }),
  /** The sender leaves on purpose. */
  bye: either({ message: f.message }),
};

export type Side = 'worker' | 'coordinator';

type MessageType = keyof typeof messages;

export type MessageOf<T extends MessageType> = f.MessageIn<typeof messages, T>;

/** The messages that `S` may send. */
export type MessageFrom<S extends Side> = f.SentBy<typeof messages, S>;

export type Message = MessageOf<MessageType>;
export type WorkerMessage = MessageFrom<'worker'>;
export type CoordinatorMessage = MessageFrom<'coordinator'>;

export type WorkerKind = MessageOf<'hello'>['kind'];
export type TaskErrorCode = MessageOf<'taskError'>['code'];
