import { once } from 'node:events';
import { cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { join } from 'node:path';
import { brotliCompressSync, brotliDecompressSync, gunzipSync, gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { VirtualClock } from '../../sim/src/simulated-process.ts';
import { temporaryFolder } from '../../train/test/folder.ts';
import { tinyArgs } from '../../train/test/tiny-data.ts';
import { createPages, openPageFiles, pacedReading } from '../src/pages.ts';
import { openDashboardServer } from './dashboard-server.ts';

const folder = temporaryFolder();
const built = join(folder, 'dist');
mkdirSync(join(built, 'assets'), { recursive: true });
writeFileSync(join(built, 'index.html'), '<!doctype html><title>page</title>');
writeFileSync(join(built, 'assets', 'main-a1b2c3.js'), 'export {};');
writeFileSync(join(built, 'assets', 'main-a1b2c3.js.br'), brotliCompressSync('export {};'));
writeFileSync(join(built, 'assets', 'main-a1b2c3.js.gz'), gzipSync('export {};'));
writeFileSync(join(built, '.hidden'), 'hidden');
writeFileSync(join(folder, 'secret.txt'), 'outside the folder');

/** Requests exactly this path, which `fetch` would normalize. */
async function ask(port: number, path: string, method = 'GET', headers: Record<string, string> = {}) {
  const request = httpRequest({ host: '127.0.0.1', port, path, method, headers }).end();
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  const parts: Buffer[] = [];
  for await (const part of response) parts.push(part as Buffer);
  const bytes = Buffer.concat(parts);
  return { status: response.statusCode, headers: response.headers, body: bytes.toString(), bytes };
}

async function serve(siteFolder: string) {
  const site = createPages({
    folder: siteFolder,
    health: () => ({ status: 'ok' }),
    metrics: async () => ({ contentType: 'text/plain; version=0.0.4', text: 'lockstep_step 3\n' }),
    metricsFault: async (token) => (token === 'guess' ? 'this is not the token' : undefined),
  });
  const server = createServer(site);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  afterAll(() => void server.close());
  return (server.address() as AddressInfo).port;
}

describe('the site', () => {
  let port = 0;
  beforeAll(async () => {
    port = await serve(built);
  });

  it.each([
    ['/', '<!doctype html><title>page</title>', /^text\/html/, 'no-cache'],
    ['/assets/main-a1b2c3.js', 'export {};', /javascript/, 'public, max-age=31536000, immutable'],
  ] as const)(
    'serves %s, which browsers may keep if its name has a hash',
    async (path, content, type, cacheControl) => {
      const { status, headers, body } = await ask(port, path);
      expect([status, body, headers['cache-control']]).toEqual([200, content, cacheControl]);
      expect(headers['content-type']).toMatch(type);
    },
  );

  const decoders = { br: brotliDecompressSync, gzip: gunzipSync };
  it.each([
    ['gzip, deflate, br, zstd', 'br'],
    ['gzip, deflate', 'gzip'],
    ['br;q=0, gzip;q=0.5', 'gzip'],
    ['Gzip ; q=0.000,BR', 'br'],
  ] as const)('sends files packed to who accepts %s, and says so to caches', async (accepted, encoding) => {
    const accepting = (encodings: string, method = 'GET', more: Record<string, string> = {}) =>
      ask(port, '/assets/main-a1b2c3.js', method, { 'accept-encoding': encodings, ...more });
    const packed = await accepting(accepted);
    const cached = { 'cache-control': 'public, max-age=31536000, immutable', vary: 'Accept-Encoding' };
    const length = String(packed.bytes.length);
    expect(packed.headers).toMatchObject({ 'content-encoding': encoding, 'content-length': length, ...cached });
    expect(packed.headers['content-type']).toMatch(/javascript/);
    expect(decoders[encoding](packed.bytes).toString()).toBe('export {};');
    for (const unpacked of ['identity', 'br;q=0, gzip; q=0.0, brotli, x-gzip']) {
      const { headers } = await accepting(unpacked);
      expect(headers['content-encoding']).toBeUndefined();
      expect(headers['vary']).toBe('Accept-Encoding');
      expect(headers['etag']).not.toBe(packed.headers['etag']);
    }
    const again = await accepting(accepted, 'GET', { 'if-none-match': String(packed.headers['etag']) });
    expect([again.status, again.body]).toEqual([304, '']);
    const head = await accepting(accepted, 'HEAD');
    expect([head.body, head.headers['content-length']]).toEqual(['', length]);
  });

  it.each([
    ['127.0.0.1:7070', {}, true],
    ['localhost', {}, true],
    ['[::1]:7070', {}, true],
    ['192.168.0.7:7070', {}, false],
    ['127.0.0.1.example:7070', {}, false],
    ['localhost.example', {}, false],
    ['page.example', { 'x-forwarded-proto': 'https' }, true],
  ] as const)('asks for isolation only if a browser grants it: %s %o', async (host, more, isIsolated) => {
    const { headers } = await ask(port, '/', 'GET', { host, ...more });
    const names = ['cross-origin-opener-policy', 'cross-origin-embedder-policy'];
    expect(names.map((name) => headers[name] !== undefined)).toEqual([isIsolated, isIsolated]);
  });

  it('shows the metrics only to who may see them', async () => {
    const asked = (token: string) => ask(port, '/metrics', 'GET', { authorization: `Bearer ${token}` });
    const { status, body, headers } = await asked('guess');
    expect([status, body, headers['www-authenticate']]).toEqual([401, 'this is not the token\n', 'Bearer']);
    expect((await asked('right')).status).toBe(200);
  });

  it('sends security headers with every answer', async () => {
    for (const path of ['/', '/assets/main-a1b2c3.js', '/nothing', '/healthz', '/metrics']) {
      const { headers } = await ask(port, path);
      const policy = String(headers['content-security-policy']);
      expect(policy).toContain("default-src 'self'");
      expect(policy).toContain("frame-ancestors 'none'");
      expect(policy).not.toMatch(/'unsafe-(eval|inline)'|\*|https?:/);
      expect(headers).toMatchObject({
        'permissions-policy': `camera=${path === '/' ? '(self)' : '()'}, microphone=(), geolocation=()`,
        'x-content-type-options': 'nosniff',
        'referrer-policy': 'no-referrer',
        'cross-origin-opener-policy': 'same-origin',
        'cross-origin-embedder-policy': 'require-corp',
      });
    }
  });

  const outside = [
    ...['/../secret.txt', '/assets/../../secret.txt', '/%2e%2e/secret.txt', '/..%2fsecret.txt', '/%2e%2e%2fsecret.txt'],
    ...['/..\\secret.txt', '/assets/..%5c..%5csecret.txt', '//secret.txt', '/%00', '/%', '/%ff', '/.hidden', '/assets'],
    ...['/constructor', '/__proto__'],
  ];
  it.each(outside)('serves only files of its folder, not %s', async (path) => {
    const { status, body } = await ask(port, path);
    expect(status).toBe(404);
    expect(body).not.toMatch(/outside|hidden/);
  });

  it.each(['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'TRACE'])('only reads: %s is not allowed', async (method) => {
    const { status, headers } = await ask(port, '/', method);
    expect(status).toBe(405);
    expect(headers['allow']).toBe('GET, HEAD');
  });

  it.each([
    ['POST /', 'Content-Length: 4000000000'],
    ['POST /', 'Transfer-Encoding: chunked'],
    ['GET /', 'Transfer-Encoding: chunked'],
    ['HEAD /healthz', 'Content-Length: 4000000000'],
  ])('ends the connection of %s with %s: a body may have no end', async (request, header) => {
    const socket = connect(port, '127.0.0.1');
    const parts: Buffer[] = [];
    socket.on('data', (part: Buffer) => parts.push(part));
    socket.write(`${request} HTTP/1.1\r\nHost: 127.0.0.1\r\n${header}\r\n\r\n`);
    await once(socket, 'close');
    expect(Buffer.concat(parts).toString()).toMatch(/^connection: close\r$/im);
  });

  it('answers HEAD as GET, without the body', async () => {
    for (const path of ['/', '/healthz', '/metrics', '/nothing']) {
      const [get, head] = [await ask(port, path), await ask(port, path, 'HEAD')];
      expect(head.body).toBe('');
      expect([head.status, head.headers['content-length']]).toEqual([get.status, get.headers['content-length']]);
    }
  });

  it.each(['bytes=10-5', 'bytes=900-', 'bytes=-1', 'bytes=x'])(
    'sends the whole page to who asks for %s',
    async (range) => {
      const { status, body } = await ask(port, '/', 'GET', { range });
      expect([status, body]).toEqual([200, '<!doctype html><title>page</title>']);
    },
  );

  it('goes on with its page if that is built again', async () => {
    const rebuilt = join(folder, 'rebuilt');
    const name = '/assets/main-a1b2c3.js';
    const paths = ['/', name];
    cpSync(built, rebuilt, { recursive: true });
    const own = await serve(rebuilt);
    const before = await Promise.all(paths.map((path) => ask(own, path)));
    rmSync(rebuilt, { recursive: true });
    mkdirSync(rebuilt);
    writeFileSync(join(rebuilt, 'index.html'), 'another page');
    const after = await Promise.all(paths.map((path) => ask(own, path)));
    expect(after.map(({ status, body }) => [status, body])).toEqual(before.map(({ body }) => [200, body]));
  });

  it('unpacks a file once, so that answers which wait to be read share its bytes', () => {
    const answer = openPageFiles(built);
    const sent: Buffer[] = [];
    const response = { setHeader() {}, writeHead: () => ({ end: (bytes: Buffer) => sent.push(bytes) }) };
    const request = { headers: { 'accept-encoding': 'identity' } };
    for (const _ of ['once', 'again']) {
      answer('/assets/main-a1b2c3.js', request as IncomingMessage, response as unknown as ServerResponse);
    }
    expect(String(sent[0])).toBe('export {};');
    expect(sent[1]).toBe(sent[0]);
  });

  it('that is not built says so, until it is', async () => {
    const later = join(folder, 'later');
    const bare = await serve(later);
    const { status, body } = await ask(bare, '/');
    expect(status).toBe(503);
    expect(body).toBe('This is a Lockstep coordinator, but its page is not built; npm start builds it.\n');
    expect((await ask(bare, '/healthz')).status).toBe(200);
    expect((await ask(bare, '/secret.txt')).status).toBe(404);
    cpSync(built, later, { recursive: true });
    expect((await ask(bare, '/')).status).toBe(200);
  });
});

describe('/metrics', () => {
  const figures = async (http: string): Promise<Map<string, number>> => {
    const text = await (await fetch(`${http}/metrics`)).text();
    const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
    return new Map(lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.split(' ').at(-1))]));
  };

  it('follows the run', async () => {
    const args = [...(await tinyArgs(folder)), '--steps', '12', '--epochs', '9'];
    const server = await openDashboardServer({ args });
    expect(await (await fetch(`${server.http}/healthz`)).json()).toEqual({ status: 'ok', phase: 'waiting' });
    const before = await figures(server.http);
    expect(before.get('lockstep_step')).toBe(0);
    expect(before.get('lockstep_run_phase{phase="waiting"}')).toBe(1);
    await server.startWorker();
    expect(await server.run.outcome).toEqual({ type: 'finished' });
    const after = await figures(server.http);
    const expected = {
      ...{ lockstep_step: 12, lockstep_images_total: 12 * 32, 'lockstep_faults_total{kind="rejected"}': 0 },
      ...{ 'lockstep_run_phase{phase="finished"}': 1, 'lockstep_run_phase{phase="waiting"}': 0 },
    };
    expect(Object.fromEntries(after)).toMatchObject(expected);
    expect(after.get('lockstep_train_loss')).toBeGreaterThan(0);
    // Counters are set at each reading, not incremented.
    expect((await figures(server.http)).get('lockstep_images_total')).toBe(12 * 32);
  });
});

