/** The certificate of the coordinator: one from files, or one made for this run. */
import { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import { hostname } from 'node:os';
import { createSecureContext } from 'node:tls';
import { readOptionFile, usageFailure } from '@lockstep/command';
import { generate } from 'selfsigned';
import { keptSecret } from '../checkpoint/kept-secret.ts';
import type { CoordinatorOptions } from '../options.ts';
import { networkAddresses } from './addresses.ts';

export interface Tls {
  readonly key: string;
  readonly cert: string;
  /** SHA-256 of a certificate that was made for this run, hex without colons; no authority has signed it. */
  readonly fingerprint?: string;
}

type TlsOptions = Pick<CoordinatorOptions, 'host' | 'tls' | 'tls-cert' | 'tls-key'> &
  Partial<Pick<CoordinatorOptions, 'checkpoint' | 'resume'>>;

/** @throws CommandFailure with exit code 2 */
export async function openTls(options: TlsOptions): Promise<Tls | undefined> {
  const { 'tls-cert': certFile, 'tls-key': keyFile } = options;
  if (certFile === undefined && keyFile === undefined) return options.tls ? ownCertificate(options) : undefined;
  if (options.tls) throw usageFailure('--tls: expected without --tls-cert and --tls-key, which bring a certificate');
  if (certFile === undefined) throw usageFailure('--tls-key: expected with --tls-cert, got it alone');
  if (keyFile === undefined) throw usageFailure('--tls-cert: expected with --tls-key, got it alone');
  const cert = readOptionFile('tls-cert', certFile);
  const key = readOptionFile('tls-key', keyFile);
  try {
    createSecureContext({ cert, key });
  } catch {
    // The library's own message may quote what it could not read.
    throw usageFailure(`--tls-cert ${certFile}: expected a PEM certificate that --tls-key ${keyFile} belongs to`);
  }
  return { cert, key };
}

const dayMs = 24 * 3600 * 1000;
const daysValid = 30;

/** The one from before, where the run is resumed: its workers trust no other. */
async function ownCertificate({ host, checkpoint: folder, resume = false }: TlsOptions): Promise<Tls> {
  const create = async (): Promise<string> => JSON.stringify(await makeCertificate(host));
  const text = await keptSecret({ folder, resume, fileName: 'certificate.json', isValid: isCertificate, create });
  const { key, cert } = JSON.parse(text) as Tls;
  return { key, cert, fingerprint: new X509Certificate(cert).fingerprint256.replaceAll(':', '').toLowerCase() };
}

/** Whether the text is a certificate with its key, valid for another day. */
function isCertificate(text: string): boolean {
  try {
    const { key, cert } = JSON.parse(text) as Tls;
    createSecureContext({ key, cert });
    return Date.parse(new X509Certificate(cert).validTo) > Date.now() + dayMs;
  } catch {
    return false;
  }
}

async function makeCertificate(host: string): Promise<Pick<Tls, 'key' | 'cert'>> {
  const names = new Set(['localhost', '127.0.0.1', '::1', hostname(), `${hostname()}.local`, ...networkAddresses()]);
  if (host !== '0.0.0.0' && host !== '::') names.add(host);
  const { private: key, cert } = await generate([{ name: 'commonName', value: 'Lockstep coordinator' }], {
    keyType: 'ec',
    curve: 'P-256',
    algorithm: 'sha256',
    // A day back, for machines whose clocks differ.
    notBeforeDate: new Date(Date.now() - dayMs),
    notAfterDate: new Date(Date.now() + daysValid * dayMs),
    extensions: [
      { name: 'basicConstraints', cA: false, critical: true },
      { name: 'keyUsage', digitalSignature: true, critical: true },
      { name: 'extKeyUsage', serverAuth: true },
      {
        name: 'subjectAltName',
        altNames: [...names].map((name) =>
          isIP(name) === 0 ? { type: 2 as const, value: name } : { type: 7 as const, ip: name },
        ),
      },
    ],
  });
  return { key, cert };
}
