/** Context of the chapters in tests: the engine that trains, MNIST, and a clock. */
import { loadMnist } from '@lockstep/data/node';
import { type HostBackend, openBackend } from '@lockstep/tensor';
import type { LessonContext } from '../src/chapter.ts';
import { type Digits, labeledImages } from '../src/digits.ts';

let opened: Promise<{ readonly backend: HostBackend }> | undefined;
let loaded: Promise<Digits> | undefined;

export async function openContext(): Promise<LessonContext> {
  opened ??= openBackend('cpu');
  return { backend: (await opened).backend, nowMs: () => performance.now() };
}

/** Opens a context with all of MNIST. */
export async function openDigits(): Promise<LessonContext> {
  loaded ??= loadMnist().then(({ train, test }) => ({
    train: labeledImages(train),
    test: labeledImages(test),
  }));
  return { ...(await openContext()), digits: await loaded };
}
