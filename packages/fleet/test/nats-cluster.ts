/** The cluster of `deploy/nats`, with a certificate that is made on the spot. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { generate } from 'selfsigned';
import { type NatsServer, startNatsServer } from './nats-server.ts';

export interface NatsCluster {
  /** By name, since the client compares certificates with names alone, such as `tls://localhost:1,tls://localhost:2`. */
  readonly url: string;
  readonly ca: string;
  readonly servers: readonly NatsServer[];
  close(): Promise<void>;
}

const config = fileURLToPath(new URL('../../../deploy/nats/server.conf', import.meta.url));
// Nothing listens there; a server counts its routes to know how many are to elect a leader.
const unused = [1, 2, 3].map((port) => `nats://127.0.0.1:${port}`);

/** Each role's password is its name, backwards. */
export const passwords = { coordinator: 'rotanidrooc', worker: 'rekrow', viewer: 'reweiv' };

export async function startNatsCluster(): Promise<NatsCluster> {
  const folder = mkdtempSync(join(tmpdir(), 'lockstep-cluster-'));
  const [cert, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
  const made = await certificate();
  writeFileSync(cert, made.cert);
  writeFileSync(key, made.private);
  const start = (name: string, routes: readonly string[]): Promise<NatsServer> => {
    mkdirSync(join(folder, name));
    const env = {
      NATS_NAME: name,
      NATS_LISTEN: '127.0.0.1:-1',
      NATS_CERT: cert,
      NATS_KEY: key,
      NATS_CA: cert,
      NATS_STORE: join(folder, name),
      NATS_CLUSTER_LISTEN: '127.0.0.1:-1',
      ...Object.fromEntries(routes.map((route, at) => [`NATS_ROUTE_${at + 1}`, route])),
      ...Object.fromEntries(
        Object.entries(passwords).map(([role, password]) => [`NATS_${role.toUpperCase()}_PASSWORD`, password]),
      ),
    };
    return startNatsServer({ args: ['--config', config], env });
  };
  const first = await start('a', unused);
  const [, address] = await first.logged(/Listening for route connections on (\S+)/);
  // Each takes a port that is free as it starts; the first tells the others of each other.
  const others = await Promise.all(['b', 'c'].map((name) => start(name, [`nats://${address}`, ...unused.slice(1)])));
  const servers = [first, ...others];
  await Promise.race(servers.map(({ logged }) => logged(/Self is new JetStream cluster metadata leader/)));
  return {
    url: servers.map(({ url }) => url.replace('nats://127.0.0.1', 'tls://localhost')).join(','),
    ca: made.cert,
    servers,
    async close() {
      await Promise.all(servers.map((server) => server.close()));
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Its own authority, for servers and for the links between them. */
function certificate() {
  return generate([{ name: 'commonName', value: 'lockstep' }], {
    keyType: 'ec',
    extensions: [
      { name: 'basicConstraints', cA: true },
      { name: 'extKeyUsage', serverAuth: true, clientAuth: true },
      {
        name: 'subjectAltName',
        altNames: [
          { type: 2, value: 'localhost' },
          { type: 7, ip: '127.0.0.1' },
        ],
      },
    ],
  });
}
