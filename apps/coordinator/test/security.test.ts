import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import { hostname } from 'node:os';
import { encodeWatch, type MessageOf, subprotocol, watchPath, watchSubprotocol } from '@lockstep/protocol';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { createGate } from '../src/http/gate.ts';
import { createOriginCheck } from '../src/http/origin.ts';
import { listen } from '../src/server.ts';
import { temporaryFolder } from './folder.ts';
import { startCoordinator } from './processes.ts';
import { hello, openStranger } from './stranger.ts';
import { tinyFiles, writeFolder } from './tiny-data.ts';
import { openViewer, openWatchedRoom, type WatchedRoom, type WatchedRoomOptions } from './watched-room.ts';

const folder = temporaryFolder();
let data: string[] = [];
beforeAll(async () => {
  data = ['--data', await writeFolder(folder, 'tiny', tinyFiles()), '--batch', '32', '--steps', '8', '--epochs', '9'];
});

const rooms: WatchedRoom[] = [];
afterEach(async () => {
  await Promise.all(rooms.splice(0).map((room) => room.close()));
});

async function openRoom(args: readonly string[] = [], options: Partial<WatchedRoomOptions> = {}) {
  const room = await openWatchedRoom({ args: [...data, ...args], ...options });
  rooms.push(room);
  return room;
}

/** What the server answers to an upgrade: the status it refuses with, or 101. */
function upgradeStatus(url: string, protocol: string, headers: Record<string, string>): Promise<[number, string]> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url, protocol, { headers });
    socket.on('error', () => {});
    socket.on('open', () => {
      socket.terminate();
      resolve([101, '']);
    });
    socket.on('unexpected-response', (_request, response) => {
      let body = '';
      response.on('data', (chunk: Buffer) => {
        body += chunk.toString();
      });
      response.on('end', () => resolve([response.statusCode ?? 0, body]));
      response.on('error', reject);
    });
  });
}

describe('the origin of a page', () => {
  const check = (host: string, origin?: string, options = {}) =>
    createOriginCheck({ host: '127.0.0.1', secure: false, allowed: [], ...options })({
      headers: { host, ...(origin === undefined ? {} : { origin }) },
    })?.status;

  it.each([
    ['no browser', '127.0.0.1:7070', undefined, undefined],
    ['our own page', '127.0.0.1:7070', 'http://127.0.0.1:7070', undefined],
    ['our own page by name', 'localhost:7070', 'http://localhost:7070', undefined],
    ['our own page by IPv6', '[::1]:7070', 'http://[::1]:7070', undefined],
    ['our own page in the network', '192.168.1.7:7070', 'http://192.168.1.7:7070', undefined],
    [
      'our own page by the name of the machine',
      `${hostname()}:7070`,
      `http://${hostname().toLowerCase()}:7070`,
      undefined,
    ],
    ['another port', '127.0.0.1:7070', 'http://127.0.0.1:7071', 403],
    ['another host', '127.0.0.1:7070', 'http://evil.example', 403],
    ['another scheme', '127.0.0.1:7070', 'https://127.0.0.1:7070', 403],
    ['a sandboxed page', '127.0.0.1:7070', 'null', 403],
    ['a local file', '127.0.0.1:7070', 'file://', 403],
    ['a name that was made to point here', 'evil.example:7070', 'http://evil.example:7070', 421],
    ['a name that only looks like an address', '127.0.0.1.evil.example:7070', undefined, 421],
    ['no host at all', '', undefined, 421],
    ['a host with a login', 'evil@127.0.0.1:7070', 'http://evil.example', 403],
  ])('%s', (_name, host, origin, status) => {
    expect(check(host, origin)).toBe(status);
  });

  it('may be allowed, and the name that was listened on is known', () => {
    const options = { allowed: ['https://page.example'], host: 'lab.example' };
    expect(check('127.0.0.1:7070', 'https://page.example', options)).toBeUndefined();
    expect(check('lab.example:7070', 'http://lab.example:7070', options)).toBeUndefined();
    expect(check('127.0.0.1:7070', 'https://page.example.evil', options)).toBe(403);
  });

  it('is asked of workers, viewers and plain requests alike, and the run does not notice', async () => {
    const room = await openRoom();
    for (const [path, protocol] of [
      ['/', subprotocol],
      [watchPath, watchSubprotocol],
    ] as const) {
      const url = `${room.ws}${path}`;
      const [status, message] = await upgradeStatus(url, protocol, { origin: 'https://evil.example' });
      expect(status).toBe(403);
      expect(message).toMatch(/^this page came from another address than the coordinator: open the address .*\n$/);
      expect((await upgradeStatus(url, protocol, { host: 'evil.example' }))[0]).toBe(421);
      expect((await upgradeStatus(url, protocol, { origin: room.http }))[0]).toBe(101);
    }
    const { port } = new URL(room.http);
    const plain = httpRequest({ host: '127.0.0.1', port, path: '/healthz', headers: { host: 'evil.example' } }).end();
    const [response] = await once(plain, 'response');
    expect(response.statusCode).toBe(421);
    response.resume();
    await room.work();
    expect(await room.run.outcome).toEqual({ type: 'finished' });
    expect(room.run.state.faults).toEqual({ reassigned: 0, duplicated: 0, rejected: 0, disconnects: 0 });
  });
});

