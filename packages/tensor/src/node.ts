/**
 * Threads of a backend in Node.
 * @module
 */
import { createRequire } from 'node:module';
import { Worker } from 'node:worker_threads';
import type { ThreadMessage } from './backends/cpu/kernel-thread.ts';
import type { ThreadOptions } from './backends/cpu/thread-team.ts';

/** Also where this is a source: threads run what the build made. */
const program = createRequire(import.meta.url).resolve('@lockstep/tensor/node-thread');

/**
 * Compute threads of Node, for `openBackend`.
 * @param count threads in all, the calling one among them
 */
export function nodeThreads(count: number): ThreadOptions {
  return {
    count,
    start(setup, { onMessage, onEnd }) {
      // Options for modules or debuggers are meant for the thread that computes beside other work; V8's flags hold anyway.
      const thread = new Worker(program, { workerData: setup, execArgv: [] });
      thread.on('message', (message: ThreadMessage) => {
        // Once it waits for programs, a process that has nothing else to do ends.
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
