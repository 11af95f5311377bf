/** What Node is started with for a program that trains. */
import { availableParallelism } from 'node:os';

/**
 * Every step passes megabytes of messages through memory that glibc must not give back to the kernel, which would fault it
 * in again page by page at the next step. The first alone would keep it from learning how large the program's blocks are.
 * Longer blocks go back at once: the files of a data set are read once. Other C libraries do not look.
 */
export const allocatorSettings = {
  MALLOC_TRIM_THRESHOLD_: `${256 * 2 ** 20}`,
  MALLOC_MMAP_THRESHOLD_: `${32 * 2 ** 20}`,
  MALLOC_TOP_PAD_: `${16 * 2 ** 20}`,
};

const defaultPoolSize = 4;

/**
 * Arguments of Node. V8 compiles and collects garbage on four threads, however few cores there are: on two of them those that
 * compile hot code took half of a training thread's time, for a tenth of a second at once. Other engines have no such option,
 * and a person's own holds.
 */
export function engineArguments({
  cores = availableParallelism(),
  versions = process.versions,
  options = process.env['NODE_OPTIONS'] ?? '',
} = {}) {
  const isNode = versions.bun === undefined && versions.deno === undefined;
  return isNode && cores < defaultPoolSize && !options.includes('--v8-pool-size') ? [`--v8-pool-size=${cores}`] : [];
}
