/** The environment of a program that trains. */

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
