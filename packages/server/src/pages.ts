/** Answers plain HTTP requests, read-only except for uploads: the page, the health of the process, and its metrics. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createRequire } from 'node:module';
import { dirname, extname, join, sep } from 'node:path';
import { gunzipSync } from 'node:zlib';
import type { Run } from '@lockstep/coordinator';
import type { Clock } from '@lockstep/protocol';
import type { Report, RunRecord } from '@lockstep/record';
import { sha256 } from '@lockstep/record/node';
import type { CoordinatorState } from '@lockstep/rules';
import { systemClock } from '@lockstep/worker';
import type { Counter, Gauge, Registry } from 'prom-client';

/** @param next answers if there is nothing here; by default, the client gets an error */
export type Answer = (request: IncomingMessage, response: ServerResponse, next?: () => void) => void;

type Metrics = () => Promise<{ readonly contentType: string; readonly text: string }>;

export interface PageOptions {
  /** By default that of the built page. */
  readonly folder?: string;
  readonly health: () => object;
  /** Omitted if there are no metrics. */
  readonly metrics?: Metrics;
  /** Why the bearer of a token may not read the metrics; undefined if they may. */
  readonly metricsFault?: (token: string | undefined, request: IncomingMessage) => Promise<string | undefined>;
  /** Answers posts to `/upload`; omitted if there are no uploads. */
  readonly upload?: Answer;
}

/** The built page, in `dist` of `@lockstep/web`. */
const pageFolder = join(dirname(createRequire(import.meta.url).resolve('@lockstep/web/package.json')), 'dist');

/**
 * Everything comes from the coordinator, nothing is inline, WebAssembly may be compiled, and no page may frame this
 * one. The same policy applies to its Web Workers: nothing in them may turn text into code.
 */
const contentSecurityPolicy = [
  "default-src 'self'",
  "script-src 'self' 'wasm-unsafe-eval'",
  "worker-src 'self'",
  "connect-src 'self'",
  "img-src 'self' data:",
  "object-src 'none'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

/** @param camera who may use the camera: nobody, or the page itself for a person's own pictures */
function permissions(camera: '()' | '(self)'): string {
  return `camera=${camera}, microphone=(), geolocation=()`;
}

const securityHeaders: Readonly<Record<string, string>> = {
  'content-security-policy': contentSecurityPolicy,
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
  'permissions-policy': permissions('()'),
};

/** The page's threads can share memory only if no other site shares the process. */
const isolationHeaders: Readonly<Record<string, string>> = {
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-embedder-policy': 'require-corp',
};

/** Without a secure context, a browser ignores the isolation headers and logs a warning. */
function headersFor(request: IncomingMessage): Readonly<Record<string, string>> {
  return isSecureContext(request) ? { ...securityHeaders, ...isolationHeaders } : securityHeaders;
}

/** Whether a browser considers the page secure: under TLS, here or at a proxy, or on loopback. */
function isSecureContext({ socket, headers }: IncomingMessage): boolean {
  if ('encrypted' in socket || headers['x-forwarded-proto'] === 'https') return true;
  return /^(?:localhost|[^:]+\.localhost|127\.[\d.]+|\[::1\])(?::\d+)?$/i.test(headers.host ?? '');
}

export function createPages({
  folder = pageFolder,
  health,
  metrics,
  metricsFault = async () => undefined,
  upload,
}: PageOptions): Answer {
  const sendFile = openPageFiles(folder);
  const sendMetrics = async (request: IncomingMessage, response: ServerResponse, read: Metrics): Promise<void> => {
    const fault = await metricsFault(bearerOf(request), request);
    if (fault !== undefined) {
      sendUnauthorized(response, fault);
      return;
    }
    const { contentType, text } = await read();
    send(response, 200, contentType, text);
  };
  return (request, response, next) => {
    const headers = headersFor(request);
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
    const pass = (): void => {
      for (const name of [...Object.keys(headers), 'connection']) response.removeHeader(name);
      next?.();
    };
    const path = pathOf(request);
    if (upload && request.method === 'POST' && path === '/upload') {
      upload(request, response);
      return;
    }
    leaveBody(request, response);
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      if (next) return pass();
      response.setHeader('allow', 'GET, HEAD');
      sendText(response, 405, `${request.method ?? 'this method'}: expected GET or HEAD`);
    } else if (path === '/healthz') {
      send(response, 200, 'application/json', `${JSON.stringify(health())}\n`);
    } else if (path === '/metrics' && metrics) {
      sendMetrics(request, response, metrics).catch(() => sendText(response, 500, 'the metrics could not be read'));
    } else if (!sendFile(path, request, response)) {
      if (path === '/') {
        sendText(response, 503, 'This is a Lockstep coordinator, but its page is not built; npm start builds it.');
      } else if (next) pass();
      else sendText(response, 404, 'nothing is served at this address');
    }
  };
}

/** The token of a request. */
export function bearerOf({ headers }: IncomingMessage): string | undefined {
  return headers.authorization?.match(/^Bearer (.+)$/i)?.[1];
}

