/** Answers plain HTTP, which only reads: the page, whether the process lives, and its figures. */
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

/** Vite puts a hash of the content into the name of everything in this folder. */
const isHashed = (path: string): boolean => path.startsWith('/assets/');
const yearSeconds = 365 * 24 * 3600;

export function createSite({ folder, health, metrics }: SiteOptions): Answer {
  const files = openFolder(folder);
  return (request, response) => {
    for (const [name, value] of Object.entries(securityHeaders)) response.setHeader(name, value);
    // Nothing reads a body: whoever sends one would keep the connection busy.
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.setHeader('allow', 'GET, HEAD');
      say(request, response, 405, `${request.method ?? 'this method'}: expected GET or HEAD`);
      return;
    }
    switch ((request.url ?? '/').split('?')[0]) {
      case '/healthz':
        send(request, response, 200, 'application/json', `${JSON.stringify(health())}\n`);
        return;
      case '/metrics':
        metrics().then(
          ({ contentType, text }) => send(request, response, 200, contentType, text),
          () => say(request, response, 500, 'the figures could not be gathered'),
        );
        return;
      default:
        files(request, response);
    }
  };
}

function openFolder(folder: string): Answer {
  const notFound: Answer = (request, response) => say(request, response, 404, 'there is nothing at this address');
  if (!existsSync(join(folder, 'index.html'))) {
    return (request, response) => {
      if ((request.url ?? '/').split('?')[0] !== '/') notFound(request, response);
      else say(request, response, 503, 'This is a Lockstep coordinator; its page is not built: npm start builds it.');
    };
  }
  // Reads the names once, so that only files that are there now can ever be served, whatever an address says.
  return sirv(folder, {
    etag: true,
    onNoMatch: notFound,
    setHeaders(response, path) {
      response.setHeader('cache-control', isHashed(path) ? `public, max-age=${yearSeconds}, immutable` : 'no-cache');
    },
  });
}

function say(request: IncomingMessage, response: ServerResponse, status: number, message: string): void {
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
