/** A number rounded, with commas between thousands. */
export function thousands(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}
