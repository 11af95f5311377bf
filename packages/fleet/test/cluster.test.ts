/** The example configuration of three NATS servers: what each role may do, and how certificates identify servers. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { jetstream } from '@nats-io/jetstream';
import { Kvm } from '@nats-io/kv';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { temporaryFolder } from '../../train/test/folder.ts';
import { openStore } from '../src/nats/open.ts';
import { RunRecords } from '../src/records.ts';
import type { FleetStore } from '../src/store.ts';
import { recordNames } from './attacks.ts';
import { certificate, connectAs, localhost, loopback, type NatsCluster, startNatsCluster } from './nats-cluster.ts';
import { hasNatsServer, type NatsServer, startNatsServer } from './nats-server.ts';

describe('deploy/nats/accounts.conf', () => {
  it('names the keys that a run has, and no others', () => {
    const text = readFileSync(new URL('../../../deploy/nats/accounts.conf', import.meta.url), 'utf8');
    const explained = [...text.matchAll(/RUN\.(\w+)/g)].map(([, name]) => name);
    expect(explained).toEqual(Object.keys(recordNames));
    const permitted = [...text.matchAll(/\$KV\.lockstep\.\*\.(\w+)/g)].map(([, name]) => name);
    expect(permitted.length).toBeGreaterThan(0);
    expect(permitted.filter((name) => !Object.keys(recordNames).includes(name!))).toEqual([]);
  });
});

describe.skipIf(!hasNatsServer)('deploy/nats, with nats-server', () => {
  let cluster: NatsCluster;
  let coordinator: FleetStore;
  let worker: FleetStore;

  const open = (role: 'coordinator' | 'worker', credentials: string = cluster.logins[role]): Promise<FleetStore> =>
    openStore({ servers: cluster.url, credentials, ca: cluster.ca, role });

  beforeAll(async () => {
    cluster = await startNatsCluster();
    coordinator = await open('coordinator');
    worker = await open('worker');
    const records = new RunRecords(coordinator.values, 'mnist');
    await records.put('address', { incarnation: 1, url: 'ws://a/' });
    await records.put('token', { token: 'secret' });
    await records.put('relays', { incarnation: 1, relays: [{ url: 'ws://b/', workers: 2 }] });
    await coordinator.values.create('mnist.lease', '{}');
  });
  afterAll(async () => {
    await worker?.close();
    await coordinator?.close();
    await cluster?.close();
  });

  it('a coordinator keeps values and objects', async () => {
    const bytes = new Uint8Array(300_000).fill(7);
    await coordinator.objects.put('mnist.checkpoint.x', bytes);
    expect(await coordinator.objects.get('mnist.checkpoint.x')).toHaveLength(bytes.length);
    await coordinator.objects.remove('mnist.checkpoint.x');
    expect(await coordinator.objects.get('mnist.checkpoint.x')).toBeUndefined();
    expect(await coordinator.values.get('mnist.lease')).toBeDefined();
  });

  it('a worker, or a relay, reads address, token, relays and end, and nothing else', async () => {
    const records = new RunRecords(worker.values, 'mnist');
    expect((await records.get('address'))?.value.url).toBe('ws://a/');
    expect((await records.get('token'))?.value.token).toBe('secret');
    expect((await records.get('relays'))?.value.relays).toEqual([{ url: 'ws://b/', workers: 2 }]);
    expect(await records.get('end')).toBeUndefined();
    for (const name of ['checkpoints', 'config'] as const) await expect(records.get(name)).rejects.toThrow();
    await expect(worker.values.get('mnist.lease')).rejects.toThrow();
    await expect(worker.values.put('mnist.address', '{}')).rejects.toThrow();
    await expect(worker.objects.get('mnist.checkpoint.x')).rejects.toThrow();
  });

  it('a viewer sees who leads and where, and no token', async () => {
    const connections = await connectAs(cluster, 'viewer');
    for (const connection of connections) {
      const values = await new Kvm(jetstream(connection, { checkAPI: false })).open('lockstep', { allow_direct: true });
      expect((await values.get('mnist.lease'))?.string()).toBe('{}');
      expect((await values.get('mnist.address'))?.string()).toContain('ws://a/');
      await expect(values.get('mnist.token')).rejects.toThrow();
      await expect(values.put('mnist.lease', 'x')).rejects.toThrow();
      await connection.close();
    }
  });

  it.each([
    ['coordinator', 'worker'],
    ['coordinator', 'viewer'],
    ['worker', 'coordinator'],
    ['worker', 'viewer'],
  ] as const)('a %s with the credentials of a %s is told so once', async (role, other) => {
    const error = await open(role, cluster.logins[other]).catch((thrown: Error) => thrown);
    expect(error).toMatchObject({ name: 'FleetError', option: 'fleet-credentials', mayPass: false });
    const { message } = error as Error;
    expect(message).toMatch(
      /refuses this (\w+): expected credentials of a \1, got those of another role \(Permissions/,
    );
    expect(message.match(/violation/gi)).toHaveLength(1);
  });

  it('a wrong password, none, and a client without TLS are refused in one sentence', async () => {
    await expect(open('worker', 'worker:guess')).rejects.toMatchObject({
      message: expect.stringMatching(/^the fleet at tls:\S+ cannot be reached: [^:]*uthorization[^:;]*$/i),
      mayPass: false,
    });
    const anonymous = { servers: cluster.url, ca: cluster.ca, role: 'worker' as const };
    await expect(openStore(anonymous)).rejects.toThrow(/cannot be reached: .*uthorization/);
    const plain = {
      servers: cluster.url.replaceAll('tls:', 'nats:'),
      credentials: cluster.logins.worker,
      role: 'worker' as const,
    };
    await expect(openStore(plain)).rejects.toThrow(/cannot be reached: .*(certificate|self-signed)/);
  });

  it('a client that was told of one server goes on at another when that one is killed', async () => {
    const [url] = cluster.url.split(',');
    const store = await openStore({
      ...{ servers: url!, credentials: cluster.logins.worker, ca: cluster.ca, role: 'worker' },
    });
    await cluster.servers[0]!.close();
    const found = () => store.values.get('mnist.token').catch(() => undefined);
    await expect.poll(found, { timeout: 30_000 }).toBeDefined();
    await store.close();
  });
});

describe.skipIf(!hasNatsServer)('a NATS server with TLS', () => {
  const folder = temporaryFolder();
  const servers: NatsServer[] = [];
  afterAll(() => Promise.all(servers.map((server) => server.close())));

  /** @returns the certificate and port of a server with these names */
  const start = async (names: Parameters<typeof certificate>[0]) => {
    const made = await certificate(names);
    const [cert, key] = [join(folder, `cert-${servers.length}.pem`), join(folder, `key-${servers.length}.pem`)];
    writeFileSync(cert, made.cert);
    writeFileSync(key, made.private);
    const own = [
      '--addr',
      '127.0.0.1',
      '--port',
      '-1',
      '--jetstream',
      '--store_dir',
      join(folder, `${servers.length}`),
    ];
    const server = await startNatsServer({ args: [...own, '--tls', '--tlscert', cert, '--tlskey', key] });
    servers.push(server);
    return { ca: made.cert, port: new URL(server.url).port };
  };

  it.each([
    ['127.0.0.1', [loopback], undefined],
    ['localhost', [localhost], undefined],
    ['127.0.0.1', [localhost], /cannot be reached: Hostname\/IP does not match.*127\.0\.0\.1/],
    ['localhost', [loopback], /cannot be reached: Hostname\/IP does not match.*localhost/],
  ])('is reached at %s only if its certificate says so: %j', async (host, names, fault) => {
    const { ca, port } = await start(names);
    const opened = openStore({ servers: `tls://${host}:${port}`, ca, role: 'coordinator' });
    if (fault) await expect(opened).rejects.toMatchObject({ message: expect.stringMatching(fault), mayPass: false });
    else await (await opened).close();
  });

  it('whose certificate is wrong is told of, next to one that is not there', async () => {
    const [{ cert: ca }, { port }] = [await certificate(), await start([localhost])];
    const opened = openStore({ servers: `tls://localhost:${port},tls://localhost:1`, ca, role: 'worker' });
    await expect(opened).rejects.toMatchObject({
      message: expect.stringMatching(
        new RegExp(`cannot be reached: localhost:${port}: .*certificate.*; localhost:1: connection refused`),
      ),
      mayPass: true,
    });
  });
});
