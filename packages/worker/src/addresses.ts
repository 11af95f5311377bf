/** Finds a worker's coordinator, at an address that was given, told or found, and opens a WebSocket to it. */
import type { X509Certificate } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { isIP, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { FramePool, subprotocol, type WorkerTransport, webSocketTransport } from '@lockstep/protocol';
import { WebSocket } from 'ws';
import { FrameMemory, frameMemoryHeader } from './frame-memory.ts';
import { CoordinatorBusyError, maxFrameBytes } from './membership.ts';
import { type FoundAddress, type JoinSecrets, joinAddress, type ParsedAddress } from './options.ts';

/** Addresses of a run's coordinators, and the one that is joined. */
interface AddressBook {
  /** @throws Error with one sentence that says why there is no connection */
  connect(): Promise<WorkerTransport>;
  /** Token of the joined coordinator. */
  readonly token: string | undefined;
  /** Address of the joined coordinator; undefined before one is found. */
  readonly joined: BookAddress | undefined;
  /** Takes the alternative addresses of the run from the coordinator. */
  learn(addresses: readonly string[]): void;
  /** Waits after a coordinator has sent its workers away. @returns whether the run goes on, with another coordinator */
  goesOn(): Promise<boolean>;
}

type BookAddress = Pick<ParsedAddress, 'url' | 'fingerprint'>;

/**
 * @param place address of the run, or a source that finds it
 * @param secrets that the address may contain instead
 * @param leaving aborted when the worker leaves
 * @param over aborted here if the run is over, before `connect` fails
 * @param isLocal whether the given coordinator has started this worker, so that long frames pass through memory
 * @throws ConfigurationError if `place` is neither a source nor the address of a WebSocket
 */
export function openAddressBook(
  place: string | AddressSource,
  secrets: JoinSecrets,
  leaving: AbortSignal,
  over: AbortController,
  isLocal = false,
): AddressBook {
  const isSource = typeof (place as Partial<AddressSource> | null)?.find === 'function';
  return isSource
    ? new FoundAddresses(place as AddressSource, leaving, over)
    : new ToldAddresses(joinAddress(place as string, secrets), leaving, isLocal);
}

/** The given address of a run, and those that its coordinators told. */
export class ToldAddresses implements AddressBook {
  readonly token: string | undefined;
  readonly #given: BookAddress;
  readonly #leaving: AbortSignal | undefined;
  readonly #isLocal: boolean;
  /** In the order of attempts: the last one reached comes first. */
  #addresses: readonly BookAddress[];

  constructor({ url, fingerprint, token }: ParsedAddress, leaving?: AbortSignal, isLocal = false) {
    this.token = token;
    this.#leaving = leaving;
    this.#isLocal = isLocal;
    this.#given = { url, fingerprint };
    this.#addresses = [this.#given];
  }

  /** The address last reached; at first the given one. */
  get joined(): BookAddress {
    return this.#addresses[0] ?? this.#given;
  }

  /** Replaces the told addresses by those of the joined coordinator. */
  learn(told: readonly string[]): void {
    const others = told.map((url): BookAddress => joinAddress(url, {}));
    // Told by a coordinator on another machine, a loopback address does not lead to it.
    const reachable = others.filter(({ url }) => isLoopback(this.#given.url) || !isLoopback(url));
    const all = [this.joined, this.#given, ...reachable];
    this.#addresses = all.filter(({ url }, at) => all.findIndex((other) => other.url === url) === at);
  }

  connect(): Promise<WorkerTransport> {
    return this.reach(({ url, fingerprint }) => connect(url, fingerprint, this.#leaving, this.#isLocal));
  }

  /** Tries one address after another. @throws the error of the first attempt if all fail */
  async reach<Reached>(attempt: (address: BookAddress) => Promise<Reached>): Promise<Reached> {
    let first: unknown;
    for (const address of this.#addresses) {
      try {
        const reached = await attempt(address);
        this.#addresses = [address, ...this.#addresses.filter((other) => other !== address)];
        return reached;
      } catch (error) {
        first ??= error;
      }
    }
    throw first;
  }

  async goesOn(): Promise<boolean> {
    return false;
  }
}

function isLoopback(url: string): boolean {
  const { hostname } = new URL(url);
  return hostname === 'localhost' || hostname === '[::1]' || hostname.startsWith('127.');
}

/** Locates a run's current coordinator; a fleet's finder is one. */
export interface AddressSource {
  /** Returns undefined if the run is over. @throws Error with one phrase if no coordinator is known */
  find(): Promise<FoundAddress | undefined>;
  /**
   * Waits a limited time for a different coordinator than the last one found, or for the end of the run.
   * @returns whether either came
   */
  changed(signal: AbortSignal): Promise<boolean>;
}

/** The address that a source finds at each attempt. */
export class FoundAddresses implements AddressBook {
  readonly #source: AddressSource;
  readonly #leaving: AbortSignal;
  readonly #over: AbortController;
  #joined: ParsedAddress | undefined;

  /** @param over aborted if the run is over, before `connect` fails */
  constructor(source: AddressSource, leaving: AbortSignal, over: AbortController) {
    this.#source = source;
    this.#leaving = leaving;
    this.#over = over;
  }

  get token(): string | undefined {
    return this.#joined?.token;
  }

  get joined(): BookAddress | undefined {
    return this.#joined;
  }

  /** Not needed: the source is asked at each attempt. */
  learn(): void {}

  async connect(): Promise<WorkerTransport> {
    for (;;) {
      const found = await this.#source.find();
      if (!found) {
        this.#over.abort();
        throw new Error('the run is over');
      }
      this.#joined = joinAddress(found.url, found);
      try {
        return await connect(this.#joined.url, this.#joined.fingerprint, this.#leaving);
      } catch (error) {
        // The next attempt may be seconds away, so retry at once if another coordinator has taken over.
        if (!(await this.#source.changed(this.#leaving))) throw error;
      }
    }
  }

  async goesOn(): Promise<boolean> {
    await this.#source.changed(this.#leaving);
    const isOver = await this.#source.find().then(
      (found) => found === undefined,
      () => false,
    );
    return !isOver && !this.#leaving.aborted;
  }
}

const handshakeTimeoutMs = 5_000;

/** Bun may tell that data have been sent before they have. */
const tellsSent = process.versions['bun'] === undefined;

const silentMessage = `a server is there, but did not answer within ${handshakeTimeoutMs / 1000} s`;

/**
 * @param fingerprint SHA-256 in hex of the only certificate to trust; without it, certificate authorities are trusted
 * @param leaving ends the attempt when aborted
 * @param isLocal whether long frames pass through memory, if the server has it too
 * @throws Error with one sentence that says why there is no connection; CoordinatorBusyError if another attempt may
 * succeed
 */
export async function connect(
  url: string,
  fingerprint?: string,
  leaving?: AbortSignal,
  isLocal = false,
): Promise<WorkerTransport> {
  leaving?.throwIfAborted();
  const trust = fingerprint === undefined ? {} : await pinnedCertificate(new URL(url), fingerprint);
  let isAccepted = false;
  let isTimedOut = false;
  const memory = isLocal ? FrameMemory.create() : undefined;
  const socket = new WebSocket(url, subprotocol, {
    ...trust,
    ...(memory && { headers: { [frameMemoryHeader]: memory.name } }),
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
    if (memory) memory.isShared = response.headers[frameMemoryHeader] === memory.name;
    memory?.unlink();
  });
  socket.once('close', () => {
    memory?.unlink();
    memory?.close();
  });
  const transport = webSocketTransport(socket, {
    side: 'worker',
    remote: url,
    maxFrameBytes,
    receivedBytes: () => (stream?.bytesRead ?? 0) + (memory?.receivedBytes ?? 0),
    frames: tellsSent ? new FramePool() : undefined,
    shared: memory,
  });
  const leave = (): void => socket.terminate();
  leaving?.addEventListener('abort', leave);
  await new Promise<void>((resolve, reject) => {
    socket.once('open', resolve);
    socket.once('unexpected-response', (_request, response) => {
      void rejectionOf(response).then((error) => {
        socket.terminate();
        reject(error);
      });
    });
    socket.once('error', (error) => {
      if (isTimedOut) reject(timeoutFault(isAccepted));
      else reject(new Error(connectionFault(error), { cause: error }));
    });
  }).finally(() => leaving?.removeEventListener('abort', leave));
  return transport;
}

/** Statuses with which a coordinator rejects an upgrade, with one sentence as the body. */
const rejectionStatuses: readonly (number | undefined)[] = [403, 421, 429, 503];
/** Rejection statuses of a coordinator that will accept a later attempt. */
const busyStatuses: readonly (number | undefined)[] = [429, 503];

/** Statuses of a proxy that does not reach the server behind it. */
const gatewayStatuses: readonly (number | undefined)[] = [502, 503, 504];

const maxRejectionBytes = 1_024;

/** Explains why a server did not open a WebSocket: in the coordinator's own words, if it is one. */
async function rejectionOf(response: IncomingMessage): Promise<Error> {
  const { statusCode, statusMessage, headers } = response;
  const length = Number(headers['content-length']);
  if (rejectionStatuses.includes(statusCode) && length <= maxRejectionBytes) {
    response.setTimeout(handshakeTimeoutMs, () => response.destroy());
    const sentence = await text(response).catch(() => '');
    if (/^[^\n<>]+\n$/.test(sentence)) {
      return busyStatuses.includes(statusCode)
        ? new CoordinatorBusyError(sentence.trimEnd())
        : new Error(sentence.trimEnd());
    }
  }
  const status = `HTTP ${statusCode} ${statusMessage}`;
  if (gatewayStatuses.includes(statusCode)) {
    return new Error(`a proxy answers there, but it does not reach a coordinator (${status})`);
  }
  return new Error(
    `a server answers there, but it is not a Lockstep coordinator (${status}); a proxy must forward WebSockets to one`,
  );
}

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
      'its certificate does not match the fingerprint in the join address: another server answers there, or the coordinator was restarted',
    );
  }
  // The key identifies the server; neither the host name in the certificate nor its authority matters.
  return { ca: certificate.toString(), allowPartialTrustChain: true, checkServerIdentity: () => undefined };
}

async function certificateOf({ hostname, port }: URL): Promise<X509Certificate> {
  const host = hostname.replace(/^\[|\]$/g, '');
  const name = isIP(host) === 0 ? { servername: host } : {};
  const socket: TLSSocket = connectTls({ ...name, host, port: Number(port || 443), rejectUnauthorized: false });
  socket.setTimeout(handshakeTimeoutMs, () => socket.destroy(timeoutFault(!socket.connecting)));
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('secureConnect', resolve);
      socket.once('error', reject);
    });
    const certificate = socket.getPeerX509Certificate();
    if (!certificate) throw new Error('the server sent no certificate');
    return certificate;
  } catch (error) {
    throw error instanceof CoordinatorBusyError ? error : new Error(connectionFault(error as Error));
  } finally {
    socket.destroy();
  }
}

const unknownName = 'unknown host name';

const unreachable = 'the host cannot be reached';

const untrusted =
  'its certificate is not trusted: copy the whole address that the coordinator printed, with the fingerprint, or set NODE_EXTRA_CA_CERTS to the file of your own authority';
const closedEarly =
  'the server closed the connection before a WebSocket was open: if the coordinator uses TLS, the address begins with wss://';

/** Phrases that explain to people why a coordinator cannot be reached, by code. */
const faults: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing answers there (connection refused)',
  ENOTFOUND: unknownName,
  EAI_AGAIN: unknownName,
  ETIMEDOUT: unreachable,
  EHOSTUNREACH: unreachable,
  ENETUNREACH: unreachable,
  DEPTH_ZERO_SELF_SIGNED_CERT: untrusted,
  SELF_SIGNED_CERT_IN_CHAIN: untrusted,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: untrusted,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: untrusted,
  CERT_HAS_EXPIRED: 'its certificate has expired',
  CERT_NOT_YET_VALID: "its certificate is not valid yet: check this machine's clock",
  ERR_TLS_CERT_ALTNAME_INVALID: 'its certificate is for another host: use a host name that the certificate contains',
  HPE_INVALID_CONSTANT: closedEarly,
  ECONNRESET: closedEarly,
};

/** @param isAccepted whether TCP was connected: the kernel does that even for a process that is frozen or busy */
function timeoutFault(isAccepted: boolean): Error {
  return isAccepted ? new CoordinatorBusyError(silentMessage) : new Error(unreachable);
}

function connectionFault({ code = '', message }: Error & { readonly code?: string }): string {
  if (faults[code] !== undefined) return faults[code];
  // Only a server that uses TLS sends an alert.
  if (/^ERR_SSL_.*_ALERT_/.test(code)) return `the server ended the TLS handshake (${code})`;
  if (/^(EPROTO|ERR_SSL_)/.test(code)) {
    return 'the server does not use TLS: the address of a coordinator without TLS begins with ws://';
  }
  return /subprotocol/i.test(message)
    ? 'a WebSocket server answers there, but it does not speak lockstep.v1'
    : message.replace(/\n[\s\S]*/, '');
}
