/** The threads that run programs together, and what runs in each. */
import { instantiateKernels, type KernelSetup } from './memory.ts';

/** Words of a cache line, so that no two threads wait on one line. */
const lineWords = 16;

/** Words of the first line: number of unfinished programs; number of a thread that failed, or 0. */
const pendingWord = 0;
const failedWord = 1;

/**
 * Words of a thread's own line: its ticket, raised with each program; the program's first byte; its end; the last
 * ticket claimed; the last ticket that the thread has seen, late or not.
 */
const ticketWord = 0;
const programWord = 1;
const endWord = 2;
const claimWord = 3;
const seenWord = 4;

/** First word of a thread's line; threads count from 1. */
function lineOf(thread: number): number {
  return thread * lineWords;
}

/**
 * Claims the newest program of a thread, for that thread or, if it is faster, for the backend's own.
 * @returns whether the caller should run the program; false if the other thread has claimed it
 */
function claim(words: Int32Array, thread: number, ticket: number): boolean {
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
function waitWhile(words: Int32Array, index: number, value: number, timeoutMs: number): number {
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

/** A thread of the platform, which calls `runKernelThread`. */
export interface PlatformThread {
  end(): Promise<void>;
}

/** Events of a thread, for its starter. */
export interface ThreadEvents {
  onMessage(message: ThreadMessage): void;
  /** The thread has ended or could not start; `message` is one sentence. */
  onEnd(message: string): void;
}

/** Number of compute threads, and how the platform starts one. */
export interface ThreadOptions {
  /** Total number of threads, including the calling one. */
  readonly count: number;
  /** Starts a thread. @throws Error if the platform has no threads */
  start(setup: ThreadSetup, events: ThreadEvents): PlatformThread;
}

/** Address range of a program. */
export interface Placement {
  readonly address: number;
  readonly end: number;
}

/** A thread counts as dead after this multiple of the calling thread's time; they get equal shares of the work. */
const patienceFactor = 20;
const leastPatienceMs = 10_000;
/** Longest time that one look counts: a suspended process, as on a sleeping laptop, has not been waiting. */
const longestLookMs = 500;

export class ThreadTeam {
  readonly #threads: readonly PlatformThread[];
  readonly #control: Int32Array;
  /** Per stalled thread: the last ticket seen and how long it has been stalled. */
  readonly #late = new Map<number, { readonly seen: number; readonly lookedAtMs: number; readonly waitedMs: number }>();
  #failure: string | undefined;

  /**
   * Starts the threads; resolves when all are ready.
   * @param workspaces one for each thread except the calling one
   * @throws Error with one sentence
   */
  static async start(
    { workspaces, ...setup }: KernelSetup & { readonly workspaces: readonly number[] },
    { start }: ThreadOptions,
  ): Promise<ThreadTeam> {
    const control = new SharedArrayBuffer((workspaces.length + 1) * lineWords * Int32Array.BYTES_PER_ELEMENT);
    let fail = (_message: string): void => {};
    const failed = new Promise<never>((_, reject) => {
      fail = (message) => reject(new Error(message));
    });
    failed.catch(() => {});
    const threads: PlatformThread[] = [];
    try {
      const ready = workspaces.map(
        (workspace, index) =>
          new Promise<void>((resolve) => {
            const onMessage = (message: ThreadMessage): void => {
              if (message.type === 'ready') resolve();
              else fail(message.message);
            };
            const onEnd = (message: string): void => fail(message);
            threads.push(start({ ...setup, workspace, thread: index + 1, control }, { onMessage, onEnd }));
          }),
      );
      await Promise.race([Promise.all(ready), failed]);
      const team = new ThreadTeam(threads, new Int32Array(control));
      fail = (message) => {
        team.#failure ??= `a compute thread has died: ${message}`;
      };
      return team;
    } catch (error) {
      await Promise.all(threads.map((thread) => thread.end()));
      throw error;
    }
  }

  private constructor(threads: readonly PlatformThread[], control: Int32Array) {
    this.#threads = threads;
    this.#control = control;
  }

  /**
   * Runs `own` on the calling thread and each other program on its thread, or here if that thread has not started it by
   * then. Returns when all are done.
   * @throws Error with one sentence if a thread has died; later calls throw at once
   */
  run(own: Placement, programs: readonly Placement[], execute: (placement: Placement) => void): void {
    const control = this.#control;
    this.#expectAlive();
    const startedAtMs = performance.now();
    Atomics.store(control, pendingWord, programs.length);
    for (let index = 0; index < programs.length; index++) {
      const line = lineOf(index + 1);
      control[line + programWord] = programs[index]!.address;
      control[line + endWord] = programs[index]!.end;
      Atomics.add(control, line + ticketWord, 1);
      Atomics.notify(control, line + ticketWord);
    }
    execute(own);
    for (let index = 0; index < programs.length; index++) this.#takeOver(index + 1, programs[index]!, execute);
    this.#join(Math.max(leastPatienceMs, patienceFactor * (performance.now() - startedAtMs)));
  }

  /** Ends the threads, on which nothing can run afterwards. */
  async close(): Promise<void> {
    this.#failure ??= 'the compute threads have ended';
    await Promise.all(this.#threads.map((thread) => thread.end()));
  }

  /**
   * Runs a thread's program here unless the thread has claimed it. A thread that sleeps or has no core may take longer
   * to start than its program takes here.
   */
  #takeOver(thread: number, program: Placement, execute: (placement: Placement) => void): void {
    const control = this.#control;
    const line = lineOf(thread);
    if (!claim(control, thread, control[line + ticketWord]!)) {
      this.#late.delete(thread);
      return;
    }
    execute(program);
    Atomics.sub(control, pendingWord, 1);
    this.#expectAwake(thread, Atomics.load(control, line + seenWord));
  }

  /** Detects a dead thread: one that is only late eventually sees each ticket, a dead one sees none. */
  #expectAwake(thread: number, seen: number): void {
    const lookedAtMs = performance.now();
    const late = this.#late.get(thread);
    const isSame = late?.seen === seen;
    const waitedMs = isSame ? late.waitedMs + Math.min(lookedAtMs - late.lookedAtMs, longestLookMs) : 0;
    this.#late.set(thread, { seen, lookedAtMs, waitedMs });
    if (waitedMs > leastPatienceMs) this.#failure ??= noResultFor(leastPatienceMs);
  }

  #join(patienceMs: number): void {
    const control = this.#control;
    let waitedMs = 0;
    for (let pending = Atomics.load(control, pendingWord); pending > 0; ) {
      const lookedAtMs = performance.now();
      pending = waitWhile(control, pendingWord, pending, longestLookMs);
      waitedMs += Math.min(performance.now() - lookedAtMs, longestLookMs);
      if (pending > 0 && waitedMs >= patienceMs) {
        this.#failure ??= noResultFor(patienceMs);
        break;
      }
    }
    const failed = Atomics.load(control, failedWord);
    if (failed !== 0) this.#failure ??= `a compute thread has died: thread ${failed} failed`;
    this.#expectAlive();
  }

  #expectAlive(): void {
    if (this.#failure !== undefined) throw new Error(this.#failure);
  }
}

