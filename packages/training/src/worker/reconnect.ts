/** When a worker that lost its coordinator tries again. */

const firstDelayMs = 500;
const longestDelayMs = 15_000;

/**
 * Half a second, doubled with each failure up to 15 s, and then between half and all of that, so that a room of workers
 * does not come back at one moment.
 * @param failures attempts that have failed so far
 * @param random from 0 to 1
 */
export function reconnectDelayMs(failures: number, random: number): number {
  return Math.min(longestDelayMs, firstDelayMs * 2 ** Math.min(failures, 16)) * (0.5 + 0.5 * random);
}
