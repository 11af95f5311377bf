/** How a worker finds its coordinator: by an address that was given or told, or through a source; and how it connects. */
import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { subprotocol } from '@lockstep/protocol';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { WebSocketServer } from 'ws';
import { connect, FoundAddresses, ToldAddresses } from '../src/addresses.ts';
import { join } from '../src/join.ts';
import { CoordinatorBusyError } from '../src/membership.ts';
import type { FoundAddress } from '../src/options.ts';
import { joinAddress } from '../src/options.ts';

describe('the address to join', () => {
  it.each<[given: string, url: string, token?: string, fingerprint?: string]>([
    ['ws://127.0.0.1:7070', 'ws://127.0.0.1:7070/'],
    ['ws://127.0.0.1:7070/?token=a%20b', 'ws://127.0.0.1:7070/', 'a b'],
    ['wss://host:1/lockstep/?fingerprint=0a&token=t', 'wss://host:1/lockstep/', 't', '0a'],
    ['http://127.0.0.1:7070/#join&token=a%20b', 'ws://127.0.0.1:7070/', 'a b'],
    ['http://127.0.0.1:7070/#join', 'ws://127.0.0.1:7070/'],
    ['https://host/lockstep/#admin=secret&token=t', 'wss://host/lockstep/', 't'],
    ['ws://[::1]:7070#token=t', 'ws://[::1]:7070/', 't'],
    ['ws://host/?fingerprint=0a', 'ws://host/'],
    ['http://host/#join&token=', 'ws://host/'],
    ['ws://host/?token=#join&token=t', 'ws://host/', 't'],
  ])('%s is %s', (given, url, token, fingerprint) => {
    expect(joinAddress(given, {})).toEqual({ url, token, fingerprint });
    expect(joinAddress(given, { token: 'given' }).token).toBe('given');
  });

  it.each(['', '127.0.0.1:7070', 'localhost:7070', 'ftp://host', 'ws:///path', 'ws://host:99999'])(
    '%j is refused',
    (given) => {
      const sentence = `url: expected an address like ws://127.0.0.1:7070, got ${given}`;
      expect(() => joinAddress(given, {})).toThrow(sentence);
    },
  );

  it.each(['%0A', 'x'.repeat(257)])('with the token %s is refused, before the coordinator is asked', (token) => {
    const sentence = 'token: expected one line of 1 to 256 printable characters, got ';
    expect(() => joinAddress(`ws://host/#join&token=${token}`, {})).toThrow(sentence);
  });
});

const noSecrets = { token: undefined, fingerprint: undefined };
const given = { url: 'ws://10.0.0.1:7070/', ...noSecrets };

/** Returns the addresses tried, in order, if only the `answering` ones answer. */
async function tried(book: ToldAddresses, answering: readonly string[]): Promise<string[]> {
  const attempts: string[] = [];
  const attempt = async ({ url }: { readonly url: string }): Promise<string> => {
    attempts.push(url);
    if (!answering.includes(url)) throw new Error(`${url} does not answer`);
    return url;
  };
  await book.reach(attempt).catch(() => {});
  return attempts;
}

describe('told addresses', () => {
  it('has the given address alone until others are told', async () => {
    expect(await tried(new ToldAddresses(given), [])).toEqual([given.url]);
  });

  it('tries the others in turn if the joined one does not answer, and stays with the one that does', async () => {
    const book = new ToldAddresses(given);
    book.learn(['ws://10.0.0.2:7070/', 'ws://10.0.0.3:7070/']);
    expect(await tried(book, ['ws://10.0.0.3:7070/'])).toEqual([
      given.url,
      'ws://10.0.0.2:7070/',
      'ws://10.0.0.3:7070/',
    ]);
    expect(book.joined.url).toBe('ws://10.0.0.3:7070/');
    expect((await tried(book, []))[0]).toBe('ws://10.0.0.3:7070/');
  });

  it('never forgets the given address, and forgets what was told before', async () => {
    const book = new ToldAddresses(given);
    book.learn(['ws://10.0.0.2:7070/']);
    await tried(book, ['ws://10.0.0.2:7070/']);
    book.learn(['ws://10.0.0.4:7070/']);
    expect(await tried(book, [])).toEqual(['ws://10.0.0.2:7070/', given.url, 'ws://10.0.0.4:7070/']);
  });

  it('says why the first address was not reached', async () => {
    const book = new ToldAddresses(given);
    book.learn(['ws://10.0.0.2:7070/']);
    const fail = async ({ url }: { readonly url: string }): Promise<never> => {
      throw new Error(`${url} does not answer`);
    };
    await expect(book.reach(fail)).rejects.toThrow(`${given.url} does not answer`);
  });

  it.each(['127.0.0.1', 'localhost', '[::1]'])(
    'tries %s only if the given address is of this machine',
    async (host) => {
      const told = `ws://${host}:7071/`;
      const elsewhere = new ToldAddresses(given);
      elsewhere.learn([told]);
      expect(await tried(elsewhere, [])).toEqual([given.url]);
      const here = new ToldAddresses({ url: 'ws://127.0.0.1:7070/', ...noSecrets });
      here.learn([told]);
      expect(await tried(here, [])).toEqual(['ws://127.0.0.1:7070/', told]);
    },
  );

  it('takes the fingerprint of a certificate from an address', async () => {
    const book = new ToldAddresses(given);
    book.learn(['wss://10.0.0.2:7070/?fingerprint=00ff']);
    const fingerprints: (string | undefined)[] = [];
    await book
      .reach(async ({ fingerprint }) => {
        fingerprints.push(fingerprint);
        throw new Error('no answer');
      })
      .catch(() => {});
    expect(fingerprints).toEqual([undefined, '00ff']);
  });
});

