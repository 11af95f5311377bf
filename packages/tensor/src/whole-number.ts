/** Checks for whole numbers. */

/** Whether `value` is a safe integer of at least `least`. */
export function isWholeNumber(value: number, least = 0): boolean {
  return Number.isSafeInteger(value) && value >= least;
}

/** Throws unless `value` is an unsigned 32-bit integer. */
export function checkWord(operation: string, what: string, value: number): void {
  if (!isWholeNumber(value) || value >= 2 ** 32) {
    throw new RangeError(`${operation}: the ${what} must be a whole number in [0, 2^32), got ${String(value)}`);
  }
}
