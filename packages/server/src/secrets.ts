/** Secrets of a coordinator: certificate, token and join code; and its addresses, which keep them off the wire. */
import { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import { hostname, networkInterfaces } from 'node:os';
import { createSecureContext } from 'node:tls';
import { configurationError, optionName } from '@lockstep/command/options';
import type { Tls, TlsOptions } from '@lockstep/prepare';
import type { Addresses, CheckpointOptions } from '@lockstep/record';
import { keptSecret } from '@lockstep/record/node';

/** @throws ConfigurationError if the texts are not a certificate with its key */
export async function openTls(
  tls: boolean | TlsOptions | undefined,
  host: string,
  checkpoint: CheckpointOptions | undefined,
): Promise<Tls | undefined> {
  if (tls === undefined || tls === false) return undefined;
  if (tls === true) return ownCertificate(host, checkpoint);
  const { cert, key } = tls;
  const [certName, keyName] = [optionName('listen.tls.cert'), optionName('listen.tls.key')];
  if (/\bENCRYPTED\b/.test(key)) {
    throw configurationError`${keyName}: expected a private key without a passphrase, got an encrypted one`;
  }
  let validTo: string;
  try {
    createSecureContext({ cert, key });
    // A context may have no certificate at all.
    ({ validTo } = new X509Certificate(cert));
  } catch {
    // The TLS library's own message may quote the text that it could not read.
    throw configurationError`${certName}: expected a PEM certificate that ${keyName} belongs to`;
  }
  if (Date.parse(validTo) < Date.now()) {
    throw configurationError`${certName}: expected a valid certificate, got one that expired on ${validTo}`;
  }
  return { cert, key };
}

const dayMs = 24 * 3600 * 1000;
const daysValid = 30;

/** A resumed run keeps its certificate, because its workers trust no other. */
async function ownCertificate(host: string, checkpoint: CheckpointOptions | undefined): Promise<Tls> {
  const create = async (): Promise<string> => JSON.stringify(await makeCertificate(host));
  const text = await keptSecret({ checkpoint, fileName: 'certificate.json', isValid: isCertificate, create });
  const { key, cert } = JSON.parse(text) as Tls;
  return { key, cert, fingerprint: fingerprintOf(cert) };
}

function fingerprintOf(cert: string): string {
  return new X509Certificate(cert).fingerprint256.replaceAll(':', '').toLowerCase();
}

/** Address for workers on this machine: they trust the certificate whoever signed it, and for whichever host. */
export function localAddress({ local: url }: Addresses, token: string | undefined, tls: Tls | undefined) {
  return { url, token, fingerprint: tls && fingerprintOf(tls.cert) };
}

/** Whether the text is a certificate with its key, valid for at least another day. */
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
  // Loaded on demand: it would take a fifth of a coordinator's start-up.
  const { generate } = await import('selfsigned');
  const names = new Set(['localhost', '127.0.0.1', '::1', hostname(), `${hostname()}.local`, ...networkAddresses()]);
  if (!isAnyAddress(host)) names.add(host);
  const { private: key, cert } = await generate([{ name: 'commonName', value: 'Lockstep coordinator' }], {
    keyType: 'ec',
    curve: 'P-256',
    algorithm: 'sha256',
    // Valid from a day ago, for machines whose clocks differ.
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

/** No two characters look alike, and none is case-sensitive. */
const alphabet = 'ABCDEFGHJKMNPQRSTUVWXYZ23456789';
const length = 6;

/** Six of 31 letters and digits: 31^6 = 887,503,681 codes. `Guesses` limits how many a client tries. */
export function newJoinCode(): string {
  let code = '';
  while (code.length < length) {
    const [byte] = crypto.getRandomValues(new Uint8Array(1));
    // Reject the last partial block of byte values, to avoid modulo bias.
    if (byte! < 256 - (256 % alphabet.length)) code += alphabet[byte! % alphabet.length];
  }
  return code;
}

export function isJoinCode(text: string): boolean {
  return text.length === length && [...text].every((letter) => alphabet.includes(letter));
}

/** The secrets that addresses carry. */
export interface SiteSecrets {
  readonly token: string | undefined;
  readonly adminToken: string;
  readonly tls: { readonly fingerprint?: string | undefined } | undefined;
}

/** @param path prefix of the addresses' paths, such as `/lockstep` */
export function addressesOf({ token, adminToken, tls }: SiteSecrets, host: string, port: number, path = ''): Addresses {
  const s = tls === undefined ? '' : 's';
  const at = (name: string): string => `${name.includes(':') ? `[${name}]` : name}:${port}`;
  const query = new URLSearchParams(tls?.fingerprint === undefined ? {} : { fingerprint: tls.fingerprint });
  const secret = token === undefined ? '' : `&token=${encodeURIComponent(token)}`;
  const site = `http${s}://${at(reachableHost(host))}${path}/`;
  const socket = `ws${s}://${at(reachableHost(host))}${path}`;
  return {
    worker: query.size === 0 ? socket : `${socket}/?${query}`,
    page: `${site}#join${secret}`,
    owner: `${site}#admin=${adminToken}${secret}`,
    local: `ws${s}://${at(isAnyAddress(host) ? '127.0.0.1' : host)}${path}`,
    open: [site, socket],
  };
}

/** Address or name at which other machines reach a server that listens on `host`. */
export function reachableHost(host: string, interfaces = networkInterfaces()): string {
  if (!isAnyAddress(host)) return host;
  return networkAddresses(interfaces).find((address) => host === '::' || isIP(address) === 4) ?? hostname();
}

/** Removes the brackets that an IPv6 address may have, as in a URL. */
export function bareHost(host: string): string {
  return host.replace(/^\[(.*)\]$/, '$1');
}

export function isLoopback(host: string): boolean {
  const bare = bareHost(host);
  return bare === 'localhost' || bare === '::1' || (isIP(bare) === 4 && bare.startsWith('127.'));
}

function isAnyAddress(host: string): boolean {
  return host === '0.0.0.0' || host === '::';
}

/** This machine's addresses on its networks, IPv4 first; none with a zone, which a URL cannot contain. */
function networkAddresses(interfaces = networkInterfaces()): string[] {
  const all = Object.values(interfaces).flatMap((entries) => entries ?? []);
  return all
    .filter((entry) => !entry.internal && !(entry.family === 'IPv6' && entry.scopeid))
    .sort((a, b) => a.family.localeCompare(b.family))
    .map(({ address }) => address);
}
