/** What the coordinator knows of a run: plain data, replaced and never changed by `transition`. */
import type { LossyEncoding, MessageOf } from '@lockstep/protocol';
import type { RunPlan } from '../plan.ts';
import type { Shard } from '../tree.ts';

/** One socket's number; never used twice in a run. */
export type ConnectionId = number;

/** Times and bounds of a run, in milliseconds unless the name says otherwise. */
export interface Limits {
  /** A socket that has not said `hello` by then is closed. */
  readonly handshakeMs: number;
  /** A worker that has not answered its numerics check by then is closed; a GPU may compile its kernels meanwhile. */
  readonly numericsCheckMs: number;
  readonly heartbeatMs: number;
  /** A worker that has been silent for so long is taken for dead. */
  readonly deadMs: number;
  /** The least time before a shard that is late is also given to an idle worker. */
  readonly softDeadlineMs: number;
  /** The same bound as a multiple of the time predicted for the worker's shards. */
  readonly softFactor: number;
  /** The least time before a shard is taken away from its worker. */
  readonly hardDeadlineMs: number;
  readonly hardFactor: number;
  /** How long a worker that lost its connection may come back under its old identity. */
  readonly resumeMs: number;
  /** A worker that could not compute a shard so often in a row is sent away. */
  readonly maxTaskErrors: number;
  readonly maxWorkers: number;
  readonly maxFrameBytes: number;
}

export const defaultLimits: Limits = {
  handshakeMs: 5_000,
  numericsCheckMs: 30_000,
  heartbeatMs: 2_000,
  deadMs: 15_000,
  softDeadlineMs: 250,
  softFactor: 3,
  hardDeadlineMs: 5_000,
  hardFactor: 10,
  resumeMs: 30_000,
  maxTaskErrors: 3,
  maxWorkers: 256,
  maxFrameBytes: 64 * 1024 * 1024,
};

/** Everything that the rules need to know of a run before it begins. */
export interface RunSetup {
  readonly plan: RunPlan;
  /** The model as plain data, sent to each worker as it is. */
  readonly model: unknown;
  /** Fixes what a model drops at random; 0 where left out. */
  readonly seed?: number;
  /** Bytes of a sample's pixels, where a worker may keep the samples that it gets; every task brings its own where left out. */
  readonly sampleBytes?: number;
  /** How workers round the gradients that they send; not at all where left out. */
  readonly gradients?: LossyEncoding | undefined;
  readonly limits: Limits;
  /** Without a token anyone who reaches the socket may join. */
  readonly token?: string | undefined;
  /** The run begins when so many workers are ready … */
  readonly startWorkers: number;
  /** … or when one is, and so long has passed since the first socket opened. */
  readonly startWithinMs: number;
  /** Whether it is held from the beginning: it waits for a person to say `start`. */
  readonly waitForStart?: boolean;
  /** Whether workers may be told to fail, to show that it does not matter. */
  readonly faultInjection?: boolean;
}

/** Who a worker is and what it has done; it outlives the worker's connection, for the report and for its return. */
export interface WorkerRecord {
  readonly id: string;
  readonly resumeKey: string;
  readonly name: string;
  readonly kind: MessageOf<'hello'>['kind'];
  readonly backend: string;
  readonly numericMode: string;
  readonly threads: number;
  /** Hash of the gradient it computed for the numerics check; equal hashes are equal arithmetic. */
  readonly numericsHash?: string | undefined;
  readonly shards: number;
  readonly samples: number;
  readonly computeMs: number;
  /** Time it was ready to compute, up to its last departure. */
  readonly readyMs: number;
  /** Set while it is not connected. */
  readonly leftAtMs?: number | undefined;
}

export interface Connection {
  readonly connection: ConnectionId;
  readonly phase: 'handshake' | 'checking' | 'ready';
  /** Key for the worker to return with; made by the shell, since the rules draw no random numbers. */
  readonly resumeKey: string;
  /** The record of the worker behind it, known from `hello` on. */
  readonly workerId?: string | undefined;
  readonly openedAtMs: number;
  readonly lastMessageAtMs: number;
  readonly pingedAtMs: number;
  readonly readyAtMs: number;
  /** Recent rate, in samples a millisecond of computing; 0 before the first measurement. */
  readonly samplesPerMs: number;
  /** The newest step whose weights were sent to it; -1 for none. */
  readonly weightsStep: number;
  /** Set while it is late with a shard: it gets no new ones until it has answered, and is closed if it has not by then. */
  readonly answerByMs?: number | undefined;
  /** Whether it keeps the samples that it gets, and later tasks may name them. */
  readonly cachesSamples: boolean;
  /** Whether the worker is a browser tab that nobody sees at the moment. */
  readonly hidden: boolean;
  /** How often it has said that it could not compute a shard, since it last could. */
  readonly taskErrors: number;
}

/** That one worker was asked for a shard. */
export interface Assignment {
  readonly connection: ConnectionId;
  /** When the worker had all it needs to compute: the task and its step's weights. */
  readonly startedAtMs: number;
}

export interface ShardState extends Shard {
  readonly samples: number;
  readonly owners: readonly Assignment[];
  readonly done: boolean;
  /** Who returned it with a number that is not finite. */
  readonly nonFiniteFrom: readonly ConnectionId[];
}

export interface StepState {
  readonly step: number;
  readonly shards: ReadonlyMap<string, ShardState>;
}

export interface Faults {
  /** Shards that were given to another worker because theirs had gone. */
  readonly reassigned: number;
  /** Shards that were given to a second worker because theirs was late. */
  readonly duplicated: number;
  /** Frames and results that were not accepted. */
  readonly rejected: number;
  /** Workers that left while they were taking part. */
  readonly disconnects: number;
}

export type Phase = 'waiting' | 'training' | 'paused' | 'finished' | 'failed';

export interface CoordinatorState {
  readonly setup: RunSetup;
  readonly phase: Phase;
  /** Whether a person holds the run: no step is taken, and it does not begin, until they let go. */
  readonly pauseRequested: boolean;
  /** Whether a person has said to begin with whoever is ready. */
  readonly startRequested: boolean;
  readonly connections: ReadonlyMap<ConnectionId, Connection>;
  /** By id, in the order of joining: who is here, who may come back, and who has computed something. */
  readonly records: ReadonlyMap<string, WorkerRecord>;
  /** Workers that have ever joined; the next one's number follows. */
  readonly joined: number;
  /** The step whose gradient is being gathered. */
  readonly current: StepState;
  /** The step after it, whose tasks are sent ahead of their weights. */
  readonly next?: StepState | undefined;
  readonly firstOpenedAtMs?: number | undefined;
  readonly faults: Faults;
  /** Probe hashes of the arithmetics that results were accepted from. */
  readonly contributed: ReadonlySet<string>;
}

/** @param step the first step to take: 0, or the step of a checkpoint. */
export function initialState(setup: RunSetup, step = 0): CoordinatorState {
  return {
    setup,
    phase: step >= setup.plan.steps ? 'finished' : 'waiting',
    pauseRequested: setup.waitForStart ?? false,
    startRequested: false,
    connections: new Map(),
    records: new Map(),
    joined: 0,
    current: { step, shards: new Map() },
    faults: { reassigned: 0, duplicated: 0, rejected: 0, disconnects: 0 },
    contributed: new Set(),
  };
}
