/** Events that a coordinator handles, and commands that its rules give to the run. */
import type { FaultAction, MessageOf, WorkerMessage } from '@lockstep/protocol';
import type { ConnectionId } from './state.ts';
import type { Shard } from './tree.ts';

export interface LateComparison {
  readonly isSame: boolean;
  /** Whether the added sum itself was compared, or is the coordinator's own. */
  readonly isChecked: boolean;
}

/** A worker's message as the rules see it: the run has assembled and compared its vector, and waits for a decision. */
export type CheckedMessage =
  | ({
      readonly type: 'gradient';
      readonly step: number;
      readonly computeMs: number;
      readonly turnaroundMs?: number | undefined;
      /** Omitted if every number is finite. */
      readonly isFinite?: false;
      /** Connections whose held result of this shard is equal. */
      readonly agreesWith?: readonly ConnectionId[];
      /** Whether it is implausibly large, so that only the coordinator's own computation can confirm it. */
      readonly isSuspect?: boolean;
      /** Comparison of a trial's late result with the sum that was added; omitted if that sum is not kept. */
      readonly comparison?: LateComparison;
    } & Shard)
  | {
      readonly type: 'numericsResult';
      readonly hash: string;
      readonly samplesPerMs: number;
      readonly computeMs?: number;
    }
  | Exclude<WorkerMessage, { type: 'gradient' | 'numericsResult' | 'chunk' }>;

/** A person's control of a run: begin with the workers that are ready; take no step until `resume`; continue. */
export type ControlAction = 'start' | 'pause' | 'resume';

/** An event and its time: `atMs` counts from any fixed moment and never decreases. */
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
  /** A frame or result failed a check, or the worker floods the run (1008); `closeCode` is WebSocket's. */
  | {
      readonly type: 'invalid';
      readonly connection: ConnectionId;
      readonly closeCode: 1002 | 1003 | 1008 | 1009;
      readonly message: string;
    }
  /** The worker's gradient in the numerics check differs from the coordinator's by more than rounding. */
  | { readonly type: 'numericsMismatch'; readonly connection: ConnectionId; readonly message: string }
  | { readonly type: 'closed'; readonly connection: ConnectionId }
  /** A tick of the run's timer; `receivedBytes` has the connections whose transport counts bytes. */
  | { readonly type: 'tick'; readonly receivedBytes?: ReadonlyMap<ConnectionId, number> }
  | { readonly type: 'control'; readonly action: ControlAction }
  /** A relay is asked for the sum over a shard, in place of any unfinished one; the shard's weights have arrived. */
  | ({ readonly type: 'asked'; readonly step: number } & Shard)
  /** A relay is receiving the weights of a later step and can forward them. */
  | { readonly type: 'weightsArriving'; readonly step: number }
  /** Arriving weights broke off before they were complete. */
  | { readonly type: 'weightsBroken'; readonly step: number }
  /** The coordinator above a relay has gone back: weights and sums of `step` and later ones do not count any more. */
  | { readonly type: 'recalled'; readonly step: number }
  /** The sum that a relay was asked for is no longer wanted. */
  | { readonly type: 'askedNoMore' }
  /** The coordinator has computed a shard itself. */
  | ({
      readonly type: 'refereed';
      readonly step: number;
      readonly isFinite: boolean;
      /** Connections whose held result is equal. */
      readonly agreesWith: readonly ConnectionId[];
    } & Shard)
  /** Ignored unless the run was set up for fault injection. */
  | { readonly type: 'injectFault'; readonly workerId: string; readonly action: FaultAction; readonly forMs: number }
  | { readonly type: 'rename'; readonly workerId: string; readonly name: string }
  /** The worker is told that it was removed, and does not reconnect by itself. */
  | { readonly type: 'remove'; readonly workerId: string }
  | { readonly type: 'stop'; readonly message: string; readonly anotherMayFollow?: boolean | undefined }
  /** The run may take this many steps in all until the next such event; by default every step. */
  | { readonly type: 'allow'; readonly steps: number }
  /** The run has taken the steps that it needs: it ends as after its last step. */
  | { readonly type: 'finish' }
);

/** An event before the run has read the clock. */
export type UntimedEvent = CoordinatorEvent extends infer Event
  ? Event extends CoordinatorEvent
    ? Omit<Event, 'atMs'>
    : never
  : never;