export function pathOf({ url = '/' }: IncomingMessage): string {
  return url.split('?')[0]!;
}

/** Ends the connection with the answer if the request has a body: the body is not needed, and may be endless. */
export function leaveBody({ headers }: IncomingMessage, response: ServerResponse): void {
  const { 'transfer-encoding': coding, 'content-length': length = '0' } = headers;
  if (coding !== undefined || Number(length) > 0) response.setHeader('connection', 'close');
}

/** Answers with one line of plain text. */
export function sendText(response: ServerResponse, status: number, message: string): void {
  send(response, status, 'text/plain; charset=utf-8', `${message}\n`);
}

export function sendUnauthorized(response: ServerResponse, message: string): void {
  response.setHeader('www-authenticate', 'Bearer');
  sendText(response, 401, message);
}

/** Node omits the body if the request is a HEAD. */
function send(response: ServerResponse, status: number, contentType: string, text: string): void {
  const length = Buffer.byteLength(text);
  response.writeHead(status, { 'content-type': contentType, 'content-length': length, 'cache-control': 'no-store' });
  response.end(text);
}

interface Encoded {
  readonly bytes: Buffer;
  /** Computed when the file is first sent. */
  etag?: string;
}

interface PageFile {
  readonly headers: Readonly<Record<string, string>>;
  readonly br: Encoded | undefined;
  readonly gzip: Encoded | undefined;
  /** A compressed file is decompressed when a client first asks for it plain, and kept: all answers share its bytes. */
  plain: Encoded | undefined;
}

const types: Readonly<Record<string, string>> = {
  '.html': 'text/html;charset=utf-8',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.json': 'application/json',
  '.wasm': 'application/wasm',
};
const yearSeconds = 365 * 24 * 3600;

/**
 * Serves a snapshot of the page's files, taken at the first request: a build that replaces them breaks no open page,
 * and a run that nobody watches reads none.
 * @returns a function that says whether it answered a request; it answers none while the folder has no page
 */
export function openPageFiles(
  folder: string,
): (path: string, request: IncomingMessage, response: ServerResponse) => boolean {
  let files: ReadonlyMap<string, PageFile> | undefined;
  return (path, request, response) => {
    files ??= readPageFiles(folder);
    const file = files?.get(path === '/' ? '/index.html' : path);
    if (file) sendFile(file, request, response);
    return file !== undefined;
  };
}

/** The page's files by URL path; undefined if the folder has no page. */
function readPageFiles(folder: string): Map<string, PageFile> | undefined {
  const contents = contentsOf(folder);
  // A build may have removed it, and be about to write another one.
  if (!contents.has('/index.html')) return undefined;
  const encoded = (path: string): Encoded | undefined => {
    const bytes = contents.get(path);
    return bytes && { bytes };
  };
  const files = new Map<string, PageFile>();
  for (const path of contents.keys()) {
    if (path.endsWith('.br') || path.endsWith('.gz')) continue;
    const [br, gzip] = [encoded(`${path}.br`), encoded(`${path}.gz`)];
    const headers = {
      'content-type': types[extname(path)] ?? 'application/octet-stream',
      // Vite puts a hash of the content into the name of every file in this folder.
      'cache-control': path.startsWith('/assets/') ? `public, max-age=${yearSeconds}, immutable` : 'no-cache',
      vary: 'Accept-Encoding',
      ...(path === '/index.html' && { 'permissions-policy': permissions('(self)') }),
    };
    files.set(path, { headers, br, gzip, plain: gzip ? undefined : encoded(path) });
  }
  return files;
}

/** Contents of all files by URL path, without hidden ones; empty if the folder does not exist. */
function contentsOf(folder: string): Map<string, Buffer> {
  const contents = new Map<string, Buffer>();
  if (!existsSync(folder)) return contents;
  for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
    const parts = name.split(sep);
    if (parts.some((part) => part.startsWith('.'))) continue;
    try {
      contents.set(`/${parts.join('/')}`, readFileSync(join(folder, name)));
    } catch {
      // A folder, or a file that a build has just removed.
    }
  }
  return contents;
}

/** Sends the whole file, ignoring range requests. Node omits the body if the request is a HEAD. */
function sendFile(file: PageFile, { headers }: IncomingMessage, response: ServerResponse): void {
  const accepted = String(headers['accept-encoding'] ?? '');
  const encoding = (['br', 'gzip'] as const).find((name) => file[name] && accepts(accepted, name));
  if (encoding === undefined) file.plain ??= { bytes: gunzipSync(file.gzip!.bytes) };
  const encoded = (encoding ? file[encoding] : file.plain)!;
  const { bytes } = encoded;
  encoded.etag ??= `"${sha256(bytes).slice(0, 32)}"`;
  const { etag } = encoded;
  const { 'content-type': type, ...cached } = file.headers;
  const packing = encoding && { 'content-encoding': encoding };
  if (headers['if-none-match'] === etag) response.writeHead(304, { ...cached, etag }).end();
  else response.writeHead(200, { ...file.headers, etag, 'content-length': bytes.length, ...packing }).end(bytes);
}

