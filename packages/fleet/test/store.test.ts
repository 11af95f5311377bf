/** Requirements of every store, tested on the in-memory store and on NATS. */
import { jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openStore } from '../src/nats.ts';
import { type FleetStore, RevisionConflict } from '../src/store.ts';
import { MemoryStore } from './memory-store.ts';
import { hasNatsServer, type NatsServer, startNatsServer } from './nats-server.ts';

let server: NatsServer | undefined;

beforeAll(async () => {
  if (hasNatsServer) server = await startNatsServer();
});
afterAll(() => server?.close());

const stores = {
  memory: async (): Promise<FleetStore> => new MemoryStore().link(),
  NATS: (): Promise<FleetStore> => openStore({ servers: server!.url, role: 'coordinator' }),
};

describe.each(Object.entries(stores))('the store in %s', (name, open) => {
  const ask = it.skipIf(name === 'NATS' && !hasNatsServer);
  let store: FleetStore;

  beforeAll(async () => {
    if (name !== 'NATS' || hasNatsServer) store = await open();
  });
  afterAll(() => store?.close());

  ask('values are created once, and updated by their revision alone', async () => {
    const { values } = store;
    expect(await values.get('run.x')).toBeUndefined();
    const first = await values.create('run.x', 'one');
    await expect(values.create('run.x', 'two')).rejects.toThrow(RevisionConflict);
    const second = await values.update('run.x', 'two', first);
    expect(second).toBeGreaterThan(first);
    await expect(values.update('run.x', 'three', first)).rejects.toThrow(RevisionConflict);
    expect(await values.get('run.x')).toEqual({ value: 'two', revision: second });
    const third = await values.put('run.x', 'four');
    expect(await values.get('run.x')).toEqual({ value: 'four', revision: third });
  });

  ask('objects of several chunks come back whole, are replaced, and removed', async () => {
    const { objects } = store;
    const bytes = Uint8Array.from({ length: 700_001 }, (_, index) => (index * 31) % 251);
    expect(await objects.get('run.object')).toBeUndefined();
    await objects.put('run.object', bytes);
    expect(Buffer.compare((await objects.get('run.object'))!, bytes)).toBe(0);
    await objects.put('run.object', bytes.subarray(0, 10));
    expect(await objects.get('run.object')).toHaveLength(10);
    await objects.remove('run.object');
    expect(await objects.get('run.object')).toBeUndefined();
  });
});

/** Leaves no more than a server that is started again with an empty folder. */
async function loseData(servers: string): Promise<void> {
  const connection = await connect({ servers });
  const { streams } = await jetstreamManager(connection);
  for await (const name of streams.names()) await streams.delete(name);
  await connection.close();
}

describe.skipIf(!hasNatsServer)('NATS that has lost all data', () => {
  it('gets its buckets again by the first update, after which two writers still exclude each other', async () => {
    const store = await openStore({ servers: server!.url, role: 'coordinator' });
    const { values, objects } = store;
    const first = await values.create('lost.lease', 'one');
    await loseData(server!.url);
    const revision = await values.update('lost.lease', 'two', first);
    expect(await values.get('lost.lease')).toEqual({ value: 'two', revision });
    await expect(values.create('lost.lease', 'three')).rejects.toThrow(RevisionConflict);
    await expect(values.update('lost.lease', 'three', revision + 1)).rejects.toThrow(RevisionConflict);
    await objects.put('lost.object', Uint8Array.of(7));
    expect([...(await objects.get('lost.object'))!]).toEqual([7]);
    await store.close();
  });
});

describe.skipIf(!hasNatsServer)('a worker of a fleet without any coordinator so far', () => {
  it('is told so in words', async () => {
    const empty = await startNatsServer();
    const store = await openStore({ servers: empty.url, role: 'worker' });
    await expect(store.values.get('run.address')).rejects.toThrow(
      /^its servers have no records or are electing a leader$/,
    );
    await store.close();
    await empty.close();
  });
});
