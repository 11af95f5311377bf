/** Numbers as they are printed. */

export function percent(fraction: number): string {
  return `${(100 * fraction).toFixed(2)} %`;
}

/** With commas between thousands. */
export function thousands(value: number): string {
  return value.toLocaleString('en-US');
}
