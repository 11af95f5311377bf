/** Answers plain HTTP, which only reads, but for uploads: the page, the health of the process, and its metrics. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { openPageFiles } from './page-files.ts';

/** @param next what answers where this has nothing to; left out, that is said */
export type Answer = (request: IncomingMessage, response: ServerResponse, next?: () => void) => void;

export interface PageOptions {
  readonly folder: string;
  readonly health: () => object;
  /** Left out where there are none. */
  readonly metrics?: () => Promise<{ readonly contentType: string; readonly text: string }>;
  /** Why the bearer of a token may not read the metrics, undefined if it may. */
  readonly metricsFault?: (token: string | undefined, request: IncomingMessage) => Promise<string | undefined>;
  /** Takes what is posted to `/upload`; left out where nothing is to be uploaded. */
  readonly upload?: Answer;
}

/** The built page, in `dist` of `@lockstep/web`. */
export const pageFolder = join(dirname(createRequire(import.meta.url).resolve('@lockstep/web/package.json')), 'dist');

/**
 * Everything comes from the coordinator, nothing is inline, WebAssembly may be compiled, and no page may frame this one.
 * The same policy holds in its Web Workers: nothing that they run makes code out of text.
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

const securityHeaders: Readonly<Record<string, string>> = {
  'content-security-policy': contentSecurityPolicy,
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
  'permissions-policy': 'camera=(), microphone=(), geolocation=()',
};

/** Shared memory between the page's threads exists only where no other site shares the process. */
const isolationHeaders: Readonly<Record<string, string>> = {
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-embedder-policy': 'require-corp',
};

/** Elsewhere a browser ignores the isolation, and complains about it in its console. */
function headersFor(request: IncomingMessage): Readonly<Record<string, string>> {
  return isSecureContext(request) ? { ...securityHeaders, ...isolationHeaders } : securityHeaders;
}

/** Whether a browser takes the page for one that no other machine can change: under TLS, here or before us, or on loopback. */
function isSecureContext({ socket, headers }: IncomingMessage): boolean {
  if ('encrypted' in socket || headers['x-forwarded-proto'] === 'https') return true;
  return /^(?:localhost|[^:]+\.localhost|127\.[\d.]+|\[::1\])(?::\d+)?$/i.test(headers.host ?? '');
}

export function createPages({
  folder,
  health,
  metrics,
  metricsFault = async () => undefined,
  upload,
}: PageOptions): Answer {
  const files = openFolder(folder);
  return (request, response, next) => {
    const headers = headersFor(request);
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
    const pass =
      next &&
      (() => {
        for (const name of [...Object.keys(headers), 'connection']) response.removeHeader(name);
        next();
      });
    if (upload && request.method === 'POST' && pathOf(request) === '/upload') {
      upload(request, response);
      return;
    }
    leaveBody(request, response);
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      if (pass) return pass();
      response.setHeader('allow', 'GET, HEAD');
      sendText(response, 405, `${request.method ?? 'this method'}: expected GET or HEAD`);
      return;
    }
    switch (pathOf(request)) {
      case '/healthz':
        send(response, 200, 'application/json', `${JSON.stringify(health())}\n`);
        return;
      case '/metrics': {
        if (!metrics) return files(request, response, pass);
        const answer = async (): Promise<void> => {
          const fault = await metricsFault(bearerOf(request), request);
          if (fault !== undefined) {
            response.setHeader('www-authenticate', 'Bearer');
            sendText(response, 401, fault);
            return;
          }
          const { contentType, text } = await metrics();
          send(response, 200, contentType, text);
        };
        answer().catch(() => sendText(response, 500, 'the metrics could not be read'));
        return;
      }
      default:
        files(request, response, pass);
    }
  };
}

function openFolder(folder: string): Answer {
  const page = openPageFiles(folder);
  const message = 'This is a Lockstep coordinator; its page is not built: npm start builds it.';
  return (request, response, next) => {
    const path = pathOf(request) ?? '/';
    if (page?.(path, request, response)) return;
    if (!page && path === '/') sendText(response, 503, message);
    else if (next) next();
    else sendText(response, 404, 'there is nothing at this address');
  };
}

/** The token of a request. */
export function bearerOf({ headers }: IncomingMessage): string | undefined {
  return headers.authorization?.match(/^Bearer (.+)$/i)?.[1];
}

function pathOf(request: IncomingMessage): string | undefined {
  return (request.url ?? '/').split('?')[0];
}

/** The connection ends with the answer where the request has a body: nothing wants it, and it may have no end. */
export function leaveBody({ headers }: IncomingMessage, response: ServerResponse): void {
  const { 'transfer-encoding': coding, 'content-length': length = '0' } = headers;
  if (coding !== undefined || Number(length) > 0) response.setHeader('connection', 'close');
}

/** Answers with one line of plain text. */
export function sendText(response: ServerResponse, status: number, message: string): void {
  send(response, status, 'text/plain; charset=utf-8', `${message}\n`);
}

/** Node leaves the body out where the request is a HEAD. */
function send(response: ServerResponse, status: number, contentType: string, text: string): void {
  const length = Buffer.byteLength(text);
  response.writeHead(status, { 'content-type': contentType, 'content-length': length, 'cache-control': 'no-store' });
  response.end(text);
}