/** A person's control of one worker. */
export type WorkerCommand = Extract<UntimedEvent, { type: 'injectFault' | 'rename' | 'remove' }>;

/** An event to show to people. */
export type RunEvent =
  | { readonly type: 'joined'; readonly workerId: string; readonly returned: boolean }
  | { readonly type: 'left'; readonly workerId: string; readonly message: string }
  | { readonly type: 'rejected'; readonly workerId: string | undefined; readonly message: string }
  | { readonly type: 'late'; readonly workerId: string; readonly step: number }
  /** The worker spends most of its time on its link. */
  | { readonly type: 'slowLink'; readonly workerId: string; readonly networkMs: number; readonly computeMs: number }
  /** A worker's result was wrong; `shards` of its earlier results had been added. */
  | { readonly type: 'quarantined'; readonly workerId: string; readonly message: string; readonly shards: number }
  /** Because results of the worker were wrong, the run takes the steps from `to` to `from` again. */
  | { readonly type: 'wentBack'; readonly workerId: string; readonly from: number; readonly to: number }
  /** A relay has reported how many workers are behind it. */
  | { readonly type: 'relayStatus'; readonly workerId: string }
  | { readonly type: 'renamed'; readonly workerId: string; readonly before: string }
  | { readonly type: 'started' }
  /** No worker is ready. */
  | { readonly type: 'paused' }
  | { readonly type: 'resumed' }
  /** A person has paused the run. */
  | { readonly type: 'pauseRequested' }
  | { readonly type: 'injectFault'; readonly workerId: string; readonly action: FaultAction };

/** An action for the run; it performs the commands in order. */
export type Command =
  | {
      readonly type: 'send';
      readonly connection: ConnectionId;
      readonly message: MessageOf<
        'welcome' | 'refuse' | 'cancel' | 'goBack' | 'injectFault' | 'finish' | 'ping' | 'pong'
      >;
    }
  | { readonly type: 'sendNumericsCheck'; readonly connection: ConnectionId }
  | { readonly type: 'sendWeights'; readonly connection: ConnectionId; readonly step: number }
  /** Forward the weights of a later step while they arrive. */
  | { readonly type: 'forwardWeights'; readonly connections: readonly ConnectionId[]; readonly step: number }
  | ({ readonly type: 'sendTask'; readonly connection: ConnectionId; readonly step: number } & Shard)
  | { readonly type: 'close'; readonly connection: ConnectionId; readonly code: number; readonly reason: string }
  /** Add the arrived or held result of `from` (0: the coordinator's own) and drop the shard's other results. */
  | ({
      readonly type: 'add';
      readonly step: number;
      readonly from: ConnectionId;
      /** The worker that computed it; omitted for the coordinator's own. */
      readonly workerId?: string | undefined;
      /** Whether the result was compared, or is the coordinator's own. */
      readonly isChecked: boolean;
      /** Whether to keep the sum, because a worker on trial with this shard has not answered yet. */
      readonly keep: boolean;
    } & Shard)
  /** Hold the result that has just arrived. A result that is neither held nor added is dropped. */
  | { readonly type: 'hold' }
  /** Compute a shard, and report it as `refereed`. */
  | ({ readonly type: 'referee'; readonly step: number } & Shard)
  /** Restart the sum of this step, or of its asked shard: drop everything that was added to it. */
  | { readonly type: 'restartStep'; readonly step: number; readonly asked?: Shard }
  /** Keep weights and optimizer state, which are those before this step, and forget those before the step `forget`. */
  | { readonly type: 'keepState'; readonly step: number; readonly forget?: number }
  /** Drop everything that was added or held, and return to the kept state before this step. */
  | { readonly type: 'goBack'; readonly step: number }
  /** Apply the optimizer: every shard of this step is in. */
  | { readonly type: 'applyStep'; readonly step: number }
  /** The sum over the asked shard is complete. */
  | { readonly type: 'askedDone' }
  /** The asked shard has no finite sum, as the relay's own computation shows. */
  | { readonly type: 'askedFailed'; readonly message: string }
  | { readonly type: 'event'; readonly event: RunEvent }
  | { readonly type: 'finished' }
  /** `hasDiverged`: a gradient was not finite. */
  | { readonly type: 'failed'; readonly message: string; readonly hasDiverged?: true };
