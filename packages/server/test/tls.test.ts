import { createPrivateKey, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { createServer, request, type ServerOptions } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { TlsOptions } from '@lockstep/prepare';
import { subprotocol } from '@lockstep/protocol';
import { join } from '@lockstep/worker';
import { generate } from 'selfsigned';
import { describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { startCoordinator } from '../../../apps/coordinator/test/processes.ts';
import { temporaryFolder } from '../../train/test/folder.ts';
import { openRun, tiny } from '../../train/test/open-run.ts';
import { tinyArgs } from '../../train/test/tiny-data.ts';
import { openTls } from '../src/secrets.ts';
import { openDashboardServer } from './dashboard-server.ts';
import { openViewer } from './test-viewer.ts';

const host = '127.0.0.1';
/** A certificate that an unknown authority signed. */
async function signed(dates: object = {}): Promise<Required<TlsOptions>> {
  const name = [{ name: 'commonName', value: host }];
  const authority = await generate(name, { keyType: 'ec', extensions: [{ name: 'basicConstraints', cA: true }] });
  const ca = { key: authority.private, cert: authority.cert };
  const { cert, private: key } = await generate(name, { keyType: 'ec', ca, extensions: [], ...dates });
  return { cert, key };
}

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
    ['an empty file', { cert: '', key: own!.key }],
  ])('cannot be one with %s', (_name, texts) =>
    expectRefused(texts, 'listen.tls.cert: expected a PEM certificate that listen.tls.key belongs to'),
  );

  it.each([
    ['PKCS #8', { format: 'pem', type: 'pkcs8' }],
    ['the older form', { format: 'pem', type: 'sec1' }],
  ] as const)('cannot have an encrypted key, in %s', async (_name, form) => {
    const key = createPrivateKey(own!.key).export({ ...form, cipher: 'aes-128-cbc', passphrase: 'x' }) as string;
    const message = 'listen.tls.key: expected a private key without a passphrase, got an encrypted one';
    await expectRefused({ cert: own!.cert, key }, message);
  });

  it('cannot be one that has expired', async () => {
    const past = { notBeforeDate: new Date('2020-01-01'), notAfterDate: new Date('2020-02-03T04:05:06Z') };
    const { cert, private: key } = await generate([{ name: 'commonName', value: host }], { keyType: 'ec', ...past });
    const message = 'listen.tls.cert: expected a valid certificate, got one that expired on Feb  3 04:05:06 2020 GMT';
    await expectRefused({ cert, key }, message);
  });
});

async function expectRefused(texts: TlsOptions, message: string): Promise<void> {
  await expect(openTls(texts, host, undefined)).rejects.toMatchObject({ name: 'ConfigurationError', message });
}

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

  it('is joined by local workers, whoever signed its certificate and for whichever host', async () => {
    const { run } = await openRun({ ...tiny, workers: 1, listen: { tls: await signed() } });
    const { report } = await run.result;
    expect(report.workers.map(({ name }) => name)).toEqual(['local-1']);
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

describe('the certificate of another server', () => {
  const [past, future] = [new Date('2020-01-01'), new Date('2100-01-01')];

  it.each<[what: string, options: () => Promise<ServerOptions>, isPinned: boolean, message: string]>([
    ['of an unknown authority', signed, false, 'its certificate is not trusted: '],
    [
      'with the given fingerprint',
      signed,
      true,
      'a server answers there, but it is not a Lockstep coordinator (HTTP 404',
    ],
    ['of the past', () => signed({ notBeforeDate: past, notAfterDate: past }), true, 'its certificate has expired'],
    [
      'of the future',
      () => signed({ notBeforeDate: future, notAfterDate: future }),
      true,
      "its certificate is not valid yet: check this machine's clock",
    ],
    [
      'that wants one of the worker',
      async () => ({ ...(await signed()), requestCert: true, rejectUnauthorized: true }),
      true,
      'the server ended the TLS handshake (ERR_SSL_',
    ],
  ])('%s is trusted or refused in one sentence', async (_what, options, isPinned, message) => {
    const given = await options();
    const server = createServer(given, (_request, response) => response.writeHead(404).end());
    await once(server.listen(0, host), 'listening');
    const { fingerprint256 } = new X509Certificate(given.cert as string);
    const worker = join(`wss://${host}:${(server.address() as AddressInfo).port}`, {
      ...(isPinned && { fingerprint: fingerprint256 }),
    });
    await expect(worker.done).rejects.toThrow(message);
    server.close();
  });
});
