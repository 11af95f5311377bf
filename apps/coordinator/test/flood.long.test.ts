/** Thousands of silent connections: the run ends with the weights of a single process. */
import { once } from 'node:events';
import { request } from 'node:http';
import { connect } from 'node:net';
import { subprotocol } from '@lockstep/protocol';
import { describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { openServer } from '../../../packages/server/test/dashboard-server.ts';
import { prepareFloods } from './flood.ts';

const { args, sockets, finishHonestly } = await prepareFloods();
/** Linux answers on every address of 127.0.0.0/8. */
const hasLoopbackNetwork = process.platform === 'linux';

describe.runIf(hasLoopbackNetwork)('silent connections from one address', () => {
  /** Status of `/healthz`, requested from this address. */
  async function healthFrom(url: string, localAddress: string): Promise<number | undefined> {
    const { port } = new URL(url);
    const asked = request({ host: '127.0.0.1', port, localAddress, path: '/healthz', agent: false }).end();
    const [response] = await once(asked, 'response');
    response.resume();
    return response.statusCode;
  }

  it('keep nothing from others, nor from their own address: 2,000 that never send a byte', async () => {
    const server = await openServer({ args, startWorkers: 1 });
    const { port } = new URL(server.ws);
    for (let batch = 0; batch < 20; batch++) {
      const connecting = Array.from({ length: 100 }, async () => {
        const socket = connect({ host: '127.0.0.1', port: Number(port), localAddress: '127.0.0.2' });
        sockets.push(socket);
        socket.on('error', () => {});
        await once(socket, 'connect');
      });
      await Promise.all(connecting);
    }
    expect([await healthFrom(server.ws, '127.0.0.1'), await healthFrom(server.ws, '127.0.0.2')]).toEqual([200, 200]);
    const report = await finishHonestly(server);
    expect(report.turnedAway.silent).toBeGreaterThanOrEqual(2_000 - 512);
  }, 60_000);

  it('keep no worker out: 1,000 WebSockets that never say hello', async () => {
    const server = await openServer({ args, startWorkers: 1 });
    const opened: WebSocket[] = [];
    const opening = Array.from({ length: 1_000 }, async () => {
      const socket = new WebSocket(server.ws, subprotocol, { localAddress: '127.0.0.2' });
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
