/** Compares secrets in constant time. */

/** Whether `got` is `expected`. Its time depends on the length of `expected` alone, and so tells nothing of a guess. */
export function sameSecret(expected: string, got: string): boolean {
  let difference = expected.length ^ got.length;
  for (let index = 0; index < expected.length; index++) {
    difference |= expected.charCodeAt(index) ^ got.charCodeAt(index % Math.max(1, got.length));
  }
  return difference === 0;
}
