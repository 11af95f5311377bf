/** Protocol between a backend and its threads: words in shared memory, accessed by Atomics. */

/** Words of a cache line, so that no two threads wait on one line. */
const lineWords = 16;

/** Words of the first line: number of unfinished programs; number of a thread that failed, or 0. */
export const pendingWord = 0;
export const failedWord = 1;

/**
 * Words of a thread's own line: its ticket, raised with each program; the program's first byte; its end; the last
 * ticket claimed; the last ticket that the thread has seen, late or not.
 */
export const ticketWord = 0;
export const programWord = 1;
export const endWord = 2;
const claimWord = 3;
export const seenWord = 4;

/** First word of a thread's line; threads count from 1. */
export function lineOf(thread: number): number {
  return thread * lineWords;
}

/** Number of words for `threads` threads, including the backend's own. */
export function controlWords(threads: number): number {
  return threads * lineWords;
}

/**
 * Claims the newest program of a thread, for that thread or, if it is faster, for the backend's own.
 * @returns whether the caller should run the program; false if the other thread has claimed it
 */
export function claim(words: Int32Array, thread: number, ticket: number): boolean {
  const before = (ticket - 1) | 0;
  return Atomics.compareExchange(words, lineOf(thread) + claimWord, before, ticket) === before;
}

const { performance } = globalThis as unknown as { performance: { now(): number } };

/**
 * How long a thread spins before it sleeps. This covers most gaps between the programs of a step, which are shorter
 * than a wake-up by the operating system.
 */
const spinMs = 0.1;
/** Reads of the word for each read of the clock. */
const looks = 64;

/**
 * Waits until a word differs from `value`, at most about `timeoutMs`.
 * @returns the word's new value; `value` after a time-out
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
