/** The state of a run. */
import type { MessageOf } from '@lockstep/protocol';
import type { RunSetup } from './setup.ts';
import type { Shard } from './tree.ts';

/** Number of a connection, unique within a run. */
export type ConnectionId = number;

/** Numeric mode of added results: the name is the worker's claim, the hash is the evidence. */
export interface Contribution {
  readonly numericMode: string;
  /** Hash of the numerics check's gradient. */
  readonly numericsHash: string;
  readonly backend: string;
}

/** A worker's identity and work. Outlives the connection, for the report and for the worker's return. */
export interface WorkerRecord {
  readonly id: string;
  readonly resumeKey: string;
  readonly name: string;
  /** Whether a person has renamed the worker. */
  readonly renamed?: boolean;
  readonly kind: MessageOf<'hello'>['kind'];
  readonly backend: string;
  readonly numericMode: string;
  readonly threads: number;
  /** Length of the vectors that compute, if it is known. */
  readonly vectorBits?: number;
  /** Hash of the worker's gradient in the numerics check; equal hashes mean equal numeric modes. */
  readonly numericsHash?: string | undefined;
  readonly shards: number;
  readonly samples: number;
  readonly computeMs: number;
  /** Total time for which the worker was ready, up to its last disconnect. */
  readonly readyMs: number;
  /** Reason for the quarantine: which result was wrong. */
  readonly quarantined?: string | undefined;
  /** Number of its invalid messages; omitted if there were none. */
  readonly invalid?: number;
  /** Set while the worker is not connected. */
  readonly leftAtMs?: number | undefined;
  /** Number of workers behind a relay. */
  readonly workersBehind?: number | undefined;
  /** Address at which workers with the run's token can join a relay. */
  readonly address?: string | undefined;
  /** Short hash of the address from which the worker connected, shared by many addresses; omitted if it has none. */
  readonly origin?: number;
  /**
   * First step whose sum contains a result of the worker that the coordinator did not check; undefined if there is none.
   */
  readonly uncheckedFrom?: number | undefined;
  /** First step whose sums from a relay contain results of a worker that the relay has quarantined. */
  readonly wrongFrom?: number | undefined;
}

/** A step in which a worker without a share has its turn. */
export interface Turn {
  readonly step: number;
  /** Earliest time of another turn in the same epoch; set if the worker was late. */
  readonly againAtMs?: number;
}

/** Measured cost of a worker's link. */
interface Link {
  /** Smoothed time of a step's transfers: a result's total time minus the worker's own part; 0 if unknown. */
  readonly networkMs: number;
  /** Number of measured results; 0 if `networkMs` comes from the numerics check. */
  readonly results: number;
  /** Number of results in a row that took long on the link. */
  readonly slowResults: number;
  readonly slownessReported: boolean;
}

/**
 * A shard assigned to a worker or to the coordinator itself, with the reason. `share`: part of the worker's share.
 * `turn`: a microbatch for a worker without a share. `trial`: a microbatch that shows a worker's speed and, for a
 * newcomer, that its results are right. `check`: the coordinator computes the shard, and decides. `late`: another
 * worker is late with the shard.
 */
export interface Assignment extends Shard {
  /** 0 for the coordinator's own computation. */
  readonly connection: ConnectionId;
  readonly step: number;
  readonly samples: number;
  readonly why: 'share' | 'turn' | 'trial' | 'check' | 'late';
  /** Time at which the worker had been sent both the task and its step's weights. */
  readonly startedAtMs: number;
}

