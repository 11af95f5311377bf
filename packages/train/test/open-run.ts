/** A run of the library inside the test, which listens, and viewers of its dashboard; all of them end with the test. */
import { onTestFinished } from 'vitest';
import { openViewer, type TestViewer } from '../../server/test/test-viewer.ts';
import { type TrainingRun, type TrainOptions, train } from '../src/index.ts';
import { tinyData, tinyModel } from './tiny-dataset.ts';

export const tiny = { data: tinyData, model: tinyModel, batch: 16, epochs: 3 } satisfies TrainOptions;

export async function openRun({ listen, ...options }: TrainOptions) {
  const run = train({ ...options, listen: { port: 0, ...(typeof listen === 'object' && listen) } });
  onTestFinished(() => run[Symbol.asyncDispose]());
  const { owner, worker: url } = await run.addresses;
  const admin = /admin=([^&]+)/.exec(owner)![1]!;
  /** Opens a viewer that is an owner. */
  const watch = async (): Promise<TestViewer> => {
    const viewer = await openViewer(url, {}, { adminToken: admin });
    onTestFinished(() => viewer.socket.terminate());
    return viewer;
  };
  return { run, url, page: owner.replace(/#.*/, ''), admin, watch };
}

export const hashOf = async (run: TrainingRun): Promise<string> => (await run.result).report.weightsSha256;

/** The hash of the same run in one process. */
export const hashAlone = (options: TrainOptions): Promise<string> => hashOf(train(options));

/** Sends files to a run that waits for its data, in pieces of this many bytes. */
export async function uploadTo(
  { page, admin }: { readonly page: string; readonly admin: string },
  files: Readonly<Record<string, Uint8Array>>,
  pieceBytes = 1_000,
): Promise<void> {
  const list = Object.entries(files).map(([path, { byteLength: bytes }]) => ({ path, bytes }));
  const { id } = (await (await postUpload(page, admin, '', JSON.stringify(list))).json()) as { id: string };
  const stream = Buffer.concat(Object.values(files));
  for (let at = 0; at === 0 || at < stream.byteLength; at += pieceBytes) {
    const piece = new Uint8Array(stream.subarray(at, at + pieceBytes));
    const answer: unknown = await (await postUpload(page, admin, `?id=${id}&offset=${at}`, piece)).json();
    if ((answer as { totalBytes?: number }).totalBytes !== stream.byteLength) {
      throw new Error(`expected a piece of ${stream.byteLength} bytes to be taken, got ${JSON.stringify(answer)}`);
    }
  }
}

export function postUpload(
  page: string,
  token: string,
  query: string,
  body: string | Uint8Array<ArrayBuffer>,
): Promise<Response> {
  return fetch(`${page}upload${query}`, { method: 'POST', body, headers: { authorization: `Bearer ${token}` } });
}
