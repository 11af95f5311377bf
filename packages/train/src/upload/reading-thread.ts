/** The thread that reads an upload: parsing takes seconds, during which the server's own thread keeps answering. */
import { parentPort, workerData } from 'node:worker_threads';
import type { Dataset } from '@lockstep/data';
import { type Reading, type ReadUpload, readUpload } from './read-upload.ts';

if (!parentPort) throw new Error('reading-thread: expected to be started as a worker thread');

const read = await readUpload(workerData as Reading);
parentPort.postMessage(read, buffersOf(read));

/** Buffers of samples and targets, which move to the server's thread. */
function buffersOf({ opened }: ReadUpload): ArrayBuffer[] {
  if ('fault' in opened) return [];
  const arrays = ({ samples, targets }: Dataset) => [
    samples,
    targets.type === 'classes' ? targets.labels : targets.values,
  ];
  return [...new Set([opened.train, opened.test].flatMap(arrays).map(({ buffer }) => buffer as ArrayBuffer))];
}