/** Whether a coding is in the list, with a weight above 0 if it has one (RFC 9110, section 12.5.3). */
function accepts(list: string, coding: string): boolean {
  return list.split(',').some((entry) => {
    const [name, ...parameters] = entry.split(';').map((part) => part.trim().toLowerCase());
    return name === coding && !parameters.some((parameter) => /^q\s*=\s*0(?:\.0*)?$/.test(parameter));
  });
}

interface MetricsSources {
  readonly run: Run;
  readonly record: RunRecord;
  /** Number of viewers, and the bytes that wait for them. */
  readonly viewers: () => { readonly viewers: number; readonly queuedBytes: number };
  readonly traffic: () => Report['wire'];
  readonly turnedAway: Report['turnedAway'];
}

/** Creates the registry at the first reading, so that a run without metrics pays nothing. */
export function createMetrics(sources: MetricsSources): Metrics {
  let opened: Promise<Registry> | undefined;
  return pacedReading(async () => {
    opened ??= openRegistry(sources);
    const registry = await opened;
    return { contentType: registry.contentType, text: await registry.metrics() };
  }, systemClock);
}

type Phase = CoordinatorState['phase'];
const runPhases: readonly Phase[] = ['waiting', 'training', 'paused', 'finished', 'failed'];
const workerPhases = ['handshake', 'checking', 'ready'] as const;

async function openRegistry({ run, record, viewers, traffic, turnedAway }: MetricsSources): Promise<Registry> {
  const { Counter, collectDefaultMetrics, Gauge, Registry } = await import('prom-client');
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  type Read = () => number | [label: string, value: number][];
  /** Both kinds are read from the run at each collection: reset to 0, then raised to the value. */
  const define = (Kind: typeof Gauge | typeof Counter, name: string, help: string, read: Read, label?: string) => {
    const collect = function (this: Gauge | Counter): void {
      this.reset();
      const values = read();
      if (typeof values === 'number') this.inc(values);
      else for (const [labelValue, value] of values) this.inc({ [label!]: labelValue }, value);
    };
    new Kind({ name, help, labelNames: label === undefined ? [] : [label], registers: [registry], collect });
  };

  const phases: Read = () => runPhases.map((phase) => [phase, run.state.phase === phase ? 1 : 0]);
  define(Gauge, 'lockstep_run_phase', '1 for the phase that the run is in', phases, 'phase');
  define(Gauge, 'lockstep_step', 'Steps taken', () => run.state.current.step);
  define(Gauge, 'lockstep_steps', 'Steps of the whole run', () => run.state.setup.plan.steps);
  define(Gauge, 'lockstep_train_loss', 'Smoothed training loss', () => record.loss ?? Number.NaN);
  const workers: Read = () => {
    const connections = [...run.state.connections.values()];
    return workerPhases.map((phase) => [phase, connections.filter((each) => each.phase === phase).length]);
  };
  define(Gauge, 'lockstep_workers', 'Connected workers', workers, 'phase');
  define(Gauge, 'lockstep_viewers', 'Connected viewers', () => viewers().viewers);
  define(Gauge, 'lockstep_viewers_queued_bytes', 'Bytes that wait for viewers', () => viewers().queuedBytes);
  define(Counter, 'lockstep_images_total', 'Images trained on', () => record.samplesSoFar);
  const faults: Read = () => Object.entries(run.state.faults);
  define(Counter, 'lockstep_faults_total', 'Faults that the run recovered from', faults, 'kind');
  const turned: Read = () => Object.entries(turnedAway);
  define(Counter, 'lockstep_turned_away_total', 'Connections and tokens that were turned away', turned, 'reason');
  const bytes: Read = () => [
    ['sent', traffic().bytesSent],
    ['received', traffic().bytesReceived],
  ];
  define(Counter, 'lockstep_wire_bytes_total', 'Bytes over the sockets of workers', bytes, 'direction');
  return registry;
}

/** Minimum pause between two readings: one takes 5 ms of the thread that a run needs. */
const apartMs = 100;

/**
 * Returns a reading no older than the call. Calls before a reading begins share it; the pause between readings limits
 * the share of time that a flood of calls takes.
 */
export function pacedReading<Value>(read: () => Promise<Value>, clock: Clock): () => Promise<Value> {
  let last: Promise<unknown> = Promise.resolve();
  let next: Promise<Value> | undefined;
  let freeAtMs = Number.NEGATIVE_INFINITY;
  const begin = async (): Promise<Value> => {
    await last;
    await new Promise<void>((resolve) => clock.after(freeAtMs - clock.nowMs(), resolve));
    next = undefined;
    try {
      return await read();
    } finally {
      freeAtMs = clock.nowMs() + apartMs;
    }
  };
  return () => {
    if (!next) {
      next = begin();
      last = next.catch(() => {});
    }
    return next;
  };
}
