/** The documented configuration of three NATS servers: what each role may do, and how certificates identify servers. */
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { Kvm } from '@nats-io/kv';
import type { NatsConnection } from '@nats-io/transport-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { temporaryFolder } from '../../train/test/folder.ts';
import { openStore } from '../src/nats.ts';
import { RunRecords } from '../src/records.ts';
import type { FleetStore } from '../src/store.ts';
import { attack, attacksOn, recordNames, targetsOf } from './attacks.ts';
import {
  certificate,
  connectAs,
  deployNats,
  localhost,
  loopback,
  type NatsCluster,
  type Role,
  startNatsCluster,
} from './nats-cluster.ts';
import { hasNatsServer, type NatsServer, startNatsServer } from './nats-server.ts';

const run = 'mnist';

it('deploy/nats/accounts.conf names the keys that a run has, and no others', () => {
  const text = readFileSync(new URL('../../../deploy/nats/accounts.conf', import.meta.url), 'utf8');
  const explained = [...text.matchAll(/RUN\.(\w+)/g)].map(([, name]) => name);
  expect(explained).toEqual(Object.keys(recordNames));
  const permitted = [...text.matchAll(/\$KV\.lockstep\.\*\.(\w+)/g)].map(([, name]) => name);
  expect(permitted.length).toBeGreaterThan(0);
  expect(permitted.filter((name) => !Object.keys(recordNames).includes(name!))).toEqual([]);
});

