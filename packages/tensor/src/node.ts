/**
 * Compute threads of a backend in Node.
 * @module
 */
import { createRequire } from 'node:module';
import { Worker } from 'node:worker_threads';
import type { ThreadMessage, ThreadOptions } from './backends/cpu/threads.ts';

/** The built program, even when this file runs from source: threads need the build. */
const program = createRequire(import.meta.url).resolve('@lockstep/tensor/node-thread');

/**
 * Makes compute threads in Node, for `openBackend`.
 * @param count number of threads, including the calling one
 */
export function nodeThreads(count: number): ThreadOptions {
  return {
    count,
    start(setup, { onMessage, onEnd }) {
      // Options for modules or debuggers are meant for the main thread; V8's flags apply to the whole process anyway.
      const thread = new Worker(program, { workerData: setup, execArgv: [] });
      thread.on('message', (message: ThreadMessage) => {
        // A thread that waits for programs must not keep the process alive.
        if (message.type === 'ready') thread.unref();
        onMessage(message);
      });
      thread.on('error', (error) => onEnd(error instanceof Error ? error.message : String(error)));
      thread.on('exit', (code) => onEnd(`it ended with exit code ${code}`));
      return {
        async end() {
          await thread.terminate();
        },
      };
    },
  };
}
