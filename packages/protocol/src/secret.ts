/**
 * Compares secrets in time that depends on the length of `expected` alone.
 *
 * It does not stop at the first difference, so its timing does not tell how much of a guess was right.
 */
export function sameSecret(expected: string, got: string): boolean {
  let difference = expected.length ^ got.length;
  for (let index = 0; index < expected.length; index++) {
    difference |= expected.charCodeAt(index) ^ got.charCodeAt(index % Math.max(1, got.length));
  }
  return difference === 0;
}
