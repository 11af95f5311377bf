/** When a client that lost its coordinator tries again. */

const firstDelayMs = 500;
const longestDelayMs = 15_000;

/**
 * From half a second, doubled with each failure up to 15 s. Half of it is random, so that many clients do not come back at
 * the same moment.
 * @param failures attempts that have failed so far
 * @param random from 0 to 1
 */
export function reconnectDelayMs(failures: number, random: number): number {
  return Math.min(longestDelayMs, firstDelayMs * 2 ** Math.min(failures, 16)) * (0.5 + 0.5 * random);
}