/** Runs everything that is due now, and its continuations. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

async function run(clock: VirtualClock): Promise<void> {
  await settled();
  while (clock.step()) await settled();
}

describe('pacedReading', () => {
  it('shares a reading among calls that come before it begins, and gives nothing that was read before the call', async () => {
    const clock = new VirtualClock();
    const begunAtMs: number[] = [];
    let [reading, most, value] = [0, 0, 'old'];
    const read = pacedReading(async () => {
      begunAtMs.push(clock.nowMs());
      reading += 1;
      most = Math.max(most, reading);
      const now = value;
      await new Promise<void>((resolve) => clock.after(7, resolve));
      reading -= 1;
      return now;
    }, clock);
    const before = Array.from({ length: 500 }, read);
    await settled();
    clock.step();
    await settled();
    expect(reading).toBe(1);
    value = 'new';
    const after = Array.from({ length: 500 }, read);
    await run(clock);
    const given = await Promise.all([before, after].map(async (calls) => [...new Set(await Promise.all(calls))]));
    expect(given).toEqual([['old'], ['new']]);
    // A reading takes 7 ms, and the next one begins 100 ms later.
    expect([begunAtMs, most]).toEqual([[0, 107], 1]);
  });

  it('goes on after a reading that failed', async () => {
    const clock = new VirtualClock();
    let readings = 0;
    const read = pacedReading(async () => {
      readings += 1;
      if (readings === 1) throw new Error('not this time');
      return readings;
    }, clock);
    const failed = expect(read()).rejects.toThrow('not this time');
    await run(clock);
    await failed;
    const second = read();
    await run(clock);
    expect(await second).toBe(2);
  });
});
