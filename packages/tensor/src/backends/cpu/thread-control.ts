/** How a backend and its threads speak: words in shared memory, read and written by Atomics. */

/** Words of a cache line, so that no two threads wait on one line. */
const lineWords = 16;

/** Words of the first line. */
export const pendingWord = 0;
export const failedWord = 1;

/** Words of a thread's own line: raised with each program; the program's first byte; its end; the last ticket that was claimed; the last one that
 * the thread has seen, late or not. */
export const ticketWord = 0;
export const programWord = 1;
export const endWord = 2;
const claimWord = 3;
export const seenWord = 4;

/** First word of the line of a thread, counted from 1. */
export function lineOf(thread: number): number {
  return thread * lineWords;
}

/** Words for so many threads, the backend's own among them. */
export function controlWords(threads: number): number {
  return threads * lineWords;
}

/**
 * Takes the newest program of a thread, for that thread or for the backend's own where it is there sooner.
 * @returns whether it is the caller's to run; false where the other one has it
 */
export function claim(words: Int32Array, thread: number, ticket: number): boolean {
  const before = (ticket - 1) | 0;
  return Atomics.compareExchange(words, lineOf(thread) + claimWord, before, ticket) === before;
}

const { performance } = globalThis as unknown as { performance: { now(): number } };

/**
 * So long a thread looks again and again before it waits. Between two programs of a step of batch 64 there are 16 and 45 us,
 * now and then more, and the end of a wait by the operating system takes about 50.
 */
const spinMs = 0.1;
/** Looks between two looks at the clock. */
const looks = 64;

/**
 * Waits until a word is not `value` any more, for at most about `timeoutMs`.
 * @returns what it is then; `value` where the time is over
 */
export function waitWhile(words: Int32Array, index: number, value: number, timeoutMs: number): number {
  const untilMs = performance.now() + spinMs;
  do {
    for (let look = 0; look < looks; look++) {
      const now = Atomics.load(words, index);
      if (now !== value) return now;
    }
  } while (performance.now() < untilMs);
  Atomics.wait(words, index, value, timeoutMs);
  return Atomics.load(words, index);
}
