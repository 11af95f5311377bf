/** Main loop of a compute thread: runs one program of kernel calls after another on the shared memory. */
import {
  claim,
  endWord,
  failedWord,
  lineOf,
  pendingWord,
  programWord,
  seenWord,
  ticketWord,
  waitWhile,
} from './thread-control.ts';
import { instantiateKernels, type WasmMemory } from './webassembly.ts';

/** Setup of a thread; can be posted to it. */
export interface ThreadSetup {
  /** A WebAssembly.Module. */
  readonly module: object;
  readonly memory: WasmMemory;
  /** Address of this thread's own workspace. */
  readonly workspace: number;
  /** Number of this thread, from 1; 0 is the backend's own. */
  readonly thread: number;
  /** Shared control words, see thread-control.ts. */
  readonly control: SharedArrayBuffer;
}

/** Messages of a compute thread to the thread that started it. */
export type ThreadMessage =
  | { readonly type: 'ready' }
  /** The thread cannot compute, or has failed; `message` is one sentence. */
  | { readonly type: 'failed'; readonly message: string };

/** Runs programs; blocks its thread forever once it is ready. @param post sends a message to the backend's thread */
export async function runKernelThread(setup: ThreadSetup, post: (message: ThreadMessage) => void): Promise<void> {
  const { module, memory, workspace, thread } = setup;
  // Returns nothing, although `post` may: a MessagePort of Node returns true.
  const fail = (error: unknown): void => {
    post({ type: 'failed', message: String(error) });
  };
  const control = new Int32Array(setup.control);
  const line = lineOf(thread);
  const kernels = await instantiateKernels(module, memory).catch(fail);
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
