/** What belongs to the run itself comes from the coordinator above: viewers' sockets and metrics are passed on to it. */
import { request as httpRequest, type IncomingMessage, type RequestOptions, type ServerResponse } from 'node:http';
import { request as secureRequest } from 'node:https';
import type { Duplex } from 'node:stream';
import { pinnedCertificate } from '@lockstep/worker/internal';
import { relayHeaderNames, relayHeaders } from '../guard/source-address.ts';
import { sendText } from '../http/pages.ts';
import { rejectUpgrade } from '../http/upgrade.ts';

/** Where the coordinator above is. */
interface UpstreamAddress {
  /** Of its sockets, such as `ws://127.0.0.1:7070/`. */
  readonly url: string;
  /** SHA-256 of the only certificate to trust. */
  readonly fingerprint?: string | undefined;
  /** Token that joining needs there. */
  readonly token?: string | undefined;
}

const unreached = 'the coordinator behind this relay does not answer';
const timeoutMs = 5_000;
/** Headers of one connection, and the page's origin, which this relay has checked. */
const ownHeaders = new Set([
  ...['host', 'origin', 'referer', 'cookie', 'forwarded', 'x-forwarded-for'],
  ...relayHeaderNames,
]);

export class Upstream {
  readonly #addressOf: () => UpstreamAddress | undefined;
  readonly #sockets = new Set<Duplex>();

  /** @param addressOf undefined where no coordinator is known */
  constructor(addressOf: () => UpstreamAddress | undefined) {
    this.#addressOf = addressOf;
  }

  /** Answers a request of a client, as of `clientOf`, with what the coordinator answers. */
  pass(incoming: IncomingMessage, client: string, response: ServerResponse): void {
    void this.#request(incoming, client).then(
      (outgoing) => {
        outgoing.on('response', (answer) => {
          response.writeHead(answer.statusCode ?? 502, answer.headers);
          answer.pipe(response);
        });
        outgoing.on('error', () => failed(response));
        outgoing.end();
      },
      () => failed(response),
    );
  }

  /** Joins a viewer's socket with one of the coordinator's. @param onAccepted called where the coordinator takes it */
  passUpgrade(incoming: IncomingMessage, client: string, socket: Duplex, head: Buffer, onAccepted: () => void): void {
    socket.on('error', () => socket.destroy());
    void this.#request(incoming, client).then(
      (outgoing) => {
        outgoing.on('upgrade', (answer, upstream, upstreamHead) => {
          onAccepted();
          upstream.setTimeout(0);
          socket.write(headOf(answer));
          this.#join(socket, upstream, [upstreamHead, head]);
        });
        outgoing.on('response', (answer) => {
          answer.resume();
          rejectUpgrade(socket, answer.statusCode ?? 502, 'the coordinator behind this relay refused the connection');
        });
        outgoing.on('error', () => rejectUpgrade(socket, 502, unreached));
        outgoing.end();
      },
      () => rejectUpgrade(socket, 502, unreached),
    );
  }

  /** Ends every viewer's socket. */
  close(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async #request({ url: path = '/', method = 'GET', headers }: IncomingMessage, client: string) {
    const address = this.#addressOf();
    if (!address) throw new Error(unreached);
    const { url, fingerprint, token } = address;
    const base = new URL(url);
    const isSecure = base.protocol === 'wss:';
    const trust = isSecure && fingerprint !== undefined ? await pinnedCertificate(base, fingerprint) : {};
    const kept = Object.entries(headers).filter(([name]) => !ownHeaders.has(name));
    const options: RequestOptions = {
      ...trust,
      host: base.hostname.replace(/^\[|\]$/g, ''),
      port: base.port || (isSecure ? 443 : 80),
      path: `${base.pathname.replace(/\/$/, '')}${path}`,
      ...{ method, timeout: timeoutMs },
      headers: { ...Object.fromEntries(kept), ...relayHeaders(client, token) },
    };
    const outgoing = isSecure ? secureRequest(options) : httpRequest(options);
    outgoing.on('timeout', () => outgoing.destroy(new Error(unreached)));
    return outgoing;
  }

  #join(socket: Duplex, upstream: Duplex, [fromUpstream, fromSocket]: readonly [Buffer, Buffer]): void {
    this.#sockets.add(socket);
    upstream.on('error', () => upstream.destroy());
    socket.on('close', () => {
      this.#sockets.delete(socket);
      upstream.destroy();
    });
    upstream.on('close', () => socket.destroy());
    socket.write(fromUpstream);
    upstream.write(fromSocket);
    upstream.pipe(socket);
    socket.pipe(upstream);
  }
}

function failed(response: ServerResponse): void {
  if (response.headersSent) response.destroy();
  else sendText(response, 502, unreached);
}

/** The lines with which an upgrade was accepted. */
function headOf({ statusCode, statusMessage, rawHeaders }: IncomingMessage): string {
  const lines = [`HTTP/1.1 ${statusCode} ${statusMessage}`];
  for (let at = 0; at < rawHeaders.length; at += 2) lines.push(`${rawHeaders[at]}: ${rawHeaders[at + 1]}`);
  return `${lines.join('\r\n')}\r\n\r\n`;
}
