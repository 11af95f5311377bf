/** The credentials documented in `deploy/nats` protect a run's roles from each other. */
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { jetstreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { temporaryFolder } from '../../train/test/folder.ts';
import { openStore } from '../src/nats/open.ts';
import { RunRecords } from '../src/records.ts';
import type { FleetStore } from '../src/store.ts';
import { attack, attacksOn, targetsOf } from './attacks.ts';
import { connectAs, deployNats, type NatsCluster, type Role, startNatsCluster } from './nats-cluster.ts';
import { hasNatsServer } from './nats-server.ts';

const run = 'mnist';

describe.skipIf(!hasNatsServer)('with the servers of deploy/nats', () => {
  let cluster: NatsCluster;
  let coordinator: FleetStore;
  /** One connection per server, because any server may lead a stream. */
  const connections = new Map<Role, readonly NatsConnection[]>();
  let initial: object[];

  /** State of the buckets: changes with each write, and if a bucket is deleted. */
  const state = async (): Promise<object[]> => {
    const { streams } = await jetstreamManager(connections.get('coordinator')![0]!);
    const infos = await Promise.all(['KV_lockstep', 'OBJ_lockstep'].map((stream) => streams.info(stream)));
    return infos.map(({ state: { first_seq, last_seq, messages }, created }) => ({
      first_seq,
      last_seq,
      messages,
      created,
    }));
  };

  /** Resolves when the servers have answered all earlier requests of these clients. */
  const answered = async (role: Role): Promise<void> => {
    const ask = `$JS.API.DIRECT.GET.KV_lockstep.$KV.lockstep.${run}.address`;
    for (const connection of connections.get(role)!) await connection.request(ask, undefined, { timeout: 20_000 });
  };

  beforeAll(async () => {
    cluster = await startNatsCluster();
    coordinator = await openStore({
      ...{ servers: cluster.url, credentials: cluster.logins.coordinator, ca: cluster.ca, role: 'coordinator' },
    });
    const records = new RunRecords(coordinator.values, run);
    await records.put('address', { incarnation: 1, url: 'ws://a/' });
    await records.put('token', { token: 'secret' });
    await records.put('relays', { incarnation: 1, relays: [] });
    await records.put('config', { sha256: '' });
    await records.put('checkpoints', []);
    await coordinator.values.create(`${run}.lease`, '{}');
    for (const role of ['coordinator', 'worker', 'viewer'] as const)
      connections.set(role, await connectAs(cluster, role));
    initial = await state();
  });
  afterAll(async () => {
    for (const connection of [...connections.values()].flat()) await connection.close();
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

  it("a coordinator's credentials do, by the same means", async () => {
    // None of the earlier attacks took effect late.
    expect(await state()).toEqual(initial);
    const ending = attacksOn(`$KV.lockstep.${run}.end`, run).filter(({ reply }) => reply !== undefined);
    for (const connection of connections.get('coordinator')!) await attack(connection, ending);
    await expect.poll(state, { timeout: 20_000 }).not.toEqual(initial);
  });

  it.each(['worker', 'viewer'] as const)('a %s reads no key of the others by asking differently', async (role) => {
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
    await attack(
      connection!,
      asks.map((ask) => ({ ...ask, reply: inbox.getSubject() })),
    );
    await answered(role);
    const names = [...read].map((subject) => subject.split('.').at(-1)!);
    expect(names).toContain('address');
    expect(names.filter((name) => !readable[role].includes(name))).toEqual([]);
  });

  it('a worker awaits each answer where another one, which sees all inboxes, cannot know beforehand', async () => {
    const seen: string[] = [];
    const other = connections.get('worker')![0]!;
    const watch = other.subscribe('_INBOX.worker.>', { callback: (_, { subject }) => void seen.push(subject) });
    await other.flush();
    // Ask the same server, because a server need not tell the others of an answer.
    const [, port] = /:(\d+)$/.exec(other.getServer())!;
    const access = { credentials: cluster.logins.worker, ca: cluster.ca, role: 'worker' } as const;
    const store = await openStore({ servers: `tls://localhost:${port}`, ...access, run });
    const records = new RunRecords(store.values, run);
    for (const name of ['address', 'token', 'end', 'address'] as const) await records.get(name);
    await store.close();
    await expect.poll(() => seen.length, { timeout: 20_000 }).toBeGreaterThanOrEqual(5);
    watch.unsubscribe();
    const inboxes = seen.map((subject) => subject.replace('_INBOX.worker.', ''));
    // Prefixes differ: a counter would show at the end.
    expect(new Set(inboxes.map((inbox) => inbox.slice(0, 8))).size).toBe(inboxes.length);
    for (const inbox of inboxes) expect(inbox.length).toBeGreaterThan(30);
  });
});

describe.skipIf(!hasNatsServer)('deploy/nats/make-passwords.sh', () => {
  const folder = temporaryFolder();
  const deploy = (name: string, env?: NodeJS.ProcessEnv) => {
    mkdirSync(join(folder, name));
    return deployNats(join(folder, name), env);
  };
  const check = (name: string): void => {
    execFileSync('nats-server', ['-t', '--config', join(folder, name, 'accounts.conf')], { stdio: 'pipe' });
  };

  // Unquoted, NATS would read these as a number, a size, a boolean, a variable, a comment or a hash.
  const strange = ['123e45', '12345678', '0', '64k', '10mb', 'true', '$HOME', '#x', '$2a$11$abcdefghijklmnopqrstuv'];
  it.each(strange)('a password of %s is taken as it is', (password) => {
    const bin = join(folder, `bin-${strange.indexOf(password)}`);
    mkdirSync(bin);
    writeFileSync(join(bin, 'openssl'), `#!/bin/sh\nprintf '%s\\n' '${password}'\n`);
    chmodSync(join(bin, 'openssl'), 0o755);
    const name = `strange-${strange.indexOf(password)}`;
    const logins = deploy(name, { ...process.env, PATH: `${bin}:${process.env['PATH']}` });
    expect(logins.worker).toBe(`worker:${password}`);
    expect(readFileSync(join(folder, name, 'passwords.conf'), 'utf8')).toContain(`worker_password: "${password}"\n`);
    check(name);
  });

  it('makes other passwords each time, which NATS takes', () => {
    const made = Array.from({ length: 5 }, (_, at) => {
      const { coordinator, worker, viewer } = deploy(`random-${at}`);
      check(`random-${at}`);
      return [coordinator, worker, viewer].map((login) => login.split(':')[1]!);
    });
    expect(new Set(made.flat()).size).toBe(15);
    for (const password of made.flat()) expect(password).toMatch(/^[0-9a-f]{32}$/);
  });

  it('keeps files that exist', () => {
    deploy('kept');
    const before = readFileSync(join(folder, 'kept/passwords.conf'), 'utf8');
    expect(() => execFileSync('sh', ['make-passwords.sh'], { cwd: join(folder, 'kept'), stdio: 'pipe' })).toThrow();
    expect(readFileSync(join(folder, 'kept/passwords.conf'), 'utf8')).toBe(before);
  });
});