describe('who may join', () => {
  it('without the token nobody, with a sentence; with it anybody', async () => {
    const room = await openRoom(['--token', 'open sesame']);
    const stranger = await openStranger(room.ws);
    stranger.say(hello);
    const refusal = await stranger.hear('refuse');
    expect(refusal).toMatchObject({ code: 'token', message: expect.stringMatching(/^the token is not the one/) });
    const guest = await openStranger(room.ws);
    guest.say({ ...(hello as MessageOf<'hello'>), token: 'open sesame' });
    expect((await guest.hear('welcome')).id).toBe('w1');
  });

  it('a room beyond its limit says so and when to come again, to workers and to viewers', async () => {
    const server = await listen({
      host: '127.0.0.1',
      port: 0,
      defaultPort: 0,
      maxFrameBytes: 2 ** 16,
      socketLimits: { workers: 2, viewers: 1 },
      onConnection: () => {},
      onViewer: () => {},
    });
    const ws = `ws://127.0.0.1:${server.port}`;
    const [first] = [await openStranger(ws), await openStranger(ws)];
    const third = await openStranger(ws);
    expect(await third.hear('refuse')).toMatchObject({
      code: 'full',
      message: 'the room is full: no more than 2 workers may be connected',
      retryAfterMs: 30_000,
    });
    expect((await third.closed).code).toBe(1013);
    await openViewer(ws);
    const second = await openViewer(ws);
    expect(await second.next('refused')).toMatchObject({
      message: 'the room is full: no more than 1 viewers may be connected',
    });
    expect((await second.closed).code).toBe(1013);
    expect(server.viewers()).toBe(1);
    // A place that becomes free is given away.
    first.frame('never read');
    await server.close();
  });

  it('counts a place once, and gives it back once', () => {
    const gate = createGate({ workers: 3, viewers: 3, perAddress: 2 });
    const leave = gate.enter('workers', 'a');
    gate.enter('viewers', 'a');
    expect(gate.enter('workers', 'a')).toBe('the room is full: no more than 2 connections may come from one address');
    expect(typeof gate.enter('workers', 'b')).toBe('function');
    if (typeof leave === 'string') throw new Error(leave);
    leave();
    leave();
    expect(gate.counts).toEqual({ workers: 1, viewers: 1 });
    expect(typeof gate.enter('workers', 'a')).toBe('function');
    expect(typeof gate.enter('workers', 'a')).toBe('string');
  });
});

describe('a viewer', () => {
  it.each<[name: string, frame: Uint8Array | string, code: number]>([
    ['text', 'hello', 1003],
    ['garbage', Uint8Array.of(0xc1, 2, 3), 1002],
    ['a message of the coordinator', encodeWatch({ type: 'event', message: 'hello' }), 1002],
    ['more than it may', new Uint8Array(8 * 1024), 1009],
  ])('that sends %s is closed, and nobody else', async (_name, frame, code) => {
    const room = await openRoom();
    const [bad, good] = [await openViewer(room.ws), await openViewer(room.ws)];
    bad.socket.send(frame);
    expect((await bad.closed).code).toBe(code);
    await room.work();
    await good.next('progress', ({ phase }) => phase === 'finished');
  });

  it('that floods is closed', async () => {
    const room = await openRoom();
    const viewer = await openViewer(room.ws);
    for (let sent = 0; sent < 60; sent++) viewer.say({ type: 'wantWeights' });
    expect(await viewer.closed).toMatchObject({ code: 1008, reason: expect.stringMatching(/messages a second/) });
  });
});

describe('secrets', () => {
  it('reach no viewer, no answer and no report; the owner sees them once', async () => {
    const report = `${folder}/report.json`;
    const args = [...data, '--port', '0', '--workers', '0', '--host', '0.0.0.0', '--report', report];
    const program = startCoordinator('coordinator', args);
    const [, address = ''] = await program.printed(/^Dashboard: (\S+)$/m);
    const { hash, origin, port } = new URL(address);
    const secrets = new URLSearchParams(hash.slice(1));
    const [admin, token] = [secrets.get('admin'), secrets.get('token')];
    if (admin === null || token === null) throw new Error(`expected both secrets in ${address}`);
    expect(Math.min(admin.length, token.length)).toBeGreaterThanOrEqual(22);
    expect(origin).not.toContain('0.0.0.0');

    const viewer = await openViewer(`ws://127.0.0.1:${port}`);
    const about = await viewer.next('run');
    expect(about).toMatchObject({ tokenNeeded: true, faultInjection: false });
    await viewer.next('progress');
    const answers = await Promise.all(
      ['/', '/healthz', '/metrics'].map(async (path) => (await fetch(`http://127.0.0.1:${port}${path}`)).text()),
    );
    viewer.say({ type: 'admin', action: 'pause', token: 'guess' });
    await viewer.next('refused');
    const told = JSON.stringify([viewer.heard, answers]);
    program.kill('SIGINT');
    const { stdout, stderr } = await program.ended;
    for (const secret of [admin, token]) {
      expect(told).not.toContain(secret);
      expect(stderr).not.toContain(secret);
    }
    expect(stdout.split(admin)).toHaveLength(2);
    // In the addresses for terminals, for tabs, and for the owner.
    expect(stdout.split(token)).toHaveLength(4);
  });
});
