/** What the page and its worker say to each other. */
import type { TabBackend } from './open.ts';

/** What a shard of this run is like, for choosing what computes it fastest. */
export interface Workload {
  /** A layer list as plain JSON. */
  readonly model: unknown;
  readonly microbatchSize: number;
  /** Samples in a usual shard. */
  readonly samples: number;
}

export interface JoinRequest {
  readonly type: 'join';
  /** WebSocket address of the coordinator. */
  readonly url: string;
  readonly name: string;
  readonly backend: TabBackend;
  /** Absent where the run is not known yet. */
  readonly workload: Workload | undefined;
  readonly token: string | undefined;
  /** From before a reload. */
  readonly resumeKey: string | undefined;
}

export type PageMessage =
  | JoinRequest
  /** Whether nobody sees the page; sent once before `join`, and at every change. */
  | { readonly type: 'hidden'; readonly hidden: boolean }
  | { readonly type: 'leave' };

export type TabMessage =
  /** What computes from now on; `refused` says, in order, why it is nothing better. */
  | {
      readonly type: 'opened';
      readonly backend: string;
      readonly device: string | undefined;
      readonly refused: readonly string[];
    }
  | { readonly type: 'welcomed'; readonly id: string; readonly resumeKey: string }
  | { readonly type: 'ready' }
  /** What this tab has computed since it was opened. */
  | { readonly type: 'computed'; readonly shards: number; readonly samples: number; readonly computeMs: number }
  | { readonly type: 'retrying'; readonly message: string }
  | { readonly type: 'ended'; readonly reason: EndReason; readonly message: string };

export type EndReason = 'finished' | 'left' | 'refused' | 'failed' | 'unreachable';
