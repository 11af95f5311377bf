/** Opens a WebSocket to a coordinator; trusts a single certificate if its fingerprint is known. */
import type { X509Certificate } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { subprotocol, type WorkerTransport, webSocketTransport } from '@lockstep/protocol';
import { WebSocket } from 'ws';
import { CoordinatorBusyError } from './membership.ts';

/** Larger than the weights of any model that a worker can train. */
const maxFrameBytes = 512 * 1024 * 1024;
const handshakeTimeoutMs = 5_000;
const silentMessage = `a server is there, but did not answer within ${handshakeTimeoutMs / 1000} s`;

/**
 * @param fingerprint SHA-256 in hex of the only certificate to trust; without it, certificate authorities are trusted
 * @throws Error with one sentence that says why there is no connection; CoordinatorBusyError if another attempt may
 * succeed
 */
export async function connect(url: string, fingerprint?: string): Promise<WorkerTransport> {
  const trust = fingerprint === undefined ? {} : await pinnedCertificate(new URL(url), fingerprint);
  let isAccepted = false;
  let isTimedOut = false;
  const socket = new WebSocket(url, subprotocol, {
    ...trust,
    perMessageDeflate: false,
    maxPayload: maxFrameBytes,
    handshakeTimeout: handshakeTimeoutMs,
    // A mask of zeros is valid (RFC 6455), and ws then skips masking, which only protects the caches of browsers'
    // proxies.
    generateMask: (mask) => mask.fill(0),
    finishRequest(request) {
      // The error that ws makes of it has no code.
      request.once('timeout', () => {
        isTimedOut = true;
      });
      request.once('socket', (stream) => {
        stream.once('connect', () => {
          isAccepted = true;
        });
      });
      request.end();
    },
  });
  let stream: Socket | undefined;
  socket.once('upgrade', (response) => {
    stream = response.socket;
  });
  const receivedBytes = (): number => stream?.bytesRead ?? 0;
  const transport = webSocketTransport(socket, { side: 'worker', remote: url, maxFrameBytes, receivedBytes });
  await new Promise<void>((resolve, reject) => {
    socket.once('open', resolve);
    socket.once('unexpected-response', (_request, response) => {
      void rejectionOf(response).then((error) => {
        socket.terminate();
        reject(error);
      });
    });
    socket.once('error', (error) => {
      // The kernel accepts connections even for a process that is frozen or busy.
      const isSilent = isAccepted && isTimedOut;
      reject(isSilent ? new CoordinatorBusyError(silentMessage) : new Error(connectionFault(error)));
    });
  });
  return transport;
}

/** Statuses with which a coordinator rejects an upgrade, with one sentence as the body. */
const rejectionStatuses: readonly (number | undefined)[] = [403, 421, 429];
const maxRejectionBytes = 1_024;

/** Explains why a server did not open a WebSocket: in the coordinator's own words, if it is one. */
async function rejectionOf(response: IncomingMessage): Promise<Error> {
  const { statusCode, statusMessage, headers } = response;
  const length = Number(headers['content-length']);
  if (rejectionStatuses.includes(statusCode) && length <= maxRejectionBytes) {
    response.setTimeout(handshakeTimeoutMs, () => response.destroy());
    const sentence = await text(response).catch(() => '');
    if (/^[^\n<>]+\n$/.test(sentence)) {
      return statusCode === 429 ? new CoordinatorBusyError(sentence.trimEnd()) : new Error(sentence.trimEnd());
    }
  }
  return new Error(`a server answers there, but it is no Lockstep coordinator (HTTP ${statusCode} ${statusMessage})`);
}

/** Time-out of the TLS handshake. */
const certificateTimeoutMs = 5_000;

/**
 * Checks the server's certificate against the fingerprint, and returns options that make later connections require it.
 * Sends nothing but the TLS handshake to the server.
 * @param fingerprint SHA-256 in hex, with or without colons
 * @throws Error with one sentence that says why the server is not trusted
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
  const socket: TLSSocket = connectTls({ host, port: Number(port || 443), rejectUnauthorized: false });
  socket.setTimeout(certificateTimeoutMs, () => socket.destroy(new Error('it does not answer')));
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

/** Explains to people, in a phrase, why a coordinator cannot be reached. */
function connectionFault(error: Error & { readonly code?: string }): string {
  switch (error.code) {
    case 'ECONNREFUSED':
      return 'nothing answers there (connection refused)';
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return 'no machine of that name is known';
    case 'ETIMEDOUT':
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
      return 'that machine cannot be reached';
    case 'DEPTH_ZERO_SELF_SIGNED_CERT':
    case 'SELF_SIGNED_CERT_IN_CHAIN':
    case 'UNABLE_TO_VERIFY_LEAF_SIGNATURE':
      return 'its certificate is not from a trusted authority: copy the whole address that the coordinator printed, with the fingerprint, or name the file of your own authority in NODE_EXTRA_CA_CERTS';
    case 'HPE_INVALID_CONSTANT':
    case 'ECONNRESET':
      return 'it closed the connection before a WebSocket was open: where the coordinator listens with TLS, the address begins with wss://';
    default:
      if (/^(EPROTO|ERR_SSL_)/.test(error.code ?? '')) {
        return 'it does not speak TLS: the address of a coordinator without TLS begins with ws://';
      }
      return /subprotocol/i.test(error.message)
        ? 'a WebSocket server answers there, but it does not speak lockstep.v1'
        : error.message.replace(/\n[\s\S]*/, '');
  }
}
