/**
 * Settings of a training program's own process. A library leaves its host's process alone.
 * @module
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { configurationError, optionName } from '@lockstep/command/options';
import { onGarbage } from '@lockstep/protocol';
import { chooseVectors } from '@lockstep/tensor/node';
import type { VectorChoice } from './options.ts';

/** Exit code of a program that a signal has ended. */
export const interruptedExitCode = 130;

/**
 * Sets V8 flags that make training faster; other engines have none.
 *
 * Every step passes megabytes of messages through memory outside V8's heap, which makes V8 mark the whole heap over and
 * over. The cheap collections of young objects free that memory too: in Node 20 they come often enough once V8 does not
 * mark incrementally, and in later versions if they are asked for.
 * @param vectors bits of the kernels' vectors
 * @throws ConfigurationError if 256 bits are asked for and cannot be had
 */
export function setEngineFlags(vectors: VectorChoice = 'auto'): void {
  try {
    chooseVectors(vectors);
  } catch (error) {
    throw configurationError`${optionName('vectors', vectors)}: ${(error as Error).message}`;
  }
  const { bun, node } = process.versions;
  if (bun !== undefined) return;
  setFlagsFromString('--no-incremental-marking');
  if (node.startsWith('20.')) return;
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as (options: { readonly type: 'minor' }) => void;
  onGarbage(() => collect({ type: 'minor' }));
}

/**
 * Makes V8 optimize earlier; useful if one thread computes and other cores can compile. Node 20 compiles a function by
 * the amount of code it has run, so a function that runs once a step waits for thousands of steps; later versions count
 * calls.
 */
export function compileSooner(): void {
  const { bun, node } = process.versions;
  if (bun === undefined && node.startsWith('20.')) setFlagsFromString('--interrupt-budget=25000');
}
