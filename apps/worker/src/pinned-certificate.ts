/** Trust in exactly one certificate, known by its fingerprint and not by an authority. */
import type { X509Certificate } from 'node:crypto';
import { connect, type TLSSocket } from 'node:tls';
import { reasonOf } from './connection-errors.ts';

/** Options for a TLS connection that succeeds only with that certificate. */
export interface PinnedTrust {
  readonly ca: string;
  readonly checkServerIdentity: () => undefined;
}

const timeoutMs = 5_000;

/**
 * Asks the server for its certificate, compares, and returns what makes later connections insist on it. Nothing is said
 * to the server meanwhile.
 * @param fingerprint SHA-256 in hex, with or without colons
 * @throws Error with one sentence.
 */
export async function pinnedCertificate(url: URL, fingerprint: string): Promise<PinnedTrust> {
  const certificate = await certificateOf(url);
  const plain = (text: string): string => text.replaceAll(':', '').toLowerCase();
  if (plain(certificate.fingerprint256) !== plain(fingerprint)) {
    throw new Error(
      'its certificate is not the one of the join address: somebody else answers there, or the coordinator was started anew',
    );
  }
  // Whoever holds its key is meant, under whatever name.
  return { ca: certificate.toString(), checkServerIdentity: () => undefined };
}

async function certificateOf({ hostname, port }: URL): Promise<X509Certificate> {
  const host = hostname.replace(/^\[|\]$/g, '');
  const socket: TLSSocket = connect({ host, port: Number(port || 443), rejectUnauthorized: false });
  socket.setTimeout(timeoutMs, () => socket.destroy(new Error('it does not answer')));
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('secureConnect', resolve);
      socket.once('error', reject);
    });
    const certificate = socket.getPeerX509Certificate();
    if (!certificate) throw new Error('it shows no certificate');
    return certificate;
  } catch (error) {
    throw new Error(reasonOf(error as Error));
  } finally {
    socket.destroy();
  }
}