const dead = { url: 'ws://127.0.0.1:1', token: 'old' };
const http = createHttpServer();
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

/** Addresses whose source finds these in order, then repeats the last; an Error is thrown. */
function found(places: (FoundAddress | Error | undefined)[], changes: boolean[] = []) {
  const over = new AbortController();
  const source = {
    async find() {
      const next = places.length > 1 ? places.shift() : places[0];
      if (next instanceof Error) throw next;
      return next;
    },
    changed: async () => changes.shift() ?? false,
  };
  return { book: new FoundAddresses(source, new AbortController().signal, over), over };
}

describe('found addresses', () => {
  it('connects to the coordinator that follows as soon as it is known, with its token', async () => {
    const { book } = found([dead, alive], [true]);
    const transport = await book.connect();
    expect(book.token).toBe('new');
    transport.close(1000, 'done');
  });

  it('says why there is no connection if none follows, and when no coordinator is known', async () => {
    await expect(found([dead]).book.connect()).rejects.toThrow('connection refused');
    await expect(found([new Error('no coordinator leads')]).book.connect()).rejects.toThrow('no coordinator');
  });

  it('ends if the run is over', async () => {
    const { book, over } = found([undefined]);
    await expect(book.connect()).rejects.toThrow('the run is over');
    expect(over.signal.aborted).toBe(true);
  });

  it.each([
    ['a coordinator is there', alive, true],
    ['none is known at the moment', new Error('no answer'), true],
    ['the run is over', undefined, false],
  ])('sent away by a coordinator, it goes on unless the run is over: %s', async (_title, place, expected) => {
    expect(await found([place]).book.goesOn()).toBe(expected);
  });
});

describe('a connection', () => {
  it('counts the bytes of a message that has not come whole', async () => {
    const server = new WebSocketServer({ host: '127.0.0.1', port: 0, handleProtocols: () => subprotocol });
    await once(server, 'listening');
    server.on('connection', (_socket, { socket }) => {
      // The header of a 4,096-byte frame, and its first 100 bytes.
      socket.write(Buffer.concat([Buffer.of(0x82, 126, 0x10, 0x00), Buffer.alloc(100)]));
    });
    const transport = await connect(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`);
    const messages: unknown[] = [];
    transport.listen({ onMessage: (message) => messages.push(message), onClose() {} });
    await vi.waitFor(() => expect(transport.receivedBytes).toBeGreaterThanOrEqual(104), { timeout: 60_000 });
    expect(messages).toEqual([]);
    transport.close(1000, '');
    server.close();
  });

  it('ends with the worker that leaves, however long the server would be waited for', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const worker = join(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`, { backend: 'cpu' });
    const [socket] = (await once(server, 'connection')) as [Socket];
    const closed = once(socket.resume(), 'close');
    await worker.leave();
    expect(await worker.done).toEqual({ type: 'left', message: 'left' });
    await closed;
    server.close();
  });

  it('is not tried by a worker that has left', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const accept = vi.fn();
    server.on('connection', accept);
    const url = `ws://127.0.0.1:${(server.address() as AddressInfo).port}`;
    expect((await join(url, { backend: 'cpu', signal: AbortSignal.abort() }).done).type).toBe('left');
    server.close();
    await once(server, 'close');
    expect(accept).not.toHaveBeenCalled();
  });

  it.each<[what: string, server: () => Server, message: string, fingerprint?: string]>([
    [
      'accepts the connection and is silent',
      () => createServer(() => {}),
      'a server is there, but did not answer within 5 s',
    ],
    [
      'is silent before the TLS handshake',
      () => createServer(() => {}),
      'a server is there, but did not answer within 5 s',
      '00',
    ],
    [
      'takes no more connections for a while',
      () =>
        createHttpServer((_request, response) => {
          response.writeHead(429, { 'content-length': 10 }).end('try later\n');
        }),
      'try later',
    ],
    [
      'is still starting',
      () =>
        createHttpServer((_request, response) => {
          response.writeHead(503, { 'content-length': 10 }).end('try again\n');
        }),
      'try again',
    ],
  ])('a server that %s is busy: another attempt may succeed', async (_what, create, message, fingerprint) => {
    const server = create().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const url = `ws${fingerprint ? 's' : ''}://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const error = await connect(url, fingerprint).catch((error: unknown) => error);
    expect(error).toBeInstanceOf(CoordinatorBusyError);
    expect(error).toHaveProperty('message', message);
    server.close();
  });
});
