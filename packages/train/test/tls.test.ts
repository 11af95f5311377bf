import { X509Certificate } from 'node:crypto';
import { request } from 'node:https';
import { subprotocol } from '@lockstep/protocol';
import { join } from '@lockstep/worker';
import { describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { startCoordinator } from '../../../apps/coordinator/test/processes.ts';
import { openTls } from '../src/site/secrets.ts';
import { openDashboardServer } from './dashboard-server.ts';
import { temporaryFolder } from './folder.ts';
import { openRun, tiny } from './open-run.ts';
import { openViewer } from './test-viewer.ts';
import { tinyArgs } from './tiny-data.ts';

const host = '127.0.0.1';
const [own, other] = [await openTls(true, host, undefined), await openTls(true, host, undefined)];

describe('a certificate', () => {
  it('is made for the names of this machine, with its fingerprint', async () => {
    const tls = await openTls(true, 'lab.example', undefined);
    const certificate = new X509Certificate(tls!.cert);
    expect(tls!.fingerprint).toMatch(/^[0-9a-f]{64}$/);
    expect(certificate.fingerprint256.replaceAll(':', '').toLowerCase()).toBe(tls!.fingerprint);
    for (const name of ['localhost', 'lab.example']) expect(certificate.checkHost(name)).toBe(name);
    for (const address of ['127.0.0.1', '::1']) expect(certificate.checkIP(address)).toBe(address);
    expect(certificate.checkHost('evil.example')).toBeUndefined();
    expect(certificate.ca).toBe(false);
    expect(certificate.verify(certificate.publicKey)).toBe(true);
  });

  it('that is given has no fingerprint to print', async () => {
    const { cert, key } = own!;
    expect(await openTls({ cert, key }, host, undefined)).toEqual({ cert, key });
  });

  it.each([
    ['another key', { cert: own!.cert, key: other!.key }],
    ['no certificate', { cert: own!.key, key: own!.key }],
  ])('cannot be one with %s', async (_name, texts) => {
    const message = 'listen.tls.cert: expected a PEM certificate that listen.tls.key belongs to';
    await expect(openTls(texts, host, undefined)).rejects.toMatchObject({ name: 'ConfigurationError', message });
  });
});

describe('a run under TLS', () => {
  it('prints the fingerprint of a certificate that was made for it', async () => {
    const program = startCoordinator('start', ['--tls', '--port', '0', '--workers', '0']);
    const [, printed = ''] = await program.printed(/^Join with: .*fingerprint=(\w+)/m);
    const [, shown = ''] = await program.printed(/SHA-256 is ((?:[0-9A-F]{2}:){31}[0-9A-F]{2})$/m);
    expect(shown.replaceAll(':', '').toLowerCase()).toBe(printed);
  });

  it('serves page and viewers, and knows its own origin', async () => {
    const server = await openDashboardServer({ args: [...(await tinyArgs(temporaryFolder())), '--tls'] });
    expect(server.http).toMatch(/^https:/);
    const ca = server.prepared.tls!.cert;
    const status = await new Promise((resolve, reject) => {
      request(`${server.http}/healthz`, { ca }, (response) => resolve(response.resume().statusCode))
        .on('error', reject)
        .end();
    });
    expect(status).toBe(200);
    const viewer = await openViewer(server.ws, { ca, origin: server.http });
    expect((await viewer.next('run')).joinAddresses).toEqual([`${server.http}/`, server.addresses.worker]);
    viewer.socket.terminate();
    const plain = new WebSocket(server.ws, subprotocol, { ca, origin: server.http.replace('https', 'http') });
    const refused = await new Promise((resolve) => {
      plain.on('error', () => {});
      plain.on('unexpected-response', (_request, response) => resolve(response.statusCode));
    });
    expect(refused).toBe(403);
  });

  it('is joined by workers that know its fingerprint, local ones among them', async () => {
    const { run, url } = await openRun({ ...tiny, workers: 1, listen: { tls: true, waitForStart: true, stay: true } });
    const guest = join(url, { name: 'guest' });
    for await (const { type } of guest) if (type === 'ready') break;
    const joined = new Set<string>();
    for await (const event of run) {
      if (event.type === 'joined') joined.add(event.worker.name);
      if (joined.size === 2) break;
    }
    await expect(join(url.replace(/fingerprint=\w+/, '')).done).rejects.toThrow(
      /its certificate is not trusted: .* NODE_EXTRA_CA_CERTS/,
    );
    await expect(join(url.replace(/fingerprint=\w+/, `fingerprint=${'0'.repeat(64)}`)).done).rejects.toThrow(
      /does not match the fingerprint/,
    );
    run.start();
    const { report } = await run.result;
    expect(report.workers.map(({ name }) => name).sort()).toEqual(['guest', 'local-1']);
    // A late viewer still sees the run.
    const late = await openViewer(url.replace(/\/\?.*/, ''), { rejectUnauthorized: false });
    expect(await late.next('progress')).toMatchObject({ phase: 'finished', step: 18 });
    late.socket.terminate();
  });
});
