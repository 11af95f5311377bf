/** The cluster of `deploy/nats`, with passwords and a certificate generated for the test. */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import { generate } from 'selfsigned';
import { expect } from 'vitest';
import { type NatsServer, startNatsServer } from './nats-server.ts';

export type Role = 'coordinator' | 'worker' | 'viewer';

export interface NatsCluster {
  /** Addresses, such as `tls://localhost:1,tls://localhost:2`. */
  readonly url: string;
  readonly ca: string;
  /** Folder with `ca.pem` and each role's login as `ROLE.login`. */
  readonly folder: string;
  /** Logins, each as `user:password`. */
  readonly logins: Readonly<Record<Role, string>>;
  readonly servers: readonly NatsServer[];
  close(): Promise<void>;
}

type Name = { type: 2; value: string } | { type: 7; ip: string };
export const localhost: Name = { type: 2, value: 'localhost' };
export const loopback: Name = { type: 7, ip: '127.0.0.1' };

const deployed = fileURLToPath(new URL('../../../deploy/nats', import.meta.url));
// Nothing listens there: servers count their routes to know how many take part in an election.
const unused = [1, 2, 3].map((port) => `nats://127.0.0.1:${port}`);

/** Copies `deploy/nats` to a folder and makes the passwords as documented. */
export function deployNats(folder: string, env: NodeJS.ProcessEnv = process.env): Readonly<Record<Role, string>> {
  cpSync(deployed, folder, { recursive: true });
  execFileSync('sh', ['make-passwords.sh'], { cwd: folder, env });
  const login = (role: Role): string => readFileSync(join(folder, `${role}.login`), 'utf8').trim();
  return { coordinator: login('coordinator'), worker: login('worker'), viewer: login('viewer') };
}

export async function startNatsCluster(): Promise<NatsCluster> {
  const folder = mkdtempSync(join(tmpdir(), 'lockstep-cluster-'));
  const logins = deployNats(folder);
  const [cert, key] = [join(folder, 'ca.pem'), join(folder, 'key.pem')];
  const made = await certificate();
  writeFileSync(cert, made.cert);
  writeFileSync(key, made.private);
  const start = (name: string, routes: readonly string[]): Promise<NatsServer> => {
    const own = join(folder, name);
    mkdirSync(own);
    for (const file of ['server.conf', 'accounts.conf', 'passwords.conf']) cpSync(join(folder, file), join(own, file));
    const settings = {
      ...{ name, clients: '127.0.0.1:-1', servers: '127.0.0.1:-1', routes },
      ...{ certificate: cert, private_key: key, authority: cert, store: join(own, 'store') },
    };
    // Exactly the settings of the example.
    expect(Object.keys(settings)).toEqual(settingsOf(readFileSync(join(folder, 'this-server.conf'), 'utf8')));
    const lines = Object.entries(settings).map(([setting, value]) => `${setting}: ${JSON.stringify(value)}\n`);
    writeFileSync(join(own, 'this-server.conf'), lines.join(''));
    return startNatsServer(['--config', join(own, 'server.conf')]);
  };
  // Each server takes a free port, so the next one is told the ports of those before it. A server dials a route of its own
  // settings until it answers, but one that it was told of by another server once only.
  const [servers, routes]: [NatsServer[], string[]] = [[], []];
  for (const name of ['a', 'b', 'c']) {
    const server = await start(name, [...routes, ...unused.slice(routes.length)]);
    const [, address] = await server.logged(/Listening for route connections on (\S+)/);
    servers.push(server);
    routes.push(`nats://${address}`);
  }
  await Promise.race(servers.map(({ logged }) => logged(/Self is new JetStream cluster metadata leader/)));
  return {
    url: servers.map(({ url }) => url.replace('nats://127.0.0.1', 'tls://localhost')).join(','),
    ca: made.cert,
    folder,
    logins,
    servers,
    async close() {
      await Promise.all(servers.map((server) => server.close()));
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function settingsOf(text: string): string[] {
  return [...text.matchAll(/^(\w+): ["[]/gm)].map(([, name]) => name!);
}

/** Opens plain NATS clients with the credentials of a role, one at each server. */
export function connectAs({ url, ca, logins }: NatsCluster, role: Role): Promise<NatsConnection[]> {
  const [user, pass] = logins[role].split(':');
  const options = { tls: { ca }, user: user!, pass: pass!, inboxPrefix: `_INBOX.${role}` };
  const servers = url.replaceAll('tls://', '').split(',');
  return Promise.all(servers.map((server) => connect({ ...options, servers: [server] })));
}

/** Generates a self-signed certificate, for servers and for the routes between them. */
export function certificate(names: readonly Name[] = [localhost, loopback]) {
  return generate([{ name: 'commonName', value: 'lockstep' }], {
    keyType: 'ec',
    extensions: [
      { name: 'basicConstraints', cA: true },
      { name: 'extKeyUsage', serverAuth: true, clientAuth: true },
      { name: 'subjectAltName', altNames: [...names] },
    ],
  });
}
