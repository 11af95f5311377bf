/** The example configuration of three NATS servers: what each role may do there, and what it may not. */
import { readFileSync } from 'node:fs';
import { Kvm } from '@nats-io/kv';
import { connect } from '@nats-io/transport-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openStore } from '../src/nats/open.ts';
import { type RecordName, RunRecords } from '../src/records.ts';
import type { FleetStore } from '../src/store.ts';
import { type NatsCluster, passwords, startNatsCluster } from './nats-cluster.ts';
import { hasNatsServer } from './nats-server.ts';

describe('deploy/nats/permissions.conf', () => {
  it('names the keys that a run has, and no others', () => {
    const text = readFileSync(new URL('../../../deploy/nats/permissions.conf', import.meta.url), 'utf8');
    const keys: Readonly<Record<RecordName | 'lease', true>> = {
      ...{ lease: true, address: true, relays: true, token: true, config: true, checkpoints: true, end: true },
    };
    const explained = [...text.matchAll(/RUN\.(\w+)/g)].map(([, name]) => name);
    expect(explained).toEqual(Object.keys(keys));
    const permitted = [...text.matchAll(/\$KV\.lockstep\.\*\.(\w+)/g)].map(([, name]) => name);
    expect(permitted.length).toBeGreaterThan(0);
    expect(permitted.filter((name) => !Object.keys(keys).includes(name!))).toEqual([]);
  });
});

describe.skipIf(!hasNatsServer)('deploy/nats, with nats-server', () => {
  let cluster: NatsCluster;
  let coordinator: FleetStore;
  let worker: FleetStore;

  const open = (user: 'coordinator' | 'worker', password: string = passwords[user]): Promise<FleetStore> =>
    openStore({
      servers: cluster.url,
      credentials: `${user}:${password}`,
      ca: cluster.ca,
      role: user,
    });

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
    const { url, ca } = cluster;
    const connection = await connect({
      ...{ servers: url.replaceAll('tls://', '').split(','), tls: { ca }, user: 'viewer', pass: passwords.viewer },
      inboxPrefix: '_INBOX.viewer',
    });
    try {
      const values = await new Kvm(connection).open('lockstep', { allow_direct: true });
      expect((await values.get('mnist.lease'))?.string()).toBe('{}');
      expect((await values.get('mnist.address'))?.string()).toContain('ws://a/');
      await expect(values.get('mnist.token')).rejects.toThrow();
      await expect(values.put('mnist.lease', 'x')).rejects.toThrow();
    } finally {
      await connection.close();
    }
  });

  it('a wrong password, and a client without TLS, are refused in one sentence', async () => {
    await expect(open('worker', 'guess')).rejects.toThrow(/^the fleet at tls:.* cannot be reached: .*uthorization/i);
    const plain = {
      servers: cluster.url.replaceAll('tls:', 'nats:'),
      credentials: 'worker:rekrow',
      role: 'worker' as const,
    };
    await expect(openStore(plain)).rejects.toThrow(/cannot be reached: .*(certificate|self-signed)/);
  });
});
