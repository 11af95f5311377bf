/** The commands of the product, and the settings of Node for their programs. */
import { availableParallelism } from 'node:os';
import { runChild } from './child.mjs';

/** Each runs the program of an app: that of this package, or that of `@lockstep/APP-command` in the folder `apps/APP`. */
export const commands = {
  start: {
    does: 'trains a network on this machine: a coordinator and local workers',
    app: 'coordinator',
    args: ['start'],
  },
  coordinator: {
    does: 'waits for workers and trains with those that join',
    app: 'coordinator',
    args: ['coordinator'],
  },
  worker: { does: 'joins a coordinator and computes gradients for it', app: 'worker', args: [] },
  relay: {
    does: 'joins a coordinator and divides the work among its own workers',
    app: 'relay',
    args: [],
  },
  evaluate: { does: 'evaluates a saved model on test data', app: 'lockstep', args: ['evaluate'] },
  predict: { does: 'predicts with a saved model', app: 'lockstep', args: ['predict'] },
  generate: { does: 'continues a text with a saved model', app: 'lockstep', args: ['generate'] },
  audit: {
    does: 'computes a recorded run again and names the first wrong step',
    app: 'lockstep',
    args: ['audit'],
  },
  export: { does: 'converts a saved model to ONNX', app: 'lockstep', args: ['export'] },
};

/** One line for each command, in columns. */
export function commandLines(table) {
  const width = Math.max(...Object.keys(table).map(({ length }) => length)) + 2;
  return Object.entries(table)
    .map(([command, { does }]) => `  ${command.padEnd(width)}${does}\n`)
    .join('');
}

/**
 * Every step passes megabytes of messages through memory. If glibc returned it to the kernel, the next step would fault
 * it in again, page by page. Setting only the first one would keep glibc from learning how large the program's blocks
 * are. Larger blocks are returned at once: the files of a data set are read only once. Other C libraries ignore these
 * settings.
 */
const allocatorSettings = {
  MALLOC_TRIM_THRESHOLD_: `${256 * 2 ** 20}`,
  MALLOC_MMAP_THRESHOLD_: `${32 * 2 ** 20}`,
  MALLOC_TOP_PAD_: `${16 * 2 ** 20}`,
};

const defaultPoolSize = 4;

/**
 * Arguments of Node. V8 compiles and collects garbage on four threads, however few cores the machine has: on two cores,
 * the compiling threads slow training down. Other engines have no such option, and a user's own setting takes
 * precedence.
 */
export function engineArguments({
  cores = availableParallelism(),
  versions = process.versions,
  options = process.env['NODE_OPTIONS'] ?? '',
} = {}) {
  const isNode = versions.bun === undefined && versions.deno === undefined;
  return isNode && cores < defaultPoolSize && !options.includes('--v8-pool-size') ? [`--v8-pool-size=${cores}`] : [];
}

/** Runs a program with Node, in this process's environment by default. @param options those of `runChild` */
export function runProgram(args, { env = process.env, ...options } = {}) {
  // By this number, the program notices if this process is killed.
  const settings = { env: { ...allocatorSettings, ...env, LOCKSTEP_LAUNCHER: `${process.pid}` }, ...options };
  return runChild(process.execPath, [...engineArguments(), ...args], settings);
}
