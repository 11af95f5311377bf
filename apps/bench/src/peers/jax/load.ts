/** jax-js on its wasm backend, with one thread: without a global Worker, as in Node, it creates no thread pool. */
import type { Absent } from '../../harness/candidate.ts';

export type Jax = typeof import('@jax-js/jax');
export type JaxArray = ReturnType<Jax['numpy']['array']>;

export async function loadJax(): Promise<Jax | Absent> {
  if ('Worker' in globalThis)
    return { absent: 'jax-js would compute on a thread for every core here; run the benchmark in Node' };
  const jax = await import('@jax-js/jax');
  if (!(await jax.init('wasm')).includes('wasm')) return { absent: 'jax-js finds no WebAssembly here' };
  jax.defaultDevice('wasm');
  return jax;
}
