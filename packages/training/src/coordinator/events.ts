/** What can happen to a coordinator, and what its rules can ask the shell to do. */
import type { FaultAction, MessageOf, WorkerMessage } from '@lockstep/protocol';
import type { Shard } from '../tree.ts';
import type { ConnectionId } from './state.ts';

export interface LateComparison {
  readonly isSame: boolean;
  /** Whether the added sum itself was compared, or is the coordinator's own. */
  readonly isChecked: boolean;
}

/** A worker's message as the rules see it: the run has put vectors together, compared them, and waits for the rules to say what becomes of them. */
export type CheckedMessage =
  | ({
      readonly type: 'gradient';
      readonly step: number;
      readonly computeMs: number;
      readonly turnaroundMs?: number | undefined;
      /** Omitted if every number is finite. */
      readonly isFinite?: false;
      /** Connections whose held result of this shard is the same. */
      readonly agreesWith?: readonly ConnectionId[];
      /** Whether it is so large that only the coordinator's own computation makes it believed. */
      readonly isSuspect?: boolean;
      /** How the late result of a trial compares with the sum that was added; omitted if the sum is not kept. */
      readonly comparison?: LateComparison;
    } & Shard)
  | {
      readonly type: 'numericsResult';
      readonly hash: string;
      readonly samplesPerMs: number;
      readonly computeMs?: number;
    }
  | Exclude<WorkerMessage, { type: 'gradient' | 'numericsResult' | 'chunk' }>;

/** What a person may do with a run: begin with the workers that are ready, take no step until `resume`, go on. */
export type ControlAction = 'start' | 'pause' | 'resume';

/** Something that happened, and when: `atMs` counts from any fixed moment and never goes back. */
export type CoordinatorEvent = { readonly atMs: number } & (
  | {
      readonly type: 'opened';
      readonly connection: ConnectionId;
      readonly resumeKey: string;
      readonly address?: string;
      /** Whether it is a worker of this process. */
      readonly isOwn?: boolean;
    }
  | { readonly type: 'message'; readonly connection: ConnectionId; readonly message: CheckedMessage }
  /** A frame or a result that failed a check, or a flood (1008); `closeCode` is WebSocket's for that kind of failure. */
  | {
      readonly type: 'invalid';
      readonly connection: ConnectionId;
      readonly closeCode: 1002 | 1003 | 1008 | 1009;
      readonly message: string;
    }
  /** The worker's gradient of the numerics check differs from the coordinator's by more than rounding. */
  | { readonly type: 'numericsMismatch'; readonly connection: ConnectionId; readonly message: string }
  | { readonly type: 'closed'; readonly connection: ConnectionId }
  /** The shell's timer; `receivedBytes` of each connection whose platform tells. */
  | { readonly type: 'tick'; readonly receivedBytes?: ReadonlyMap<ConnectionId, number> }
  | { readonly type: 'control'; readonly action: ControlAction }
  /** A relay is asked for the sum over a shard, instead of one that it has not finished; its weights are there. */
  | ({ readonly type: 'asked'; readonly step: number } & Shard)
  /** A relay is being sent the weights of a later step, and can send them on. */
  | { readonly type: 'weightsArriving'; readonly step: number }
  /** They broke off before they were whole. */
  | { readonly type: 'weightsBroken'; readonly step: number }
  /** The sum that a relay was asked for is not wanted any more. */
  | { readonly type: 'askedNoMore' }
  /** The coordinator has computed a shard itself. */
  | ({
      readonly type: 'refereed';
      readonly step: number;
      readonly isFinite: boolean;
      /** Connections whose held result is the same. */
      readonly agreesWith: readonly ConnectionId[];
    } & Shard)
  /** Ignored unless the run was set up for fault injection. */
  | { readonly type: 'injectFault'; readonly workerId: string; readonly action: FaultAction; readonly forMs: number }
  | { readonly type: 'rename'; readonly workerId: string; readonly name: string }
  /** The worker is told so, and does not come back by itself. */
  | { readonly type: 'remove'; readonly workerId: string }
  | { readonly type: 'stop'; readonly message: string; readonly anotherMayFollow?: boolean | undefined }
);

