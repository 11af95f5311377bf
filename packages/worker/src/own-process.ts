/**
 * What a program that trains sets in its own process first; a library leaves the process of its host alone.
 * @module
 */
import { setFlagsFromString } from 'node:v8';

/**
 * Sets the flags of V8 that training is faster with; other engines have none.
 *
 * Every step passes megabytes of messages through memory outside V8's heap, for which V8 marks the whole heap again and
 * again; without incremental marking the cheap collections of young objects free them.
 */
export function setEngineFlags(): void {
  const { bun, node } = process.versions;
  if (bun !== undefined) return;
  setFlagsFromString('--no-incremental-marking');
  // Node 20 has relaxed SIMD, which the backend cpu-relaxed asks for, behind a flag that later versions no longer know.
  if (node.startsWith('20.')) setFlagsFromString('--experimental-wasm-relaxed-simd');
}

/**
 * Where one thread computes, other cores may compile. Node 20 compiles a function once it has run so much of it, which takes
 * one that runs once a step thousands of steps; later versions count its calls.
 */
export function compileSooner(): void {
  const { bun, node } = process.versions;
  if (bun === undefined && node.startsWith('20.')) setFlagsFromString('--interrupt-budget=25000');
}
