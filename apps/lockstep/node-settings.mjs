/** Settings of Node for a program that trains. */
import { availableParallelism } from 'node:os';

/**
 * Every step passes megabytes of messages through memory. If glibc returned it to the kernel, the next step would fault
 * it in again, page by page. Setting only the first one would keep glibc from learning how large the program's blocks
 * are. Larger blocks are returned at once: the files of a data set are read only once. Other C libraries ignore these
 * settings.
 */
export const allocatorSettings = {
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
