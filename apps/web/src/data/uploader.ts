/** Uploads files to the server of this page: first a list of them, then their bytes as one stream, in pieces. */
import { signal } from '@preact/signals';
import type { NamedFile } from './named-files.ts';

const leastPieceBytes = 256 * 1024;
/** The server's limit for one request. */
const mostPieceBytes = 4 * 2 ** 20;
/** Target duration of one request: the server aborts requests that take ten seconds. */
const pieceMs = 1_000;

export class Uploader {
  readonly isSending = signal(false);
  /** Why the last upload failed. */
  readonly fault = signal<string>();

  /**
   * @param files chosen by a person, or a promise of them
   * @param token admin token
   */
  async send(files: readonly NamedFile[] | Promise<readonly NamedFile[]>, token: string): Promise<void> {
    if (this.isSending.value) return;
    this.isSending.value = true;
    this.fault.value = undefined;
    try {
      await sendAll(await files, token);
    } catch (error) {
      this.fault.value = error instanceof Error ? error.message : String(error);
    } finally {
      this.isSending.value = false;
    }
  }
}

async function sendAll(files: readonly NamedFile[], token: string): Promise<void> {
  if (files.length === 0) throw new Error('expected a file or a folder with files, got none');
  const list = files.map(({ path, file }) => ({ path, bytes: file.size }));
  const { id } = await post('', JSON.stringify(list), token);
  const stream = new Blob(files.map(({ file }) => file));
  let pieceBytes = leastPieceBytes;
  let offset = 0;
  do {
    const piece = stream.slice(offset, offset + pieceBytes);
    const startedAt = performance.now();
    await post(`?id=${encodeURIComponent(id)}&offset=${offset}`, piece, token);
    const isQuick = performance.now() - startedAt < pieceMs;
    pieceBytes = Math.min(mostPieceBytes, Math.max(leastPieceBytes, isQuick ? pieceBytes * 2 : pieceBytes / 2));
    offset += piece.size;
  } while (offset < stream.size);
}

async function post(query: string, body: BodyInit, token: string): Promise<{ readonly id: string }> {
  const url = new URL(`./upload${query}`, location.href);
  url.hash = '';
  let response: Response;
  try {
    response = await fetch(url, { method: 'POST', body, headers: { authorization: `Bearer ${token}` } });
  } catch {
    throw new Error('the upload broke off: a file has changed or gone, or the server does not answer');
  }
  const text = (await response.text()).trim();
  if (!response.ok) throw new Error(text);
  return JSON.parse(text) as { readonly id: string };
}
