import { X509Certificate } from 'node:crypto';
import { request } from 'node:https';
import { join } from 'node:path';
import { subprotocol } from '@lockstep/protocol';
import { describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { readReport, startCoordinator, startWorker } from '../../../apps/coordinator/test/processes.ts';
import { openTls } from '../src/site/secrets.ts';
import { openDashboardServer } from './dashboard-server.ts';
import { temporaryFolder } from './folder.ts';
import { openViewer } from './test-viewer.ts';
import { tinyArgs } from './tiny-data.ts';

const folder = temporaryFolder();
const data = [...(await tinyArgs(folder)), '--steps', '8', '--epochs', '9'];
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
    ['another key', () => ({ cert: own!.cert, key: other!.key })],
    ['no certificate', () => ({ cert: own!.key, key: own!.key })],
  ])('cannot be one with %s', async (_name, texts) => {
    const message = 'listen.tls.cert: expected a PEM certificate that listen.tls.key belongs to';
    await expect(openTls(texts(), host, undefined)).rejects.toMatchObject({ name: 'ConfigurationError', message });
  });
});

describe('a run under TLS', () => {
  it('serves page and viewers, and knows its own origin', async () => {
    const server = await openDashboardServer({ args: [...data, '--tls'] });
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
    const report = join(folder, 'tls.json');
    const args = [...data, '--port', '0', '--tls', '--workers', '1', '--report', report, '--wait-for-start', '--stay'];
    const program = startCoordinator('start', args);
    const [, address = ''] = await program.printed(/^Join with: npm run worker -- --url '(\S+)'$/m);
    const [, dashboard = ''] = await program.printed(/^Dashboard: (\S+)$/m);
    await program.printed(/SHA-256 is ([0-9A-F]{2}:){31}[0-9A-F]{2}$/m);
    const guest = startWorker(['--url', address, '--name', 'guest']);
    await program.printed(/local-1 joined/);
    await program.printed(/guest joined/);

    const plain = address.replace(/fingerprint=\w+/, '');
    const naive = await startWorker(['--url', plain, '--name', 'naive']).ended;
    expect([naive.code, naive.stderr]).toEqual([
      2,
      expect.stringMatching(/its certificate is not trusted: .* NODE_EXTRA_CA_CERTS/),
    ]);
    const forged = address.replace(/fingerprint=\w+/, `fingerprint=${'0'.repeat(64)}`);
    const careful = await startWorker(['--url', forged, '--name', 'careful']).ended;
    expect([careful.code, careful.stderr]).toEqual([2, expect.stringMatching(/does not match the fingerprint/)]);

    const viewer = await openViewer(address.replace(/\/\?.*/, ''), { rejectUnauthorized: false });
    const admin = new URLSearchParams(new URL(dashboard).hash.slice(1)).get('admin') ?? '';
    viewer.send({ type: 'admin', action: 'start', token: admin });
    await viewer.next('progress', ({ phase }) => phase === 'finished');
    await program.printed(/^The dashboard stays open; press Ctrl-C to stop it\.$/m);
    // A late viewer still sees the run.
    const late = await openViewer(address.replace(/\/\?.*/, ''), { rejectUnauthorized: false });
    expect(await late.next('progress')).toMatchObject({ phase: 'finished', step: 8 });
    program.kill('SIGINT');
    expect((await program.ended).code).toBe(0);
    // The worker waited for another run until the server was gone.
    expect((await guest.ended).code).toBe(0);
    const { workers, weightsSha256 } = readReport(report);
    expect(workers.map(({ name }) => name).sort()).toEqual(['guest', 'local-1']);
    expect(weightsSha256).toMatch(/^[0-9a-f]{64}$/);
  });
});
