/** State of this tab's worker, posted by its thread, and the messages that the thread takes. */
import type { InnerSteps } from '@lockstep/rules';

/** Choices of what a tab computes on. */
export type TabBackend = 'auto' | 'webgpu' | 'webgl' | 'cpu';

/** State of a tab's worker: not requested yet, at work, or ended. */
export type TabState = { readonly phase: 'watching' } | ActiveState | EndedState;

/** A worker that opens its backend, joins, computes or reconnects, with its totals so far. */
export interface ActiveState {
  /** Opening a backend; in handshake and numerics check; computing shards; waiting for the next attempt to connect. */
  readonly phase: 'opening' | 'joining' | 'computing' | 'reconnecting';
  readonly id?: string;
  /** Identifies the worker on a new connection. */
  readonly resumeKey: string | undefined;
  readonly backend?: string;
  /** Compute threads; known with the backend. */
  readonly threads?: number;
  /** The adapter's name, if the backend knows it. */
  readonly device?: string | undefined;
  /** Why each faster backend was not chosen. */
  readonly reasons: readonly string[];
  /** The last step computed, from 1. */
  readonly step?: number;
  readonly shards: number;
  readonly samples: number;
  readonly computeMs: number;
  readonly retryReason?: string;
}

/** A worker that has ended, and why. */
export interface EndedState {
  readonly phase: 'ended';
  readonly end: 'finished' | 'left' | 'refused' | 'failed' | 'unreachable';
  readonly message: string;
}

/** A typical shard of this run, used to choose the fastest backend. */
export interface Workload {
  readonly model: unknown;
  readonly microbatchSize: number;
  readonly innerSteps?: InnerSteps | undefined;
  readonly samples: number;
}

export interface JoinRequest {
  readonly type: 'join';
  readonly url: string;
  readonly name: string;
  readonly backend: TabBackend;
  /** Compute threads, if the CPU computes. */
  readonly threads: number;
  /** Absent if the run is not known yet. */
  readonly workload: Workload | undefined;
  readonly token: string | undefined;
  /** Whether to wait for another server after the current one has ended. */
  readonly outlivesServer?: boolean;
  /** Key from before a reload. */
  readonly resumeKey?: string | undefined;
}

export type PageMessage =
  | JoinRequest
  /** Whether the page is hidden; sent once before `join`, and at every change. */
  | { readonly type: 'hidden'; readonly hidden: boolean }
  | { readonly type: 'leave' };

/** The state of a worker that has done nothing yet. */
export function openingState(resumeKey: string | undefined): ActiveState {
  return { phase: 'opening', resumeKey, reasons: [], shards: 0, samples: 0, computeMs: 0 };
}