export interface Connection {
  readonly connection: ConnectionId;
  /** The worker's address; empty for a worker of this process. */
  readonly address: string;
  readonly phase: 'handshake' | 'checking' | 'ready';
  /** Whether it is a worker of this process, whose results are the coordinator's own. */
  readonly isOwn: boolean;
  /** Number of results on this connection that a comparison has confirmed. */
  readonly confirmed: number;
  /** Number of results that the coordinator's own have confirmed since a neighbor was last quarantined. */
  readonly checked: number;
  /** Whether results count without comparison: enough were confirmed, or the worker is the coordinator's own. */
  readonly isProven: boolean;
  /**
   * Whether a trial's late result differed from a sum that was itself unconfirmed. The coordinator computes the
   * worker's next trial as well, to see whether the worker is wrong.
   */
  readonly isDoubted: boolean;
  /** Secret for the worker's return; made by the run, since the rules draw no random numbers. */
  readonly resumeKey: string;
  /** Pending claim to the identity that the connection `rival` has. */
  readonly claim?:
    | { readonly hello: MessageOf<'hello'>; readonly rival: ConnectionId; readonly sinceMs: number }
    | undefined;
  /** Set from the welcome on. */
  readonly workerId?: string | undefined;
  /** Time at which the phase began. */
  readonly phaseAtMs: number;
  /** Time at which bytes last arrived from the worker. */
  readonly lastReceivedAtMs: number;
  /** Bytes received from the worker, including unfinished frames. */
  readonly receivedBytes: number;
  /** Bytes that the worker says it has received, and the time of its newest report. */
  readonly delivered: { readonly bytes: number; readonly atMs: number };
  /** Extension of the newest assignment's deadline by bytes arriving in either direction. */
  readonly transferCreditMs: number;
  readonly pingedAtMs: number;
  readonly readyAtMs: number;
  /** Whether the worker has ever been ready; it stops being ready while it is checked again after a task error. */
  readonly hasBeenReady: boolean;
  /** Smoothed rate, in samples per millisecond of computing; 0 before the first measurement. */
  readonly samplesPerMs: number;
  /** Smoothed time of a result besides computing: transfers, queues, stalls. */
  readonly overheadMs: number;
  readonly link: Link;
  /** The unanswered trial; its shard may be done already. */
  readonly trial?: Assignment | undefined;
  /** Earliest time of the next trial of a worker without a share. */
  readonly nextTrialAtMs: number;
  /** Newest step with a result of this connection that was added or held; -1 for none. */
  readonly newestResult: number;
  /** The newest turn. */
  readonly turn?: Turn | undefined;
  /** Newest step whose weights were sent to the worker; -1 for none. */
  readonly weightsStep: number;
  /** Time at which a late worker is disconnected; set until it answers, and meanwhile it is assigned nothing. */
  readonly answerByMs?: number | undefined;
  /**
   * Set while the worker has not answered that the run goes back: its results are of steps that do not count any more,
   * and it is assigned nothing.
   */
  readonly recalled?: Recall | undefined;
  /** Whether the worker has a sample cache, so that tasks may name samples by number. */
  readonly cachesSamples: boolean;
  /** Whether the worker is a browser tab in the background. */
  readonly hidden: boolean;
  /** Number of task errors since the last valid result. */
  readonly taskErrors: number;
}

/** Messages that the run goes back, of which a worker has not answered the last. */
interface Recall {
  readonly unanswered: number;
  readonly sinceMs: number;
}

/** Reference to a result whose values the run keeps. */
export interface ResultRef {
  readonly connection: ConnectionId;
  readonly workerId: string;
  readonly computeMs: number;
}

export interface ShardState extends Shard {
  readonly samples: number;
  /** Assignments whose result has not arrived. */
  readonly assignments: readonly Assignment[];
  readonly done: boolean;
  /** Connections that reported the shard as non-finite. */
  readonly nonFiniteFrom: readonly ConnectionId[];
  /** Whether a proven worker's first result counts, or only a result that the coordinator's own confirms. */
  readonly policy: 'first' | 'referee';
  /** Results that wait until it is known which one is right. */
  readonly held: readonly ResultRef[];
  /** The worker whose result was added. */
  readonly addedFrom?: string | undefined;
  /** Whether the added result was compared with an independent one, or is the coordinator's own. */
  readonly isChecked: boolean;
  /** Whether the added result was compared with the coordinator's own. */
  readonly isDecided: boolean;
}

/** The shards of a step by key, in the order in which they were cut. */
type ShardTable = Pick<ReadonlyMap<string, ShardState>, 'size' | 'get' | 'values' | typeof Symbol.iterator>;

interface StepState {
  readonly step: number;
  /** The shard that a relay was asked for; by default the whole step. */
  readonly asked?: Shard | undefined;
  readonly shards: ShardTable;
}

