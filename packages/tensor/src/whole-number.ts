/** Checks of numbers that count something. */

/** Whether `value` is an exact whole number of at least `least`. */
export function isWholeNumber(value: number, least = 0): boolean {
  return Number.isSafeInteger(value) && value >= least;
}
