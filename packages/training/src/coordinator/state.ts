/** What the coordinator knows of a run, as everybody but the rules sees it. */

import type { MessageOf } from '@lockstep/protocol';
import type { Shard } from '../tree.ts';
import type { RunSetup } from './run-setup.ts';

/** A socket's number, unique within a run. */
export type ConnectionId = number;

/** How results that were added were rounded: the name is what their worker declared, the hash is its evidence. */
export interface Contribution {
  readonly numericMode: string;
  /** Of the numerics check's gradient. */
  readonly numericsHash: string;
  readonly backend: string;
}

/** A worker's identity and work. Outlives its connection, for the report and for its return. */
export interface WorkerRecord {
  readonly id: string;
  readonly resumeKey: string;
  readonly name: string;
  /** Whether a person gave it that name here. */
  readonly renamed?: boolean;
  readonly kind: MessageOf<'hello'>['kind'];
  readonly backend: string;
  readonly numericMode: string;
  readonly threads: number;
  /** Hash of its gradient of the numerics check; equal hashes are equal numeric modes. */
  readonly numericsHash?: string | undefined;
  readonly shards: number;
  readonly samples: number;
  readonly computeMs: number;
  /** Time for which it was ready to compute, up to its last disconnect. */
  readonly readyMs: number;
  /** Why it was quarantined: its result was wrong. */
  readonly quarantined?: string | undefined;
  /** Set while it is not connected. */
  readonly leftAtMs?: number | undefined;
  /** Of a relay: the workers that compute for it. */
  readonly workersBehind?: number | undefined;
  /** Of a relay: where workers that know the run's token can join it. */
  readonly address?: string | undefined;
  /** Of a relay: results that were found to be wrong are in sums that it has sent. */
  readonly unverified?: boolean;
}

/** A microbatch of a step for a worker without a share. */
export interface Slot {
  readonly step: number;
  /** Set once the worker was late: not before then does it get another one in that epoch. */
  readonly againAtMs?: number;
}

/** What a worker's link costs. */
export interface Link {
  /** Smoothed time of a step's transfers: what is left of a result's time without the worker's own part; 0 if unknown. */
  readonly networkMs: number;
  /** Results that it was measured on; 0 where it comes from the numerics check. */
  readonly results: number;
  readonly slownessReported: boolean;
}

/** A microbatch by which a worker shows its speed, and one that is not proven that its results are right. */
export interface Trial extends Shard {
  readonly step: number;
  readonly samples: number;
  readonly startedAtMs: number;
}

export interface Connection {
  readonly connection: ConnectionId;
  /** Where it comes from; empty for a worker of this process. */
  readonly address: string;
  readonly phase: 'handshake' | 'checking' | 'ready';
  /** Whether it is a worker of this process, whose results are the coordinator's own. */
  readonly isOwn: boolean;
  /** Results on this connection that were compared and found right. */
  readonly confirmed: number;
  /** Whether its results count without a comparison: enough of them were confirmed, or it is the coordinator's own worker. */
  readonly isProven: boolean;
  /**
   * Whether a late result of its trial differed from a sum that nothing else had confirmed. The coordinator computes its
   * next trial as well, which shows who was wrong.
   */
  readonly isDoubted: boolean;
  /** By which the worker may come back; made by the shell, since the rules draw no random numbers. */
  readonly resumeKey: string;
  /** Set while it waits whether it gets the identity that its `hello` asks for, which the connection `rival` has. */
  readonly claim?:
    | { readonly hello: MessageOf<'hello'>; readonly rival: ConnectionId; readonly sinceMs: number }
    | undefined;
  /** Known from the welcome on. */
  readonly workerId?: string | undefined;
  /** When its phase began. */
  readonly phaseAtMs: number;
  /** When bytes last arrived from it. */
  readonly lastReceivedAtMs: number;
  /** Bytes that have arrived from it, unfinished frames included. */
  readonly receivedBytes: number;
  /** Bytes that have arrived there, and when it said so. */
  readonly delivered: { readonly bytes: number; readonly atMs: number };
  /** By how much bytes that arrive, here or there, have put off the deadline of what it was asked for last. */
  readonly transferCreditMs: number;
  readonly pingedAtMs: number;
  readonly readyAtMs: number;
  /** Whether it has been ready: after a task error it is checked again, and is not for a while. */
  readonly hasBeenReady: boolean;
  /** Smoothed rate, in samples per millisecond of computing; 0 before the first measurement. */
  readonly samplesPerMs: number;
  /** Smoothed time that a result takes beyond that: transfers, queues, stalls. */
  readonly overheadMs: number;
  readonly link: Link;
  readonly trial?: Trial | undefined;
  /** Not before then is a worker without a share on trial again. */
  readonly nextTrialAtMs: number;
  /** The newest step that a result of it counts in; -1 for none. */
  readonly newestResult: number;
  /** Its newest one. */
  readonly slot?: Slot | undefined;
  /** The newest step whose weights were sent to it; -1 for none. */
  readonly weightsStep: number;
  /** Set while it is late with a shard: it is assigned no other until it answers, and disconnected if it has not by then. */
  readonly answerByMs?: number | undefined;
  /** Whether it has a sample cache, so that later tasks may name samples by number. */
  readonly cachesSamples: boolean;
  /** Whether the worker is a browser tab in the background. */
  readonly hidden: boolean;
  /** Task errors since its last valid result. */
  readonly taskErrors: number;
}