function noResultFor(patienceMs: number): string {
  return `a compute thread has died: it gave no result for ${Math.round(patienceMs / 1000)} s`;
}

/** Setup of a thread; can be posted to it. */
export interface ThreadSetup extends KernelSetup {
  /** Address of this thread's own workspace. */
  readonly workspace: number;
  /** Number of this thread, from 1; 0 is the backend's own. */
  readonly thread: number;
  /** Shared control words, a line for each thread. */
  readonly control: SharedArrayBuffer;
}

/** Messages of a compute thread to the thread that started it. */
export type ThreadMessage =
  | { readonly type: 'ready' }
  /** The thread cannot compute, or has failed; `message` is one sentence. */
  | { readonly type: 'failed'; readonly message: string };

/** Runs programs; blocks its thread forever once it is ready. @param post sends a message to the backend's thread */
export async function runKernelThread(setup: ThreadSetup, post: (message: ThreadMessage) => void): Promise<void> {
  const { workspace, thread } = setup;
  // Returns nothing, although `post` may: a MessagePort of Node returns true.
  const fail = (error: unknown): void => {
    post({ type: 'failed', message: String(error) });
  };
  const control = new Int32Array(setup.control);
  const line = lineOf(thread);
  const kernels = await instantiateKernels(setup).catch(fail);
  if (!kernels) return;
  kernels.setWorkspace(workspace);
  post({ type: 'ready' });
  for (let ticket = 0; ; ) {
    const next = waitWhile(control, line + ticketWord, ticket, Number.POSITIVE_INFINITY);
    // Ignores spurious wake-ups.
    if (next === ticket) continue;
    ticket = next;
    Atomics.store(control, line + seenWord, ticket);
    if (!claim(control, thread, ticket)) continue;
    try {
      kernels.execute(control[line + programWord]!, control[line + endWord]!);
    } catch (error) {
      Atomics.store(control, failedWord, thread);
      fail(error);
    }
    if (Atomics.sub(control, pendingWord, 1) === 1) Atomics.notify(control, pendingWord);
  }
}
