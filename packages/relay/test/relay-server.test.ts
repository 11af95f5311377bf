/** `relay` as a program uses it, between a run and workers over real sockets. */
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { datasetFromText } from '@lockstep/data/readers';
import { newSecret } from '@lockstep/record';
import { clientOf, relayHeaders } from '@lockstep/server';
import { join } from '@lockstep/worker';
import { describe, expect, it, onTestFinished } from 'vitest';
import { openViewer } from '../../server/test/test-viewer.ts';
import {
  type ListeningEvent,
  type RelayEvent,
  type RelayOptions,
  relay,
  type TrainOptions,
  train,
} from '../../train/src/index.ts';
import { hashAlone, openRun, tiny } from '../../train/test/open-run.ts';
import { Upstream } from '../src/relay-server.ts';

const open = (options: TrainOptions = {}) => openRun({ ...tiny, ...options });

/** A relay that is open to its workers. */
async function openRelay(url: string, { listen, ...options }: RelayOptions = {}) {
  const one = relay(url, { name: 'relay', ...options, listen: { port: 0, ...listen } });
  onTestFinished(() => one.leave());
  one.done.catch(() => {});
  let listening: ListeningEvent | undefined;
  const events: RelayEvent[] = [];
  for await (const event of one) {
    events.push(event);
    if (event.type === 'listening') listening = event;
    if (event.type === 'open') break;
  }
  if (!listening) throw new Error(`expected a relay that listens, got ${JSON.stringify(events)}`);
  return { relay: one, url: listening.addresses.worker, page: listening.addresses.page.replace(/#.*/, '') };
}

describe('a relay', () => {
  it('is one worker of the run, whose weights are those of one process', async () => {
    const { run, url } = await open();
    // One of its workers is a process that it has started itself.
    const between = await openRelay(url, { workers: 1 });
    const worker = join(between.url, { name: 'guest' });
    const { report } = await run.result;
    expect(await worker.done).toEqual({ type: 'finished', message: 'the run has finished' });
    expect(await between.relay.done).toEqual({ type: 'finished', message: 'the run has finished' });
    expect(report.workers).toMatchObject([{ name: 'relay', kind: 'relay', workersBehind: expect.any(Number) }]);
    expect(report.exactness).toBe('bit-exact');
    expect(report.weightsSha256).toBe(await hashAlone(tiny));
  });

  it('computes for a text run, which writes the same texts as one process', async () => {
    const data = datasetFromText('the whale and the sea and a sailor saw it\n'.repeat(40), { context: 16 });
    const asked: TrainOptions = { data, model: 'gpt-nano', batch: 6, steps: 8, sampleEvery: 4 };
    const { run, url } = await openRun(asked);
    const between = await openRelay(url);
    join(between.url, { name: 'guest' });
    const [{ report }, alone] = await Promise.all([run.result, train(asked).result]);
    expect(report.workers).toMatchObject([{ kind: 'relay' }]);
    expect(report.weightsSha256).toBe(alone.report.weightsSha256);
    expect(report.samples).toEqual(alone.report.samples);
    expect(report.samples).toHaveLength(2);
  });

  it('passes viewers on to the coordinator, and metrics; the page it has itself', async () => {
    const { url } = await open({ epochs: 100_000 });
    const between = await openRelay(url);
    join(between.url, { name: 'guest' });
    const viewer = await openViewer(between.url.replace(/\/$/, ''));
    await viewer.next('workers', ({ workers }) =>
      workers.some(({ kind, workersBehind }) => kind === 'relay' && workersBehind === 1),
    );
    viewer.socket.close();
    const [metrics, health, page] = await Promise.all(
      ['metrics', 'healthz', ''].map(async (path) => (await fetch(`${between.page}${path}`)).text()),
    );
    expect(metrics).toContain('lockstep_');
    expect(JSON.parse(health!)).toMatchObject({ status: 'ok', workers: 1 });
    expect(page).toContain('<!doctype html>');
  });

  it('passes no page of another origin on', async () => {
    const { url } = await open({ epochs: 100_000 });
    const between = await openRelay(url);
    const headers = { origin: 'http://foreign.example' };
    await expect(openViewer(between.url.replace(/\/$/, ''), { headers })).rejects.toThrow('403');
  });

  it('needs the token of the run, and asks its workers for the same', async () => {
    const { run, url } = await open({ listen: { token: 'a secret' } });
    await expect(relay(url, { listen: { port: 0 } }).done).rejects.toMatchObject({ reason: 'refused' });
    const between = await openRelay(url, { token: 'a secret' });
    await expect(join(between.url).done).rejects.toMatchObject({ name: 'JoinError', reason: 'refused' });
    join(between.url, { token: 'a secret' });
    expect((await run.result).report.turnedAway.token).toBe(1);
  });

  it('that starts before its coordinator listens once it is found, and asks its workers for the token that is found with it', async () => {
    const { run, url } = await open({ listen: { port: 0, token: 'a secret' } });
    let isThere = false;
    const events: RelayEvent[] = [];
    const one = relay(
      {
        async find() {
          if (!isThere) throw new Error('no coordinator leads');
          return { url, token: 'a secret' };
        },
        async changed() {
          const wasThere = isThere;
          isThere = true;
          return !wasThere;
        },
      },
      { name: 'early', listen: { port: 0 } },
    );
    onTestFinished(() => one.leave());
    for await (const event of one) {
      events.push(event);
      if (event.type === 'open') break;
    }
    expect(events.map(({ type }) => type)).toEqual(['unreached', 'listening', 'joined', 'open']);
    const listening = events.find((event) => event.type === 'listening')!;
    expect(listening.token).toBe('a secret');
    join(listening.addresses.worker, { token: 'a secret' });
    const { report } = await run.result;
    expect(report.workers).toMatchObject([{ name: 'early', kind: 'relay' }]);
  });

  it.each<[string, () => Promise<undefined>, 'finished' | 'left']>([
    ['whose run is over before it starts', async () => undefined, 'finished'],
    ['that leaves while no coordinator is known', () => Promise.reject(new Error('no coordinator leads')), 'left'],
  ])('%s ends without listening', async (_title, find, type) => {
    const leaving = new AbortController();
    const changed = async (): Promise<boolean> => {
      leaving.abort();
      return false;
    };
    const one = relay({ find, changed }, { listen: { port: 0 }, signal: leaving.signal });
    const seen: string[] = [];
    for await (const event of one) seen.push(event.type);
    expect(seen).not.toContain('listening');
    expect(await one.done).toMatchObject({ type });
  });

  it('is told where nothing answers', async () => {
    const { run, url } = await open();
    await run.stop();
    await expect(relay(url, { listen: { port: 0 } }).done).rejects.toMatchObject({ reason: 'unreachable' });
  });

  const line = 'expected one line of 1 to';
  it.each<[options: object, message: string, url?: string]>([
    [{}, 'url: expected an address like ws://127.0.0.1:7070, got ftp://127.0.0.1', 'ftp://127.0.0.1'],
    [{ name: '' }, `name: ${line} 80 printable characters, got ""`],
    [{ token: '' }, `token: ${line} 256 printable characters`],
    [{ fingerprint: 'no' }, 'fingerprint: expected a SHA-256 in hex, got "no"'],
    [{ threads: 0 }, 'threads: expected a whole number from 1 to 256, got 0'],
    [{ workers: -1 }, 'workers: expected a whole number from 0 to 256, got -1'],
    [{ backend: 'abacus' }, 'backend: expected one of auto, cpu'],
    [{ wait: 1 }, 'wait: expected true or false, got 1'],
    [{ listen: { port: 70_000 } }, 'listen.port: expected a whole number from 0 to 65535'],
    [{ listen: { stay: true } }, 'listen.stay: unknown option; the options are host, port, token, tls, allowOrigins'],
    [{ listen: 1 }, 'listen: expected an object with some of host, port, token, tls, allowOrigins'],
    [{ signal: 1 }, 'signal: expected an AbortSignal, got 1'],
  ])('with a wrong option is refused in one sentence: %j', async (options, message, url = 'ws://127.0.0.1:1') => {
    const error = await relay(url, options as RelayOptions).done.catch((reason: Error) => reason);
    expect(error).toMatchObject({ name: 'ConfigurationError' });
    expect((error as Error).message.startsWith(message), (error as Error).message).toBe(true);
  });
});

/** Proxies to a server that records the request headers and answers nothing else. */
async function headersBehind(token: string | undefined, headers: Record<string, string>) {
  const seen: IncomingHttpHeaders[] = [];
  const coordinator = createServer((request, response) => {
    seen.push(request.headers);
    response.end();
  });
  coordinator.listen(0, '127.0.0.1');
  await once(coordinator, 'listening');
  const { port } = coordinator.address() as AddressInfo;
  const upstream = new Upstream(() => ({ url: `ws://127.0.0.1:${port}/`, token }));
  const between = createServer((request, response) => upstream.pass(request, clientOf(request, token), response));
  between.listen(0, '127.0.0.1');
  await once(between, 'listening');
  await fetch(`http://127.0.0.1:${(between.address() as AddressInfo).port}/metrics`, { headers });
  for (const server of [coordinator, between]) server.close();
  return clientOf({ headers: seen[0]!, socket: { remoteAddress: '10.0.0.2' } }, token);
}

describe('the clients of a relay', () => {
  const token = newSecret();

  it.each([
    ['are told apart', token, {}, '10.0.0.2 127.0.0.1'],
    ['are told apart behind a relay of a relay', token, relayHeaders('10.0.0.9', token), '10.0.0.2 127.0.0.1 10.0.0.9'],
    ['cannot say that they are others', token, relayHeaders('10.0.0.9', 'a guess at the token'), '10.0.0.2 127.0.0.1'],
    ['count as the relay where there is nothing to guess', undefined, relayHeaders('10.0.0.9', token), '10.0.0.2'],
  ] as const)('%s', async (_name, secret, headers, client) => {
    expect(await headersBehind(secret, headers)).toBe(client);
  });

  it('lock nobody out who guess: neither the relay, at its coordinator, nor one another', async () => {
    const { run, url } = await open({ epochs: 100_000, listen: { port: 0, token } });
    const above = new URL(url);
    const between = await openRelay(url, { token });
    const metricsOf = async (page: string, bearer: string): Promise<number> =>
      (await fetch(new URL('metrics', page), { headers: { authorization: `Bearer ${bearer}` } })).status;
    const relayed = between.url.replace(/\?.*/, '').replace(/\/$/, '');
    for (const guess of ['1', 'WRONG2', 'a guess at the token', '4', '5', '6', '7', '8']) {
      expect(await metricsOf(between.page, guess)).toBe(401);
      await (await openViewer(relayed, {}, { token: guess })).next('refused');
    }
    const coordinator = `http://127.0.0.1:${above.port}/`;
    expect([await metricsOf(between.page, token), await metricsOf(coordinator, token)]).toEqual([200, 200]);
    const viewer = await openViewer(relayed, {}, { token });
    await viewer.next('run');
    const worker = join(between.url, { token, name: 'behind' });
    await viewer.next('workers', ({ workers }) => workers.some(({ workersBehind }) => workersBehind === 1));
    await worker.leave();
    await run.stop();
  });
});
