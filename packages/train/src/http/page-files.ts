/** Serves the page's files as they were when it was opened: a build that replaces them breaks no page of this process. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { extname, join, sep } from 'node:path';
import { gunzipSync } from 'node:zlib';

/** A file in one encoding. */
interface Encoded {
  readonly bytes: Buffer;
  readonly etag: string;
}

interface PageFile {
  readonly type: string;
  readonly cacheControl: string;
  readonly br: Encoded | undefined;
  readonly gzip: Encoded | undefined;
  /** Where it is packed it is unpacked when a client first asks for it so, and kept: all answers that wait share its bytes. */
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

/** @returns whether a request was answered; undefined where the folder has no page */
export function openPageFiles(
  folder: string,
): ((path: string, request: IncomingMessage, response: ServerResponse) => boolean) | undefined {
  const files = readPageFiles(folder);
  if (!files.has('/index.html')) return undefined;
  return (path, request, response) => {
    const file = files.get(path === '/' ? '/index.html' : path);
    if (file) send(file, request, response);
    return file !== undefined;
  };
}

/** By their addresses. */
function readPageFiles(folder: string): Map<string, PageFile> {
  const contents = new Map<string, Buffer>();
  for (const name of namesIn(folder)) {
    const bytes = readWhere(join(folder, name));
    if (bytes) contents.set(`/${name.replaceAll(sep, '/')}`, bytes);
  }
  const files = new Map<string, PageFile>();
  for (const [path, bytes] of contents) {
    if (path.endsWith('.br') || path.endsWith('.gz')) continue;
    const [br, gzip] = [encoded(contents.get(`${path}.br`)), encoded(contents.get(`${path}.gz`))];
    files.set(path, {
      type: types[extname(path)] ?? 'application/octet-stream',
      // Vite puts a hash of the content into the name of every file in this folder.
      cacheControl: path.startsWith('/assets/') ? `public, max-age=${yearSeconds}, immutable` : 'no-cache',
      ...{ br, gzip, plain: gzip ? undefined : encoded(bytes) },
    });
  }
  return files;
}

/** Relative to the folder, without hidden ones; none where there is no folder. */
function namesIn(folder: string): string[] {
  try {
    const names = readdirSync(folder, { recursive: true, encoding: 'utf8' });
    return names.filter((name) => !name.split(sep).some((part) => part.startsWith('.')));
  } catch {
    return [];
  }
}

/** Undefined for a folder, and where a build has just removed the file. */
function readWhere(path: string): Buffer | undefined {
  try {
    return statSync(path).isFile() ? readFileSync(path) : undefined;
  } catch {
    return undefined;
  }
}

function encoded(bytes: Buffer | undefined): Encoded | undefined {
  return bytes && { bytes, etag: `"${createHash('sha256').update(bytes).digest('hex').slice(0, 32)}"` };
}

/** The whole file, whatever range of it is asked for. Node leaves the body out where the request is a HEAD. */
function send(file: PageFile, { headers }: IncomingMessage, response: ServerResponse): void {
  const accepted = String(headers['accept-encoding'] ?? '');
  const encoding = (['br', 'gzip'] as const).find((name) => file[name] && accepts(accepted, name));
  const { bytes, etag } = (encoding && file[encoding]) ?? plainOf(file);
  response.setHeader('vary', 'Accept-Encoding');
  response.setHeader('cache-control', file.cacheControl);
  response.setHeader('etag', etag);
  if (headers['if-none-match'] === etag) {
    response.writeHead(304).end();
    return;
  }
  const packing = encoding && { 'content-encoding': encoding };
  response.writeHead(200, { 'content-type': file.type, 'content-length': bytes.length, ...packing }).end(bytes);
}

/** Whether a coding is in the list, with a weight above 0 where it has one (RFC 9110, section 12.5.3). */
function accepts(list: string, coding: string): boolean {
  return list.split(',').some((entry) => {
    const [name, ...parameters] = entry.split(';').map((part) => part.trim().toLowerCase());
    return name === coding && !parameters.some((parameter) => /^q\s*=\s*0(?:\.0*)?$/.test(parameter));
  });
}

function plainOf(file: PageFile): Encoded {
  file.plain ??= unpacked(file.gzip!);
  return file.plain;
}

function unpacked({ bytes, etag }: Encoded): Encoded {
  return { bytes: gunzipSync(bytes), etag: etag.replace(/"$/, '-plain"') };
}
