/** Numbers as command lines print them. */

export function percent(fraction: number): string {
  return `${(100 * fraction).toFixed(2)} %`;
}

/** Four significant digits, with an exponent if the number is huge or tiny: 856700, `8.567e+17`. */
export function significant(value: number): string {
  const size = Math.abs(value);
  if (size !== 0 && (size >= 1e9 || size < 1e-4)) return value.toExponential(3);
  return String(Number(value.toPrecision(4)));
}

/** Four decimals, or four significant digits if the number is too large or too small for them. */
export function decimals(value: number): string {
  const size = Math.abs(value);
  return size !== 0 && (size >= 1e4 || size < 1e-3) ? significant(value) : value.toFixed(4);
}
