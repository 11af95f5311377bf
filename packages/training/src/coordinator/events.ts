/** What can happen to a coordinator, and what its rules can ask the shell to do. */
import type { FaultAction, MessageOf } from '@lockstep/protocol';
import type { ConnectionId } from './state.ts';

/** A worker's message as the rules see it: what it says, without the bulk numbers, which the shell has checked. */
export type CheckedMessage =
  | MessageOf<'hello'>
  | { readonly type: 'numericsResult'; readonly hash: string; readonly samplesPerMs: number }
  | {
      readonly type: 'gradient';
      readonly step: number;
      readonly lo: number;
      readonly n: number;
      readonly computeMs: number;
    }
  | MessageOf<'taskError'>
  | MessageOf<'status'>
  | MessageOf<'ping'>
  | MessageOf<'pong'>
  | MessageOf<'bye'>;

/** What a person may do with a run: begin now, with whoever is ready; take no step until told to; go on. */
export type ControlAction = 'start' | 'pause' | 'resume';

/** Something that happened, and when: `atMs` counts from any fixed moment and never goes back. */
export type CoordinatorEvent = { readonly atMs: number } & (
  | { readonly type: 'opened'; readonly connection: ConnectionId; readonly resumeKey: string }
  | { readonly type: 'message'; readonly connection: ConnectionId; readonly message: CheckedMessage }
  /** A frame or a result that failed a check; `closeCode` is the WebSocket code that says which kind. */
  | {
      readonly type: 'invalid';
      readonly connection: ConnectionId;
      readonly closeCode: 1002 | 1003 | 1009;
      readonly message: string;
    }
  /** The worker's probe gradient is not the one that the coordinator computed, beyond rounding. */
  | { readonly type: 'numericsMismatch'; readonly connection: ConnectionId; readonly message: string }
  | { readonly type: 'closed'; readonly connection: ConnectionId }
  | { readonly type: 'tick' }
  | { readonly type: 'control'; readonly action: ControlAction }
  /** Trouble is made for a worker on purpose; nothing happens unless the run was set up for it. */
  | { readonly type: 'injectFault'; readonly workerId: string; readonly action: FaultAction; readonly forMs: number }
  | { readonly type: 'stop'; readonly message: string }
);

/** Something worth telling a person. */
export type RunEvent =
  | { readonly type: 'joined'; readonly workerId: string; readonly returned: boolean }
  | { readonly type: 'left'; readonly workerId: string; readonly message: string }
  | { readonly type: 'rejected'; readonly workerId: string | undefined; readonly message: string }
  | { readonly type: 'late'; readonly workerId: string; readonly step: number }
  | { readonly type: 'started' }
  | { readonly type: 'paused' }
  | { readonly type: 'resumed' }
  /** A person holds the run. */
  | { readonly type: 'pauseRequested' }
  | { readonly type: 'injectFault'; readonly workerId: string; readonly action: FaultAction };

/** What the shell does next, in this order. */
export type Effect =
  | {
      readonly type: 'send';
      readonly connection: ConnectionId;
      readonly message:
        | MessageOf<'welcome'>
        | MessageOf<'refuse'>
        | MessageOf<'cancel'>
        | MessageOf<'injectFault'>
        | MessageOf<'finish'>
        | MessageOf<'ping'>
        | MessageOf<'pong'>;
    }
  | { readonly type: 'sendNumericsCheck'; readonly connection: ConnectionId }
  | { readonly type: 'sendWeights'; readonly connection: ConnectionId; readonly step: number }
  | {
      readonly type: 'sendTask';
      readonly connection: ConnectionId;
      readonly step: number;
      readonly lo: number;
      readonly n: number;
    }
  | { readonly type: 'close'; readonly connection: ConnectionId; readonly code: number; readonly reason: string }
  /** Add the gradient that just arrived to the step's tree. */
  | { readonly type: 'acceptGradient'; readonly lo: number; readonly n: number }
  /** The tree of this step is whole: take the optimizer's step. */
  | { readonly type: 'applyStep'; readonly step: number }
  | { readonly type: 'event'; readonly event: RunEvent }
  | { readonly type: 'finished' }
  | { readonly type: 'failed'; readonly message: string };