/** One worker that owes the result of a shard. */
export interface Assignment {
  readonly connection: ConnectionId;
  /** When it had been sent all that it needs: the task and its step's weights. */
  readonly startedAtMs: number;
}

/** Whose result it is; the run keeps its numbers. */
export interface ResultRef {
  readonly connection: ConnectionId;
  readonly workerId: string;
  readonly computeMs: number;
}

export interface ShardState extends Shard {
  readonly samples: number;
  readonly owners: readonly Assignment[];
  readonly done: boolean;
  /** Owners that returned it with a number that is not finite. */
  readonly nonFiniteFrom: readonly ConnectionId[];
  /** Whether the first result of a proven worker counts, or only what the coordinator's own computation confirms. */
  readonly policy: 'first' | 'referee';
  /** Results that wait until it is known which is right. */
  readonly held: readonly ResultRef[];
  /** Whether the coordinator itself computes it. */
  readonly refereed: boolean;
  /** The worker whose result was added. */
  readonly addedFrom?: string | undefined;
  /** Whether the added result was compared with an independent one, or is the coordinator's own. */
  readonly isChecked: boolean;
}

/** The shards of a step by their key, in the order in which they were cut. */
export type ShardTable = Pick<ReadonlyMap<string, ShardState>, 'size' | 'get' | 'values' | typeof Symbol.iterator>;

export interface StepState {
  readonly step: number;
  /** The shard whose sum a relay was asked for; the whole step where left out. */
  readonly asked?: Shard | undefined;
  readonly shards: ShardTable;
}

export interface Faults {
  /** Shards whose worker had disconnected, assigned to another one. */
  readonly reassigned: number;
  /** Shards whose worker was late, assigned to a second one as well. */
  readonly duplicated: number;
  /** Frames and results that failed a check, and task errors. */
  readonly rejected: number;
  /** Ready workers whose connection ended during the run. */
  readonly disconnects: number;
  /** Workers whose result was found to be wrong. */
  readonly quarantined: number;
}

/** Shards of the steps that were taken. */
export interface CheckedShards {
  /** Shards whose result was compared with an independent one, or computed by the coordinator itself. */
  readonly shards: number;
  /** All shards. */
  readonly of: number;
}

/** What is remembered of an address. */
export interface AddressRecord {
  readonly failures: number;
  readonly quarantines: number;
}

export type Phase = 'waiting' | 'training' | 'paused' | 'finished' | 'failed';

export interface CoordinatorState {
  readonly setup: RunSetup;
  readonly phase: Phase;
  /** Whether a person has paused the run: no step is taken, and it does not begin, until `resume`. */
  readonly pauseRequested: boolean;
  /** Whether a person has asked to begin with the workers that are ready. */
  readonly startRequested: boolean;
  readonly connections: ReadonlyMap<ConnectionId, Connection>;
  /** By id, in the order of joining: workers that are connected, may come back, or have computed a shard. */
  readonly records: ReadonlyMap<string, WorkerRecord>;
  /** Workers that have ever joined; the next one gets the next number. */
  readonly joined: number;
  /** The step whose gradients are being added. */
  readonly current: StepState;
  /** The step after it, whose tasks are sent ahead of their weights. */
  readonly next?: StepState | undefined;
  readonly firstOpenedAtMs?: number | undefined;
  /** When the run ended; workers that left then stayed to its end. */
  readonly endedAtMs?: number | undefined;
  /** When records were last looked through for those to forget. */
  readonly lookedAtMs: number;
  /** Multiplies every deadline: doubled by each worker that missed one, 1 again with each step. */
  readonly patience: number;
  readonly addresses: ReadonlyMap<string, AddressRecord>;
  readonly faults: Faults;
  /** Each numeric mode of results that were added, once, with its first contributor's backend. */
  readonly contributed: readonly Contribution[];
  readonly checked: CheckedShards;
}

/** @param step the first step to take: 0, or the step of a checkpoint */
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
    lookedAtMs: Number.NEGATIVE_INFINITY,
    patience: 1,
    addresses: new Map(),
    faults: { reassigned: 0, duplicated: 0, rejected: 0, disconnects: 0, quarantined: 0 },
    contributed: [],
    checked: { shards: 0, of: 0 },
  };
}
