/** The certificate of the coordinator: one from files, or one made for this run. */
import { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import { hostname } from 'node:os';
import { createSecureContext } from 'node:tls';

import { configurationError, named } from '@lockstep/worker';
import { keptSecret } from '../checkpoint/kept-secret.ts';
import type { CheckpointOptions, TlsOptions } from '../options.ts';
import { networkAddresses } from './addresses.ts';

export interface Tls {
  readonly key: string;
  readonly cert: string;
  /** SHA-256 of a certificate that was made for this run, hex without colons; no authority has signed it. */
  readonly fingerprint?: string;
}

/** @throws ConfigurationError where the texts are no certificate with its key */
export async function openTls(
  tls: boolean | TlsOptions | undefined,
  host: string,
  checkpoint: CheckpointOptions | undefined,
): Promise<Tls | undefined> {
  if (tls === undefined || tls === false) return undefined;
  if (tls === true) return ownCertificate(host, checkpoint);
  const { cert, key } = tls;
  try {
    createSecureContext({ cert, key });
  } catch {
    // The library's own message may quote what it could not read.
    const [certName, keyName] = [named('listen.tls.cert'), named('listen.tls.key')];
    throw configurationError`${certName}: expected a PEM certificate that ${keyName} belongs to`;
  }
  return { cert, key };
}

const dayMs = 24 * 3600 * 1000;
const daysValid = 30;

/** The one from before, where the run is resumed: its workers trust no other. */
async function ownCertificate(host: string, checkpoint: CheckpointOptions | undefined): Promise<Tls> {
  const create = async (): Promise<string> => JSON.stringify(await makeCertificate(host));
  const text = await keptSecret({ checkpoint, fileName: 'certificate.json', isValid: isCertificate, create });
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
  // A fifth of the time that a coordinator takes to start, where it is loaded at once.
  const { generate } = await import('selfsigned');
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
