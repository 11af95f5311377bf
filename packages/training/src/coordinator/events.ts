/** What can happen to a coordinator, and what its rules can ask the shell to do. */
import type { ChaosAction, MessageOf } from '@lockstep/protocol';
import type { ConnectionId } from './state.ts';

/** A worker's message as the rules see it: what it says, without the bulk numbers, which the shell has checked. */
export type Heard =
  | MessageOf<'hello'>
  | { readonly type: 'probeResult'; readonly hash: string; readonly samplesPerMs: number }
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
export type Steering = 'start' | 'pause' | 'resume';

/** Something that happened, and when: `atMs` counts from any fixed moment and never goes back. */
export type CoordinatorEvent = { readonly atMs: number } & (
  | { readonly type: 'opened'; readonly connection: ConnectionId; readonly resumeKey: string }
  | { readonly type: 'heard'; readonly connection: ConnectionId; readonly message: Heard }
  /** A frame or a result that failed a check; `closeCode` is the WebSocket code that says which kind. */
  | {
      readonly type: 'invalid';
      readonly connection: ConnectionId;
      readonly closeCode: 1002 | 1003 | 1009;
      readonly sentence: string;
    }
  /** The worker's probe gradient is not the one that the coordinator computed, beyond rounding. */
  | { readonly type: 'distrusted'; readonly connection: ConnectionId; readonly sentence: string }
  | { readonly type: 'closed'; readonly connection: ConnectionId }
  | { readonly type: 'tick' }
  | { readonly type: 'steer'; readonly action: Steering }
  /** Trouble is made for a worker on purpose; nothing happens unless the run was set up for it. */
  | { readonly type: 'chaos'; readonly workerId: string; readonly action: ChaosAction; readonly forMs: number }
  | { readonly type: 'stop'; readonly sentence: string }
);

/** Something worth telling a person. */
export type Notice =
  | { readonly type: 'joined'; readonly workerId: string; readonly returned: boolean }
  | { readonly type: 'left'; readonly workerId: string; readonly sentence: string }
  | { readonly type: 'rejected'; readonly workerId: string | undefined; readonly sentence: string }
  | { readonly type: 'late'; readonly workerId: string; readonly step: number }
  | { readonly type: 'started' }
  | { readonly type: 'paused' }
  | { readonly type: 'resumed' }
  /** A person holds the run. */
  | { readonly type: 'held' }
  | { readonly type: 'chaos'; readonly workerId: string; readonly action: ChaosAction };

/** What the shell does next, in this order. */
export type Effect =
  | {
      readonly type: 'send';
      readonly connection: ConnectionId;
      readonly message:
        | MessageOf<'welcome'>
        | MessageOf<'refuse'>
        | MessageOf<'cancel'>
        | MessageOf<'chaos'>
        | MessageOf<'finish'>
        | MessageOf<'ping'>
        | MessageOf<'pong'>;
    }
  | { readonly type: 'sendProbe'; readonly connection: ConnectionId }
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
  | { readonly type: 'notice'; readonly notice: Notice }
  | { readonly type: 'finished' }
  | { readonly type: 'failed'; readonly sentence: string };
