/** Certificate pinning: trust in one certificate, known by its fingerprint, instead of certificate authorities. */
import type { X509Certificate } from 'node:crypto';
import { connect, type TLSSocket } from 'node:tls';
import { connectionFault } from './connection-errors.ts';

const timeoutMs = 5_000;

/**
 * Compares the server's certificate with the fingerprint, and returns the options by which later connections require it.
 * Nothing but the TLS handshake is sent to the server.
 * @param fingerprint SHA-256 in hex, with or without colons
 * @throws Error with one sentence that says why it is not trusted
 */
export async function pinnedCertificate(url: URL, fingerprint: string) {
  const certificate = await certificateOf(url);
  const plain = (text: string): string => text.replaceAll(':', '').toLowerCase();
  if (plain(certificate.fingerprint256) !== plain(fingerprint)) {
    throw new Error(
      'its certificate is not the one of the join address: another server answers there, or the coordinator was restarted',
    );
  }
  // The key identifies the server; the host name in the certificate does not matter.
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
    throw new Error(connectionFault(error as Error));
  } finally {
    socket.destroy();
  }
}
