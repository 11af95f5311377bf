/** What a worker session is given, and what it reports. */
import type { MessageOf, WorkerKind, WorkerTransport } from '@lockstep/protocol';
import type { Clock } from '../clock.ts';
import type { Compute } from './compute.ts';

interface WorkerIdentity {
  readonly kind: WorkerKind;
  readonly name: string;
  readonly token?: string | undefined;
  /** From an earlier connection's welcome. */
  readonly resumeKey?: string | undefined;
}

export type SessionEvent =
  | { readonly type: 'welcomed'; readonly id: string; readonly resumeKey: string }
  | { readonly type: 'ready' }
  | { readonly type: 'computed'; readonly step: number; readonly count: number; readonly computeMs: number };

/** What a worker says of itself. */
export type WorkerStatus = Omit<MessageOf<'status'>, 'type'>;

export interface SessionOptions {
  readonly transport: WorkerTransport;
  readonly compute: Compute;
  readonly identity: WorkerIdentity;
  readonly clock: Clock;
  /** Hash of the numerics check's gradient, in hex. */
  readonly hash: (bytes: Uint8Array) => string;
  /** Most bytes of samples that it caches, so that each is sent to it once; 0 where left out. */
  readonly sampleCacheBytes?: number;
  readonly onEvent?: (event: SessionEvent) => void;
  /** Takes the whole welcome, whose resume key is a secret, before the compute is opened. */
  readonly onWelcome?: (welcome: MessageOf<'welcome'>) => void;
}
