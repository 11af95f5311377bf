/** Floods over real sockets: each ends where it came from, and the run ends with the weights of a single process. */
import { once } from 'node:events';
import { request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { gradientMessages, subprotocol } from '@lockstep/protocol';
import type { Report } from '@lockstep/train';
import { afterEach, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { temporaryFolder } from '../../../packages/train/test/folder.ts';
import { hello, joinAsWorker, openRawClient } from '../../../packages/train/test/raw-client.ts';
import { openTestServer, type TestServer } from '../../../packages/train/test/test-server.ts';
import { tinyArgs } from '../../../packages/train/test/tiny-data.ts';
import { type Program, runToReport, startWorker } from './processes.ts';

const steps = 40;
const folder = temporaryFolder();
const args = [...(await tinyArgs(folder)), '--epochs', '100', '--steps', `${steps}`];
const { report: expected } = await runToReport(folder, [...args, '--single']);
/** Linux answers on every address of 127.0.0.0/8. */
const hasLoopbackNetwork = process.platform === 'linux';

const sockets: (Socket | WebSocket)[] = [];
afterEach(() => {
  for (const socket of sockets.splice(0)) {
    if (socket instanceof WebSocket) socket.terminate();
    else socket.destroy();
  }
});

/** Lets an honest worker take the run to its end, and checks that it came out right. */
async function finishHonestly(server: TestServer, join = (): Program => honest(server)): Promise<Report> {
  const worker = join();
  expect(await server.outcome).toEqual({ type: 'finished' });
  const report = server.report();
  expect(report.weightsSha256).toBe(expected.weightsSha256);
  expect(report.workers.find(({ name }) => name === 'honest')?.shards).toBeGreaterThan(0);
  expect((await worker.ended).code).toBe(0);
  await server.close();
  return report;
}

const honest = ({ url }: TestServer): Program => startWorker(['--url', url, '--name', 'honest']);

/** A socket that sends pings without ever greeting; resolves when it is closed. */
function floodWithPings(url: string): Promise<[code: number, reason: string]> {
  return new Promise((resolve) => {
    const socket = new WebSocket(url, subprotocol);
    sockets.push(socket);
    const flood = (): void => {
      if (socket.readyState !== WebSocket.OPEN) return;
      for (let ping = 0; ping < 1_000; ping++) socket.ping();
      setImmediate(flood);
    };
    socket.on('open', flood);
    socket.on('error', () => {});
    socket.on('close', (code, reason) => resolve([code, reason.toString()]));
  });
}

describe('a run goes on', () => {
  it('while sockets send pings without hello, and come anew each time they are closed', async () => {
    const server = await openTestServer({ args, startWorkers: 1 });
    let isOver = false;
    const closings: [number, string][] = [];
    const flood = async (): Promise<void> => {
      while (!isOver) closings.push(await floodWithPings(server.url));
    };
    const floods = [flood(), flood(), flood()];
    const report = await finishHonestly(server);
    isOver = true;
    await Promise.all(floods);
    expect(report.turnedAway.flood).toBeGreaterThanOrEqual(3);
    expect(closings).toContainEqual([1008, 'flood: expected hello and nothing else before the welcome, got more']);
  }, 60_000);

  it('while a worker sends results for shards that it was not given', async () => {
    const chunkBytes = 128 * 1024;
    const server = await openTestServer({ args, startWorkers: 2, limits: { chunkBytes } });
    const client = await openRawClient(server.url);
    await joinAsWorker(client);
    const report = finishHonestly(server);
    const { step, lo, n } = await client.next('task');
    await client.next('weights');
    const others = [
      { lo: 0, n: 1 },
      { lo: 1, n: 1 },
      { lo: 0, n: 2 },
    ].filter((shard) => shard.lo !== lo || shard.n !== n);
    for (let sent = 0; sent < 100; sent++) {
      const shard = others[sent % others.length]!;
      const messages = gradientMessages({
        sum: { step, ...shard, lossSum: 1, correct: 0, count: 16 * shard.n },
        parameterCount: 101_770,
        chunkBytes,
        encode: (from, to) => ({ bytes: new Uint8Array(4 * (to - from)) }),
        times: () => ({ computeMs: 1 }),
      });
      for (const message of messages) client.send(message);
    }
    expect(await client.closed).toEqual({
      code: 1008,
      reason: 'flood: expected the results of tasks, got more messages or bytes than those explain',
    });
    const { workers, turnedAway, faults } = await report;
    expect(workers.map(({ shards }) => shards === 0)).toEqual([true, false]);
    expect([turnedAway.flood, faults.rejected]).toEqual([1, 1]);
  }, 60_000);

  it('and a worker keeps its identity when another client comes with its key', async () => {
    const server = await openTestServer({ args, startWorkers: 3 });
    const victim = await openRawClient(server.url);
    victim.send(hello);
    const { id, resumeKey } = await victim.next('welcome');
    const thief = await openRawClient(server.url);
    thief.send({ ...hello, resumeKey });
    const { sentAtMs } = await victim.next('ping');
    victim.send({ type: 'pong', sentAtMs });
    const welcome = await thief.next('welcome');
    expect([id, welcome.id]).toEqual(['w1', 'w2']);
    expect(welcome.resumeKey).not.toBe(resumeKey);
    victim.send({ type: 'ping', sentAtMs: 7 });
    expect((await victim.next('pong')).sentAtMs).toBe(7);
    await server.close();
  });
});

describe.runIf(hasLoopbackNetwork)('silent connections from one address', () => {
  /** Status of `/healthz`, asked from this address. */
  async function healthFrom(url: string, localAddress: string): Promise<number | undefined> {
    const { port } = new URL(url);
    const asked = request({ host: '127.0.0.1', port, localAddress, path: '/healthz', agent: false }).end();
    const [response] = await once(asked, 'response');
    response.resume();
    return response.statusCode;
  }

  it('keep nothing from others, nor from their own address: 2,000 that never send a byte', async () => {
    const server = await openTestServer({ args, startWorkers: 1 });
    const { port } = new URL(server.url);
    for (let batch = 0; batch < 20; batch++) {
      const connecting = Array.from({ length: 100 }, async () => {
        const socket = connect({ host: '127.0.0.1', port: Number(port), localAddress: '127.0.0.2' });
        sockets.push(socket);
        socket.on('error', () => {});
        await once(socket, 'connect');
      });
      await Promise.all(connecting);
    }
    expect([await healthFrom(server.url, '127.0.0.1'), await healthFrom(server.url, '127.0.0.2')]).toEqual([200, 200]);
    const report = await finishHonestly(server);
    expect(report.turnedAway.silent).toBeGreaterThanOrEqual(2_000 - 512);
  }, 60_000);

  it('keep no worker out: 1,000 WebSockets that never say hello', async () => {
    const server = await openTestServer({ args, startWorkers: 1 });
    const opened: WebSocket[] = [];
    const opening = Array.from({ length: 1_000 }, async () => {
      const socket = new WebSocket(server.url, subprotocol, { localAddress: '127.0.0.2' });
      sockets.push(socket);
      opened.push(socket);
      await new Promise<void>((resolve) => {
        socket.once('open', resolve);
        socket.once('error', () => resolve());
      });
    });
    await Promise.all(opening);
    await finishHonestly(server);
    const open = opened.filter(({ readyState }) => readyState === WebSocket.OPEN);
    expect(open.length).toBeLessThanOrEqual(512);
  }, 60_000);
});
