/** A server with its tokens and addresses, once it listens, whatever answers there. */

import { WaitingWorkers } from '@lockstep/training';
import { systemClock } from '@lockstep/worker';
import { WatchPermission } from '../dashboard/permission.ts';
import type { ListeningEvent } from '../events.ts';
import { defaultPort } from '../options.ts';
import type { NetworkSettings } from '../prepared.ts';
import { type Addresses, addressesOf } from './addresses.ts';
import { Guesses, TurnedAwayCounter } from './limiter.ts';
import { attachServer, type Handlers, openServer, type SharedServer } from './server.ts';
import type { Door } from './sockets.ts';

/** The lobby or a run, as it answers on the server for a while. */
export interface Phase extends Handlers {
  /** Asks its sockets to close. */
  close(code: number, reason: string): void;
}

/** The server and its tokens, once it listens. */
export interface Standing {
  readonly server: SharedServer;
  readonly settings: NetworkSettings;
  readonly addresses: Addresses;
  /** For people, without secrets: where tabs join, and Node workers. */
  readonly joinAddresses: readonly string[];
  readonly door: Door;
  readonly permission: WatchPermission;
  /** Workers that come while there is no run. */
  readonly waiting: WaitingWorkers;
}

/** Opens a server with its tokens. @throws ConfigurationError if it cannot listen */
export async function openStanding(
  settings: NetworkSettings,
  emit: (event: ListeningEvent) => void,
): Promise<Standing> {
  const { listen, token, code, adminToken, tls } = settings;
  const { host, server: given, path } = listen;
  const turnedAway = new TurnedAwayCounter();
  const server = given
    ? attachServer({ server: given, path: path ?? '', turnedAway })
    : await openServer({ host, port: listen.port, defaultPort, tls, turnedAway });
  const { port } = server;
  const secure = given ? 'setSecureContext' in given : tls !== undefined;
  const addresses = addressesOf({ ...settings, tls: given && secure ? {} : tls }, host, port, path);
  const wantedPort = given ? port : (listen.port ?? defaultPort);
  emit({ type: 'listening', addresses, host, port, wantedPort, token, fingerprint: tls?.fingerprint });
  const guesses = new Guesses(systemClock);
  return {
    ...{ server, settings, addresses },
    door: { host, secure, allowedOrigins: listen.allowOrigins ?? [], token, code, guesses, turnedAway },
    joinAddresses: [addresses.page.replace(/#.*/, ''), addresses.worker],
    permission: new WatchPermission({
      ...{ token, code, adminToken, guesses },
      publicView: listen.publicView ?? false,
      onBadToken: () => turnedAway.count('token'),
    }),
    waiting: new WaitingWorkers(systemClock, token),
  };
}
