/** What a relay can be asked for, and what happens to it. */
import type { ComputeChoice, WorkerEvent } from '@lockstep/worker';
import type { ListeningEvent } from '../events.ts';
import type { ListenOptions } from '../options.ts';

/** How a process relays for a run, to whose coordinator it sends what its own workers compute. */
export interface RelayOptions {
  /** In the run's tables; by default the machine's name. */
  readonly name?: string | undefined;
  /** The secret of the run, where the address lacks it. */
  readonly token?: string | undefined;
  /** SHA-256 in hex of the only certificate to trust, where the address lacks it. */
  readonly fingerprint?: string | undefined;
  /** Compute threads for adding gradients; by default 1. */
  readonly threads?: number | undefined;
  /** Processes to start on this machine, which compute for it; by default none. */
  readonly workers?: number | undefined;
  /** What those compute on; by default `auto`. */
  readonly backend?: ComputeChoice | undefined;
  /** Whether it waits for a coordinator that does not answer yet. */
  readonly wait?: boolean | undefined;
  /** Where its workers join; the token is that of the run where left out. */
  readonly listen?: Pick<ListenOptions, 'host' | 'port' | 'token' | 'tls' | 'allowOrigins'> | undefined;
  /** Where others reach it, such as behind a proxy: the coordinator tells workers of a fleet; by default where it listens. */
  readonly announce?: string | undefined;
  /** The relay leaves where it is aborted, as `leave` does. */
  readonly signal?: AbortSignal | undefined;
}

/** `message` is one line for people. */
export type RelayEvent =
  | ListeningEvent
  /** As a worker of the coordinator above: what it says it has computed, its own workers have. */
  | Exclude<WorkerEvent, { type: 'opening' | 'opened' }>
  /** No worker is ready behind it: it is no worker above until there is one. */
  | { readonly type: 'idle' }
  /** Its workers may join from now on. */
  | { readonly type: 'open' }
  /** Something about its workers. */
  | { readonly type: 'note'; readonly message: string };
