import { createServer } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocketServer } from 'ws';
import { type FoundAddress, sourceConnector } from '../src/addresses.ts';

const dead = { url: 'ws://127.0.0.1:1', token: 'old' };
const http = createServer();
const sockets = new WebSocketServer({ server: http, handleProtocols: ([first]) => first ?? false });
let alive: FoundAddress = dead;

beforeAll(async () => {
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  alive = { url: `ws://127.0.0.1:${(http.address() as { port: number }).port}`, token: 'new' };
});
afterAll(() => {
  for (const socket of sockets.clients) socket.terminate();
  http.close();
});

/** A connector whose source finds these in order, then repeats the last; an Error is thrown. */
function connectorOf(found: (FoundAddress | Error | undefined)[], changes: boolean[] = []) {
  const over = new AbortController();
  const source = {
    async find() {
      const next = found.length > 1 ? found.shift() : found[0];
      if (next instanceof Error) throw next;
      return next;
    },
    changed: async () => changes.shift() ?? false,
  };
  return { connector: sourceConnector(source, new AbortController().signal, over), over };
}

describe('sourceConnector', () => {
  it('connects to the coordinator that follows as soon as it is known, with its token', async () => {
    const { connector } = connectorOf([dead, alive], [true]);
    const transport = await connector.connect();
    expect(connector.token).toBe('new');
    transport.close(1000, 'done');
  });

  it('says why there is no connection where none follows, and when no coordinator is known', async () => {
    await expect(connectorOf([dead]).connector.connect()).rejects.toThrow('connection refused');
    await expect(connectorOf([new Error('no coordinator leads')]).connector.connect()).rejects.toThrow(
      'no coordinator',
    );
  });

  it('ends where the run is over', async () => {
    const { connector, over } = connectorOf([undefined]);
    await expect(connector.connect()).rejects.toThrow('the run is over');
    expect(over.signal.aborted).toBe(true);
  });

  it.each([
    ['a coordinator is there', alive, true],
    ['none is known at the moment', new Error('no answer'), true],
    ['the run is over', undefined, false],
  ])('sent away by a coordinator, it goes on unless the run is over: %s', async (_title, found, expected) => {
    expect(await connectorOf([found]).connector.goesOn()).toBe(expected);
  });
});
