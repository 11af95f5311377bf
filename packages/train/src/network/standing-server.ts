/** A server with its addresses and tokens, which stands whatever runs on it. */
import type { Server } from 'node:http';
import { WaitingWorkers } from '@lockstep/training';
import { systemClock } from '@lockstep/worker';
import { EarlierRuns } from '../dashboard/earlier-runs.ts';
import type { ListeningEvent } from '../events.ts';
import { type Addresses, addressesOf } from '../http/addresses.ts';
import { defaultPort } from '../options.ts';
import type { NetworkSettings } from '../prepared.ts';
import { attachServer } from './attached-server.ts';
import { createGate, type Gate } from './gate.ts';
import { LocalPool } from './local-pool.ts';
import { openServer, type SharedServer } from './shared-server.ts';

export interface StandingServer extends Pick<SharedServer, 'connections' | 'use' | 'close'> {
  readonly local: LocalPool;
  readonly earlierRuns: EarlierRuns;
  /** Workers that come where there is no run. */
  readonly waiting: WaitingWorkers;
  readonly settings: NetworkSettings;
  readonly gate: Gate;
  readonly addresses: Addresses;
  /** For people, without secrets: where tabs join, and Node workers. */
  readonly joinAddresses: readonly string[];
  /** Whether it is reached by TLS. */
  readonly secure: boolean;
}

/**
 * @param local workers that were started before, which end with the server
 * @throws ConfigurationError where it cannot listen
 */
export async function openStandingServer(
  settings: NetworkSettings,
  emit: (event: ListeningEvent) => void,
  local = new LocalPool(),
): Promise<StandingServer> {
  const { listen, token, tls } = settings;
  const { host, server: given, path } = listen;
  const gate = createGate({ ...settings, publicView: listen.publicView ?? false });
  const { turnedAway } = gate;
  const server = given
    ? attachServer({ server: given, path: path ?? '', turnedAway })
    : await openServer({ host, port: listen.port, defaultPort, tls, turnedAway });
  const { port, connections } = server;
  const secure = given ? isSecure(given) : tls !== undefined;
  const addresses = addressesOf({ ...settings, tls: given && secure ? {} : tls }, host, port, path);
  const wantedPort = given ? port : (listen.port ?? defaultPort);
  emit({ type: 'listening', addresses, host, port, wantedPort, token, fingerprint: tls?.fingerprint });
  const joinAddresses = [addresses.page.replace(/#.*/, ''), addresses.worker];
  let closed: Promise<void> | undefined;
  const runs = { local, earlierRuns: new EarlierRuns(), waiting: new WaitingWorkers(systemClock, token) };
  return {
    ...{ settings, gate, addresses, joinAddresses, secure, connections },
    ...runs,
    use: server.use,
    close() {
      closed ??= local.stop().then(() => server.close());
      return closed;
    },
  };
}

function isSecure(server: Server): boolean {
  return 'setSecureContext' in server;
}
