/** Numbers as they are printed. */

export function percent(fraction: number): string {
  return `${(100 * fraction).toFixed(2)} %`;
}

/** Four significant digits, for numbers of any size. */
export function significant(value: number): string {
  return String(Number(value.toPrecision(4)));
}

/** With commas between thousands. */
export function thousands(value: number): string {
  return value.toLocaleString('en-US');
}
