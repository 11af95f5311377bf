/** How Node runs a program that trains. */

/**
 * Every step passes megabytes of messages through memory outside V8's heap, which makes V8 mark the whole heap again and
 * again for a few bytes; without incremental marking the cheap collections of young objects free them. Local workers
 * inherit the flag.
 */
export const engineFlags = ['--no-incremental-marking'];
// Node 20 has relaxed SIMD, which the backend cpu-relaxed asks for, behind a flag that later versions no longer know.
if (process.versions.node.startsWith('20.')) engineFlags.push('--experimental-wasm-relaxed-simd');

/**
 * For the same reason glibc must not give freed memory back to the kernel, which would fault it in again page by page at
 * the next step. The first alone would keep it from learning how large the program's blocks are. Other C libraries do not look.
 */
export const allocatorSettings = {
  MALLOC_TRIM_THRESHOLD_: `${256 * 2 ** 20}`,
  MALLOC_MMAP_THRESHOLD_: `${64 * 2 ** 20}`,
  MALLOC_TOP_PAD_: `${16 * 2 ** 20}`,
};