export interface Faults {
  /** Shards that were reassigned because their worker disconnected. */
  readonly reassigned: number;
  /** Shards that were assigned to a second worker because the first was late. */
  readonly duplicated: number;
  /** Frames and results that failed a check, also of clients that never joined, and task errors. */
  readonly rejected: number;
  /** Ready workers whose connection ended during the run. */
  readonly disconnects: number;
  /** Workers whose result was found to be wrong. */
  readonly quarantined: number;
}

/** Counts of shards in completed steps. */
export interface CheckedShards {
  /** Shards whose result was compared with an independent one, or is the coordinator's own. */
  readonly shards: number;
  /** All shards. */
  readonly of: number;
}

/** A state to which the run can go back: weights and optimizer state before `step`, and the claims about them. */
export interface KeptState {
  readonly step: number;
  readonly checked: CheckedShards;
  readonly contributed: readonly Contribution[];
}

/** A return to an earlier step, because results of a worker in later steps were wrong. */
export interface Rewind {
  readonly workerId: string;
  /** The step that was being computed; it and those from `to` on are taken again. */
  readonly from: number;
  readonly to: number;
}

/** Failures of the workers at an address. */
export interface AddressRecord {
  readonly failures: number;
  readonly quarantines: number;
  /** How often relays have taken sums back; 0 if omitted. */
  readonly withdrawals?: number;
  /** Time of the last quarantine, or of the last time that a relay took sums back. */
  readonly wrongAtMs?: number;
}

type Phase = 'waiting' | 'training' | 'paused' | 'finished' | 'failed';

export interface CoordinatorState {
  readonly setup: RunSetup;
  /** Number of events handled so far; nothing else changes the state. */
  readonly handled: number;
  readonly phase: Phase;
  /** Whether a person has paused the run: until `resume` it neither begins nor takes a step. */
  readonly pauseRequested: boolean;
  /** Number of steps that the run may take for now; undefined if it may take all. */
  readonly allowedSteps?: number | undefined;
  /** Whether a person has asked to begin with the workers that are ready. */
  readonly startRequested: boolean;
  readonly connections: ReadonlyMap<ConnectionId, Connection>;
  /** By id, in the order of joining: workers that are connected, may return, or have computed a shard. */
  readonly records: ReadonlyMap<string, WorkerRecord>;
  /** Number of workers that have ever joined; the next worker's id follows from it. */
  readonly joined: number;
  /** The step whose gradients are being added. */
  readonly current: StepState;
  /** The following step, whose tasks are sent ahead of their weights. */
  readonly next?: StepState | undefined;
  readonly firstOpenedAtMs?: number | undefined;
  /** Time at which the run ended; workers whose `leftAtMs` equals it stayed to the end. */
  readonly endedAtMs?: number | undefined;
  /** Time at which records were last searched for workers to forget. */
  readonly lookedAtMs: number;
  /** Factor of the deadlines for answers: doubled by each missed deadline, reset to 1 by each step. */
  readonly patience: number;
  readonly addresses: ReadonlyMap<string, AddressRecord>;
  /** Number that the workers' `origin` depends on, so that it tells nothing about them in another run. */
  readonly originSalt: number;
  readonly faults: Faults;
  /** Numeric modes of added results, each once, with the backend of its first contributor. */
  readonly contributed: readonly Contribution[];
  readonly checked: CheckedShards;
  /** In the order of their steps. The first is the run's beginning in this process. */
  readonly kept: readonly KeptState[];
  readonly rewinds: readonly Rewind[];
  /** Whether the weights contain results of a worker that was caught when no earlier state was kept any more. */
  readonly isTainted: boolean;
}

/** @param step the first step to take: 0, or the step of a checkpoint */
export function initialState(setup: RunSetup, step = 0): CoordinatorState {
  return {
    setup,
    handled: 0,
    phase: step >= setup.plan.steps ? 'finished' : 'waiting',
    pauseRequested: setup.waitForStart ?? false,
    startRequested: false,
    connections: new Map(),
    records: new Map(),
    joined: 0,
    current: { step, shards: new Map() },
    lookedAtMs: Number.NEGATIVE_INFINITY,
    patience: 1,
    addresses: new Map(),
    originSalt: setup.verifySalt ?? 0,
    faults: { reassigned: 0, duplicated: 0, rejected: 0, disconnects: 0, quarantined: 0 },
    contributed: [],
    checked: { shards: 0, of: 0 },
    kept: [],
    rewinds: [],
    isTainted: false,
  };
}