/** An event before the shell has read the clock. */
export type UntimedEvent = CoordinatorEvent extends infer Event
  ? Event extends CoordinatorEvent
    ? Omit<Event, 'atMs'>
    : never
  : never;

/** What a person may do with one worker. */
export type WorkerCommand = Extract<UntimedEvent, { type: 'injectFault' | 'rename' | 'remove' }>;

/** Something to show to people. */
export type RunEvent =
  | { readonly type: 'joined'; readonly workerId: string; readonly returned: boolean }
  | { readonly type: 'left'; readonly workerId: string; readonly message: string }
  | { readonly type: 'rejected'; readonly workerId: string | undefined; readonly message: string }
  | { readonly type: 'late'; readonly workerId: string; readonly step: number }
  /** Most of the worker's time goes to its link. */
  | { readonly type: 'slowLink'; readonly workerId: string; readonly networkMs: number; readonly computeMs: number }
  /** A worker's result was wrong; before, `shards` of its results had been added. */
  | { readonly type: 'quarantined'; readonly workerId: string; readonly message: string; readonly shards: number }
  /** A relay has told how many workers stand behind it. */
  | { readonly type: 'relayStatus'; readonly workerId: string }
  | { readonly type: 'renamed'; readonly workerId: string; readonly before: string }
  | { readonly type: 'started' }
  /** No worker is ready. */
  | { readonly type: 'paused' }
  | { readonly type: 'resumed' }
  /** A person has paused the run. */
  | { readonly type: 'pauseRequested' }
  | { readonly type: 'injectFault'; readonly workerId: string; readonly action: FaultAction };

/** What the shell does next, in the order of the list. */
export type Command =
  | {
      readonly type: 'send';
      readonly connection: ConnectionId;
      readonly message: MessageOf<'welcome' | 'refuse' | 'cancel' | 'injectFault' | 'finish' | 'ping' | 'pong'>;
    }
  | { readonly type: 'sendNumericsCheck'; readonly connection: ConnectionId }
  | { readonly type: 'sendWeights'; readonly connection: ConnectionId; readonly step: number }
  /** Send the weights of a later step on while they arrive. */
  | { readonly type: 'forwardWeights'; readonly connections: readonly ConnectionId[]; readonly step: number }
  | ({ readonly type: 'sendTask'; readonly connection: ConnectionId; readonly step: number } & Shard)
  | { readonly type: 'close'; readonly connection: ConnectionId; readonly code: number; readonly reason: string }
  /** Add the result of this connection, which has just arrived or was held; 0 is the coordinator's own. Drop the others of the shard. */
  | ({
      readonly type: 'add';
      readonly step: number;
      readonly from: ConnectionId;
      /** Whether it was compared, or is the coordinator's own. */
      readonly isChecked: boolean;
      /** Whether a worker on trial with this shard has not answered: the sum is kept, to compare its result with. */
      readonly keep: boolean;
    } & Shard)
  /** Hold the result that has just arrived. What is neither held nor added is dropped. */
  | { readonly type: 'hold' }
  /** Compute a shard, and report it as `refereed`. */
  | ({ readonly type: 'referee'; readonly step: number } & Shard)
  /** Begin the sum of this step, or of the asked shard of it, anew: drop everything that was added for it. */
  | { readonly type: 'restartStep'; readonly step: number; readonly asked?: Shard }
  /** Every shard of this step is in: take the optimizer's step. */
  | { readonly type: 'applyStep'; readonly step: number }
  /** The sum over the asked shard is complete. */
  | { readonly type: 'askedDone' }
  /** The asked shard has no finite sum, as the relay itself has found. */
  | { readonly type: 'askedFailed'; readonly message: string }
  | { readonly type: 'event'; readonly event: RunEvent }
  | { readonly type: 'finished' }
  | { readonly type: 'failed'; readonly message: string };
