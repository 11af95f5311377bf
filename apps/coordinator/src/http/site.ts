/** Answers plain HTTP, which only reads: the page, the health of the process, and its metrics. */
import { existsSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { join } from 'node:path';
import sirv from 'sirv';
import { securityHeaders } from './headers.ts';

export type Answer = (request: IncomingMessage, response: ServerResponse) => void;

export interface SiteOptions {
  /** The built page. */
  readonly folder: string;
  readonly health: () => object;
  readonly metrics: () => Promise<{ readonly contentType: string; readonly text: string }>;
}

/** Vite puts a hash of the content into the name of every file in this folder. */
const isHashed = (path: string): boolean => path.startsWith('/assets/');
const yearSeconds = 365 * 24 * 3600;

export function createSite({ folder, health, metrics }: SiteOptions): Answer {
  const files = openFolder(folder);
  return (request, response) => {
    for (const [name, value] of Object.entries(securityHeaders)) response.setHeader(name, value);
    // A request with a body would keep the connection busy, since nothing reads the body.
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.setHeader('allow', 'GET, HEAD');
      sendText(request, response, 405, `${request.method ?? 'this method'}: expected GET or HEAD`);
      return;
    }
    switch (pathOf(request)) {
      case '/healthz':
        send(request, response, 200, 'application/json', `${JSON.stringify(health())}\n`);
        return;
      case '/metrics':
        metrics().then(
          ({ contentType, text }) => send(request, response, 200, contentType, text),
          () => sendText(request, response, 500, 'the metrics could not be read'),
        );
        return;
      default:
        files(request, response);
    }
  };
}

function openFolder(folder: string): Answer {
  const notFound: Answer = (request, response) => sendText(request, response, 404, 'there is nothing at this address');
  if (!existsSync(join(folder, 'index.html'))) {
    const message = 'This is a Lockstep coordinator; its page is not built: npm start builds it.';
    return (request, response) => {
      if (pathOf(request) === '/') sendText(request, response, 503, message);
      else notFound(request, response);
    };
  }
  // sirv reads the names once: whatever an address says, only files that are there now can be served.
  return sirv(folder, {
    etag: true,
    onNoMatch: notFound,
    setHeaders(response, path) {
      response.setHeader('cache-control', isHashed(path) ? `public, max-age=${yearSeconds}, immutable` : 'no-cache');
    },
  });
}

function pathOf(request: IncomingMessage): string | undefined {
  return (request.url ?? '/').split('?')[0];
}

/** Answers with one line of plain text. */
export function sendText(request: IncomingMessage, response: ServerResponse, status: number, message: string): void {
  send(request, response, status, 'text/plain; charset=utf-8', `${message}\n`);
}

function send(
  request: IncomingMessage,
  response: ServerResponse,
  status: number,
  contentType: string,
  text: string,
): void {
  response.writeHead(status, {
    'content-type': contentType,
    'content-length': Buffer.byteLength(text),
    'cache-control': 'no-store',
  });
  response.end(request.method === 'HEAD' ? undefined : text);
}