describe.skipIf(!hasNatsServer)('with the servers of deploy/nats', () => {
  let cluster: NatsCluster;
  let coordinator: FleetStore;
  let worker: FleetStore;
  /** One connection per server, because any server may lead a stream. */
  const connections = new Map<Role, readonly NatsConnection[]>();
  let initial: object[];

  const open = (role: 'coordinator' | 'worker', credentials = cluster.logins[role], servers = cluster.url) =>
    openStore({ servers, credentials, ca: cluster.ca, role, run });

  /** State of the buckets: changes with each write, and if a bucket is deleted. */
  const state = async (): Promise<object[]> => {
    const { streams } = await jetstreamManager(connections.get('coordinator')![0]!);
    const infos = await Promise.all(['KV_lockstep', 'OBJ_lockstep'].map((stream) => streams.info(stream)));
    return infos.map(({ created, state: { first_seq, last_seq, messages } }) => ({
      ...{ created, first_seq, last_seq, messages },
    }));
  };

  /** Resolves when the servers have answered all earlier requests of these clients. */
  const answered = async (role: Role): Promise<void> => {
    const ask = `$JS.API.DIRECT.GET.KV_lockstep.$KV.lockstep.${run}.address`;
    for (const connection of connections.get(role)!) await connection.request(ask, undefined, { timeout: 20_000 });
  };

  beforeAll(async () => {
    cluster = await startNatsCluster();
    coordinator = await open('coordinator');
    worker = await open('worker');
    const records = new RunRecords(coordinator, run);
    await records.put('address', { incarnation: 1, url: 'ws://a/' });
    await records.put('token', { token: 'secret' });
    await records.put('relays', { incarnation: 1, relays: [{ url: 'ws://b/', workers: 2 }] });
    await records.put('config', { sha256: '' });
    await records.put('checkpoints', []);
    await coordinator.values.create(`${run}.lease`, '{}');
    for (const role of ['coordinator', 'worker', 'viewer'] as const) {
      connections.set(role, await connectAs(cluster, role));
    }
    initial = await state();
  });
  afterAll(async () => {
    for (const connection of [...connections.values()].flat()) await connection.close();
    await worker?.close();
    await coordinator?.close();
    await cluster?.close();
  });

  const cases = (['worker', 'viewer'] as const).flatMap((role) =>
    targetsOf(run).map((target) => [role, target] as const),
  );
  it.each(cases)("a %s's credentials write nothing to %s, in whichever way", async (role, target) => {
    const before = await state();
    for (const connection of connections.get(role)!) await attack(connection, attacksOn(target, run));
    await answered(role);
    expect(await state()).toEqual(before);
  });

  it.each(['worker', 'viewer'] as const)('a %s reads no key of other roles, however it asks', async (role) => {
    const readable = {
      worker: ['address', 'token', 'relays', 'end'],
      viewer: ['address', 'lease', 'checkpoints', 'end'],
    };
    const asks = targetsOf(run).flatMap((target) =>
      ['', JSON.stringify({ last_by_subj: target }), JSON.stringify({ multi_last: [target] }), '{"seq":1}'].flatMap(
        (payload) =>
          [`.${target}`, `.$KV.lockstep.${run}.address`, '.$KV.lockstep.*.*', '.$KV.lockstep.>', ''].flatMap(
            (suffix) => [
              { subject: `$JS.API.DIRECT.GET.KV_lockstep${suffix}`, payload },
              { subject: `$JS.API.STREAM.MSG.GET.KV_lockstep${suffix}`, payload },
            ],
          ),
      ),
    );
    const [connection] = connections.get(role)!;
    const read = new Set<string>();
    const inbox = connection!.subscribe(`_INBOX.${role}.reads`, {
      callback: (_, { headers }) => {
        // Refusals have a status; answers name the subject that was asked for.
        if (headers && !headers.hasError && headers.code === 0) read.add(headers.get('Nats-Subject'));
      },
    });
    const reply = inbox.getSubject();
    await attack(
      connection!,
      asks.map((ask) => ({ ...ask, reply })),
    );
    await answered(role);
    const names = [...read].map((subject) => subject.split('.').at(-1)!);
    expect(names).toContain('address');
    expect(names.filter((name) => !readable[role].includes(name))).toEqual([]);
  });

  it('a worker awaits each answer at an inbox that another worker, which sees all inboxes, cannot predict', async () => {
    const seen: string[] = [];
    const other = connections.get('worker')![0]!;
    const watch = other.subscribe('_INBOX.worker.>', { callback: (_, { subject }) => void seen.push(subject) });
    await other.flush();
    // Ask the same server, because a server need not tell the others of an answer.
    const [, port] = /:(\d+)$/.exec(other.getServer())!;
    const store = await open('worker', cluster.logins.worker, `tls://localhost:${port}`);
    const records = new RunRecords(store, run);
    for (const name of ['address', 'token', 'end', 'address'] as const) await records.get(name);
    await store.close();
    await expect.poll(() => seen.length, { timeout: 20_000 }).toBeGreaterThanOrEqual(5);
    watch.unsubscribe();
    const inboxes = seen.map((subject) => subject.replace('_INBOX.worker.', ''));
    // Prefixes differ: a counter would show at the end.
    expect(new Set(inboxes.map((inbox) => inbox.slice(0, 8))).size).toBe(inboxes.length);
    for (const inbox of inboxes) expect(inbox.length).toBeGreaterThan(30);
  });

  it('a worker, or a relay, reads address, token, relays and end, and nothing else', async () => {
    const records = new RunRecords(worker, run);
    expect((await records.get('address'))?.url).toBe('ws://a/');
    expect((await records.get('token'))?.token).toBe('secret');
    expect((await records.get('relays'))?.relays).toEqual([{ url: 'ws://b/', workers: 2 }]);
    expect(await records.get('end')).toBeUndefined();
    for (const name of ['checkpoints', 'config'] as const) await expect(records.get(name)).rejects.toThrow();
    await expect(worker.values.get(`${run}.lease`)).rejects.toThrow();
    await expect(worker.values.put(`${run}.address`, '{}')).rejects.toThrow();
    await expect(worker.objects.get(`${run}.checkpoint.x`)).rejects.toThrow();
  });

  it('a viewer sees who leads and where, and no token', async () => {
    for (const connection of connections.get('viewer')!) {
      const values = await new Kvm(jetstream(connection, { checkAPI: false })).open('lockstep', { allow_direct: true });
      expect((await values.get(`${run}.lease`))?.string()).toBe('{}');
      expect((await values.get(`${run}.address`))?.string()).toContain('ws://a/');
      await expect(values.get(`${run}.token`)).rejects.toThrow();
      await expect(values.put(`${run}.lease`, 'x')).rejects.toThrow();
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
    const servers = cluster.url.replaceAll('tls:', 'nats:');
    const plain = openStore({ servers, credentials: cluster.logins.worker, role: 'worker' });
    await expect(plain).rejects.toThrow(/cannot be reached: .*(certificate|self-signed)/);
  });

  it("a coordinator's credentials can write, also in the ways in which others cannot", async () => {
    // None of the earlier attacks took effect late.
    expect(await state()).toEqual(initial);
    const ending = attacksOn(`$KV.lockstep.${run}.end`, run).filter(({ reply }) => reply !== undefined);
    for (const connection of connections.get('coordinator')!) await attack(connection, ending);
    await expect.poll(state, { timeout: 20_000 }).not.toEqual(initial);
    const name = `${run}.checkpoint.x`;
    await coordinator.objects.put(name, new Uint8Array(300_000).fill(7));
    expect(await coordinator.objects.get(name)).toHaveLength(300_000);
    await coordinator.objects.remove(name);
    expect(await coordinator.objects.get(name)).toBeUndefined();
    expect(await coordinator.values.get(`${run}.lease`)).toBeDefined();
  });

  it('a client that was told of one server goes on at another when that one is killed', async () => {
    const store = await open('worker', cluster.logins.worker, cluster.url.split(',')[0]!);
    await cluster.servers[0]!.close();
    const found = () => store.values.get(`${run}.token`).catch(() => undefined);
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
    const own = join(folder, `${servers.length}`);
    writeFileSync(`${own}.cert`, made.cert);
    writeFileSync(`${own}.key`, made.private);
    const tls = ['--tls', '--tlscert', `${own}.cert`, '--tlskey', `${own}.key`];
    const args = ['--addr', '127.0.0.1', '--port', '-1', '--jetstream', '--store_dir', own, ...tls];
    const server = await startNatsServer(args);
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
    const fault = `cannot be reached: localhost:${port}: .*certificate.*; localhost:1: connection refused`;
    await expect(opened).rejects.toMatchObject({ message: expect.stringMatching(fault), mayPass: true });
  });
});

describe.skipIf(!hasNatsServer)('deploy/nats/make-passwords.sh', () => {
  const folder = temporaryFolder();
  /** Deploys into a folder, and lets NATS check the configuration. */
  const deploy = (name: string, env?: NodeJS.ProcessEnv) => {
    mkdirSync(join(folder, name));
    const logins = deployNats(join(folder, name), env);
    execFileSync('nats-server', ['-t', '--config', join(folder, name, 'accounts.conf')], { stdio: 'pipe' });
    return logins;
  };
  const passwordsIn = (name: string): string => readFileSync(join(folder, name, 'passwords.conf'), 'utf8');

  // Unquoted, NATS would read these as a number, a size, a boolean, a variable, a comment or a hash.
  const strange = ['123e45', '12345678', '0', '64k', '10mb', 'true', '$HOME', '#x', '$2a$11$abcdefghijklmnopqrstuv'];
  it.each(strange.map((password, at) => [password, `${at}`] as const))(
    'a password of %s is taken as it is',
    (password, at) => {
      const bin = join(folder, `bin-${at}`);
      mkdirSync(bin);
      writeFileSync(join(bin, 'openssl'), `#!/bin/sh\nprintf '%s\\n' '${password}'\n`);
      chmodSync(join(bin, 'openssl'), 0o755);
      const logins = deploy(`strange-${at}`, { ...process.env, PATH: `${bin}:${process.env['PATH']}` });
      expect(logins.worker).toBe(`worker:${password}`);
      expect(passwordsIn(`strange-${at}`)).toContain(`worker_password: "${password}"\n`);
    },
  );

  it('makes other passwords each time, which NATS takes', () => {
    const made = [0, 1, 2, 3, 4].flatMap((at) =>
      Object.values(deploy(`random-${at}`)).map((login) => login.split(':')[1]!),
    );
    expect(new Set(made).size).toBe(15);
    for (const password of made) expect(password).toMatch(/^[0-9a-f]{32}$/);
  });

  it('keeps files that exist', () => {
    deploy('kept');
    const before = passwordsIn('kept');
    expect(() => execFileSync('sh', ['make-passwords.sh'], { cwd: join(folder, 'kept'), stdio: 'pipe' })).toThrow();
    expect(passwordsIn('kept')).toBe(before);
  });
});
