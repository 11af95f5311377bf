/** Floods over real sockets: each stops at its sender, and the run ends with the weights of a single process. */
import { gradientMessages, subprotocol } from '@lockstep/protocol';
import { describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { openServer } from '../../../packages/server/test/dashboard-server.ts';
import { hello, joinAsWorker, openRawClient } from '../../../packages/server/test/raw-client.ts';
import { prepareFloods } from './flood.ts';

const { args, sockets, finishHonestly } = await prepareFloods();

/** Opens a socket that sends pings without ever greeting; resolves when it is closed. */
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
  it('while sockets send pings without hello, and reconnect each time they are closed', async () => {
    const server = await openServer({ args, startWorkers: 1 });
    let isOver = false;
    const closings: [number, string][] = [];
    const flood = async (): Promise<void> => {
      while (!isOver) closings.push(await floodWithPings(server.ws));
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
    const server = await openServer({ args, startWorkers: 2, limits: { chunkBytes } });
    const client = await openRawClient(server.ws);
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
    const server = await openServer({ args, startWorkers: 3 });
    const victim = await openRawClient(server.ws);
    victim.send(hello);
    const { id, resumeKey } = await victim.next('welcome');
    const thief = await openRawClient(server.ws);
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
