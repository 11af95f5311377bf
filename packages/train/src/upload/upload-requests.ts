/** Takes an upload over HTTP: a list of its files, then their bytes as one stream, in pieces. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { type Answer, bearerOf, sendText } from '../http/pages.ts';
import type { Upload } from './upload.ts';
import { UploadError } from './upload-plan.ts';

export interface UploadTarget {
  /** Begins an upload of the files that a JSON list names. @throws UploadError */
  begin(json: string): Upload;
  /** @throws UploadError */
  add(id: string, offset: number, bytes: Uint8Array): Promise<Upload>;
}

export interface UploadRequestOptions {
  readonly target: UploadTarget;
  /** Why the bearer of a token may not upload, undefined where it may. */
  readonly adminFault: (token: string | undefined) => string | undefined;
  /** Called for a request that may go on: its connection shows what it is for. */
  readonly onAdmitted: (request: IncomingMessage) => void;
}

/** Most bytes of one request. */
const maxPieceBytes = 4 * 2 ** 20;

export function createUploadAnswer({ target, adminFault, onAdmitted }: UploadRequestOptions): Answer {
  const take = async (request: IncomingMessage): Promise<{ id: string; receivedBytes: number; totalBytes: number }> => {
    const body = await bodyOf(request);
    const query = new URL(request.url ?? '/', 'http://upload').searchParams;
    const id = query.get('id');
    const upload =
      id === null
        ? target.begin(body.toString('utf8'))
        : await target.add(id, Number(query.get('offset') ?? '0'), body);
    const { receivedBytes, totalBytes } = upload;
    return { id: upload.id, receivedBytes, totalBytes };
  };
  return (request, response) => {
    const fault = adminFault(bearerOf(request));
    if (fault !== undefined) {
      response.setHeader('www-authenticate', 'Bearer');
      refuse(response, 401, fault);
      return;
    }
    onAdmitted(request);
    take(request).then(
      (state) => sendText(response, 200, JSON.stringify(state)),
      (error: unknown) => {
        const isKnown = error instanceof UploadError;
        refuse(response, isKnown ? error.status : 500, isKnown ? error.message : 'the upload could not be taken');
      },
    );
  };
}

/** What is left of the request's body is not waited for. */
function refuse(response: ServerResponse, status: number, message: string): void {
  response.setHeader('connection', 'close');
  sendText(response, status, message);
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.byteLength;
    if (bytes > maxPieceBytes) {
      throw new UploadError(`a piece of an upload: expected at most ${maxPieceBytes} bytes, got more`, 413);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
