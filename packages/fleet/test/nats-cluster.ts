/** The cluster of `deploy/nats`, with a certificate that is made on the spot. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
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
const names = ['a', 'b', 'c'];

/** Each role's password is its name, backwards. */
export const passwords = { coordinator: 'rotanidrooc', worker: 'rekrow', viewer: 'reweiv' };

export async function startNatsCluster(): Promise<NatsCluster> {
  const folder = mkdtempSync(join(tmpdir(), 'lockstep-cluster-'));
  const [cert, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
  const made = await certificate();
  writeFileSync(cert, made.cert);
  writeFileSync(key, made.private);
  const ports = await freePorts(names.length);
  const routes = ports.map((port) => `nats://127.0.0.1:${port}`);
  const servers = await Promise.all(
    names.map((name, index) => {
      mkdirSync(join(folder, name));
      const env = {
        NATS_NAME: name,
        NATS_LISTEN: '127.0.0.1:-1',
        NATS_CERT: cert,
        NATS_KEY: key,
        NATS_CA: cert,
        NATS_STORE: join(folder, name),
        NATS_CLUSTER_LISTEN: `127.0.0.1:${ports[index]}`,
        ...Object.fromEntries(routes.map((route, at) => [`NATS_ROUTE_${at + 1}`, route])),
        ...Object.fromEntries(
          Object.entries(passwords).map(([role, password]) => [`NATS_${role.toUpperCase()}_PASSWORD`, password]),
        ),
      };
      return startNatsServer({ args: ['--config', config], env });
    }),
  );
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

async function freePorts(count: number): Promise<number[]> {
  const held = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer();
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      return server;
    }),
  );
  const ports = held.map((server) => (server.address() as { port: number }).port);
  await Promise.all(held.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
