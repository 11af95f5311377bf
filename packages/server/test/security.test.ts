import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import { hostname } from 'node:os';
import { encodeWatch, subprotocol, watchPath, watchSubprotocol } from '@lockstep/protocol';
import { describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { startCoordinator } from '../../../apps/coordinator/test/processes.ts';
import { temporaryFolder } from '../../train/test/folder.ts';
import { tinyArgs } from '../../train/test/tiny-data.ts';
import { newTurnedAwayCounts } from '../src/limiter.ts';
import { createOriginCheck } from '../src/server.ts';
import { openDashboardServer } from './dashboard-server.ts';
import { openViewer } from './test-viewer.ts';

const folder = temporaryFolder();
const data = [...(await tinyArgs(folder)), '--steps', '8', '--epochs', '9'];

const open = (args: readonly string[] = []) => openDashboardServer({ args: [...data, ...args] });

/** The server's answer to an upgrade: 101, or the status and the body of its refusal. */
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
    createOriginCheck({
      host: '127.0.0.1',
      secure: false,
      allowedOrigins: [],
      turnedAway: newTurnedAwayCounts(),
      tell: () => {},
      ...options,
    })({
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
    ['a name that ends as this machine is called', 'evil-localhost:7070', 'http://evil-localhost:7070', 421],
    ['a name below localhost', 'app.localhost:7070', 'http://app.localhost:7070', undefined],
    ['a name that begins as localhost', 'localhost.evil.example:7070', undefined, 421],
    ['no host at all', '', undefined, 421],
    ['a host with a login', 'evil@127.0.0.1:7070', 'http://evil.example', 403],
  ])('%s', (_name, host, origin, status) => {
    expect(check(host, origin)).toBe(status);
  });

  it('may be allowed, and the name that the server listens on is known', () => {
    const options = { allowedOrigins: ['https://page.example'], host: 'lab.example' };
    expect(check('127.0.0.1:7070', 'https://page.example', options)).toBeUndefined();
    expect(check('lab.example:7070', 'http://lab.example:7070', options)).toBeUndefined();
    expect(check('127.0.0.1:7070', 'https://page.example.evil', options)).toBe(403);
    // A proxy may forward the page's own host name.
    expect(check('page.example:7070', 'https://page.example', options)).toBeUndefined();
    expect(check('page.example:7070', undefined, options)).toBeUndefined();
    expect(check('sub.page.example:7070', undefined, options)).toBe(421);
  });

  it.each([
    ['in capitals', 'HTTPS://Page.Example', undefined],
    ['with the port of its scheme', 'https://page.example:443', undefined],
    ['with a dot at its end', 'https://page.example.', 403],
    ['with another port', 'https://page.example:444', 403],
    ['with a login', 'https://evil@page.example', undefined],
    ['with a login that looks like it', 'https://page.example@evil.example', 403],
  ])('may be allowed, and is compared as browsers write it: %s', (_, origin, status) => {
    expect(check('127.0.0.1:7070', origin, { allowedOrigins: ['https://page.example'] })).toBe(status);
  });

  it('is told once if its pages are turned away, for as many origins as people have', () => {
    const told: string[] = [];
    const turnedAway = newTurnedAwayCounts();
    const tell = (message: string): number => told.push(message);
    const checked = createOriginCheck({ host: '127.0.0.1', secure: false, allowedOrigins: [], turnedAway, tell });
    const ask = (origin: string) => checked({ headers: { host: '127.0.0.1:7070', origin } });
    for (const _ of Array(3)) ask('https://page.example');
    ask('http://127.0.0.1:7070');
    expect(told).toEqual([
      'a page of https://page.example was turned away: --allow-origin https://page.example lets it join',
    ]);
    ask(`https://${'a.'.repeat(100)}example`);
    expect(told).toHaveLength(1);
    for (let site = 0; site < 1_000; site++) ask(`https://${site}.example`);
    expect(told).toHaveLength(8);
    expect(turnedAway.origin).toBe(1_004);
  });

  it('is checked for workers, viewers and plain requests alike, without effect on the run', async () => {
    const server = await open();
    for (const [path, protocol] of [
      ['/', subprotocol],
      [watchPath, watchSubprotocol],
    ] as const) {
      const url = `${server.ws}${path}`;
      const [status, message] = await upgradeStatus(url, protocol, { origin: 'https://evil.example' });
      expect(status).toBe(403);
      expect(message).toMatch(/^this page was served from another origin: open the address .*\n$/);
      expect((await upgradeStatus(url, protocol, { host: 'evil.example' }))[0]).toBe(421);
      expect((await upgradeStatus(url, protocol, { origin: server.http }))[0]).toBe(101);
    }
    const { port } = new URL(server.http);
    const plain = httpRequest({ host: '127.0.0.1', port, path: '/healthz', headers: { host: 'evil.example' } }).end();
    const [response] = await once(plain, 'response');
    expect(response.statusCode).toBe(421);
    response.resume();
    await server.startWorker();
    expect(await server.run.outcome).toEqual({ type: 'finished' });
    expect(new Set(Object.values(server.run.state.faults))).toEqual(new Set([0]));
  });
});

describe('a viewer', () => {
  it.each<[name: string, frame: Uint8Array | string, code: number]>([
    ['text', 'hello', 1003],
    ['garbage', Uint8Array.of(0xc1, 2, 3), 1002],
    ['a message of the coordinator', encodeWatch({ type: 'event', message: 'hello' }), 1002],
    ['more than it may', new Uint8Array(8 * 1024), 1009],
  ])('that sends %s is closed, and other viewers are not', async (_name, frame, code) => {
    const server = await open();
    const [bad, good] = [await openViewer(server.ws), await openViewer(server.ws)];
    bad.socket.send(frame);
    expect((await bad.closed).code).toBe(code);
    await server.startWorker();
    await good.next('progress', ({ phase }) => phase === 'finished');
  });

  it('that sends too many messages is closed', async () => {
    const server = await open();
    const viewer = await openViewer(server.ws);
    for (let sent = 0; sent < 1_000; sent++) viewer.send({ type: 'wantWeights' });
    expect(await viewer.closed).toMatchObject({ code: 1008, reason: expect.stringMatching(/messages per second/) });
  });
});

describe('secrets', () => {
  it('reach no viewer, no answer and no report, and are printed once', async () => {
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

    const viewer = await openViewer(`ws://127.0.0.1:${port}`, {}, { token });
    const about = await viewer.next('run');
    expect(about).toMatchObject({ tokenNeeded: true, faultInjection: false });
    await viewer.next('progress');
    const answers = await Promise.all(
      ['/', '/healthz', '/metrics'].map(async (path) => {
        const headers = { authorization: `Bearer ${token}` };
        return (await fetch(`http://127.0.0.1:${port}${path}`, { headers })).text();
      }),
    );
    viewer.send({ type: 'admin', action: 'pause', token: 'guess' });
    await viewer.next('refused');
    const seen = JSON.stringify([viewer.received, answers]);
    program.kill('SIGINT');
    const { stdout, stderr } = await program.ended;
    for (const secret of [admin, token]) {
      expect(seen).not.toContain(secret);
      expect(stderr).not.toContain(secret);
    }
    expect(stdout.split(admin)).toHaveLength(2);
    // In the addresses for terminals, for tabs, and of the dashboard.
    expect(stdout.split(token)).toHaveLength(4);
  });
});
