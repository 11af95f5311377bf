/** Checks counts, sizes and positions. */

/** Requires a whole number from `from` to `to`, inclusive. @throws RangeError with one sentence otherwise */
export function checkWhole(name: string, value: number, from: number, to: number = Number.MAX_SAFE_INTEGER): void {
  if (Number.isSafeInteger(value) && value >= from && value <= to) return;
  const range = to === Number.MAX_SAFE_INTEGER ? `of at least ${from}` : `from ${from} to ${to}`;
  throw new RangeError(`${name}: expected a whole number ${range}, got ${value}`);
}
