/** The state of this tab's worker, which its thread posts, and the messages that the thread takes. */
import type { InnerSteps } from '@lockstep/training';

/** What a tab can compute on. */
export type TabBackend = 'auto' | 'webgpu' | 'webgl' | 'cpu';

/** The worker of a tab: not asked for yet, at work, or ended. */
export type TabState = { readonly phase: 'watching' } | ActiveState | EndedState;

/** A worker that opens its backend, joins, computes or reconnects, and what it has done so far. */
export interface ActiveState {
  /** Opening a backend; handshake and numerics check; computing shards; waiting for the next attempt to connect. */
  readonly phase: 'opening' | 'joining' | 'computing' | 'reconnecting';
  readonly id?: string;
  /** Makes a new connection the same worker. */
  readonly resumeKey: string | undefined;
  readonly backend?: string;
  /** That compute; known with the backend. */
  readonly threads?: number;
  /** The adapter's name, where a backend knows it. */
  readonly device?: string | undefined;
  /** Why each faster backend was not chosen. */
  readonly reasons: readonly string[];
  /** The last one computed, from 1. */
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

/** A typical shard of this run, for choosing the backend that computes it fastest. */
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
  /** That compute, where the CPU does. */
  readonly threads: number;
  /** Absent where the run is not known yet. */
  readonly workload: Workload | undefined;
  readonly token: string | undefined;
  /** Whether it waits for another server after the one that it has computed for has ended. */
  readonly outlivesServer?: boolean;
  /** From before a reload. */
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
