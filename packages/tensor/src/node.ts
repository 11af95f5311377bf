/**
 * Compute threads of a backend in Node, and the vectors of its kernels.
 * @module
 */
import { createRequire } from 'node:module';
import { setFlagsFromString } from 'node:v8';
import { Worker } from 'node:worker_threads';
import { setVectorBits, type VectorBits } from './backends/cpu/memory.ts';
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

/** Versions of V8 whose compiler was tried with all kernels; others may fail to compile one, which ends the process. */
const triedEngines = ['13.6', '14.1', '14.6'];

/**
 * Lets the kernels of this process compute with vectors of 256 bits.
 *
 * Every bit of a result stays. V8 makes one vector of two of WebAssembly's, in all WebAssembly that the process compiles
 * from now on, so only a program that runs nothing but Lockstep may call this, before it opens a backend.
 * @param choice `256` fails if they cannot; `auto` does not
 * @throws Error with what was expected and got
 */
export function chooseVectors(choice: 'auto' | '128' | '256'): VectorBits {
  if (choice === '128') return 128;
  const missing = missingForWideVectors();
  if (missing !== undefined) {
    if (choice === 'auto') return 128;
    throw new Error(`expected Node 24 to 26 on an x64 processor with AVX2, got ${missing}`);
  }
  setFlagsFromString('--experimental-wasm-revectorize');
  setVectorBits(256);
  return 256;
}

function missingForWideVectors(): string | undefined {
  const { v8, node, bun } = process.versions;
  if (bun !== undefined) return `Bun ${bun}`;
  if (!triedEngines.some((tried) => v8.startsWith(`${tried}.`))) return `Node ${node}`;
  if (process.arch !== 'x64') return `a processor of type ${process.arch}`;
  return fusesProducts() ? undefined : 'one without it';
}

interface SynchronousEngine {
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object) => { readonly exports: { f(a: number, b: number): number } };
}

/** `a * a + b` by the instruction that rounds once if the processor can: one that can has AVX2 as well. */
const fusedProductHex =
  '0061736d0100000001070160027d7d017d03020100070501016600000a160114002000fd132000fd132001fd13fd8502fd1f000b';

function fusesProducts(): boolean {
  const { WebAssembly: engine } = globalThis as unknown as { readonly WebAssembly: SynchronousEngine };
  const { f } = new engine.Instance(new engine.Module(Buffer.from(fusedProductHex, 'hex'))).exports;
  // The last bit of the square is lost if it is rounded before the addition.
  return f(1 + 2 ** -12, -(1 + 2 ** -11)) !== 0;
}
