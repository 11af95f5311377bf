/** Formats numbers as text. */

/** Formats a rounded number as `101,770`, independent of the machine's language. */
export function thousands(value: number): string {
  return Math.round(value).toLocaleString('en');
}

/** Formats a large number with three digits: "13.1 million", "662 billion". */
export function inWords(value: number): string {
  const [unit, name] = value >= 1e9 ? [1e9, 'billion'] : [1e6, 'million'];
  return `${Number((value / unit).toPrecision(3))} ${name}`;
}

/** Formats with `digits` decimal places, or as a power of ten if the number is too small or too large for that. */
export function decimal(value: number, digits = 3): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? 'NaN' : value > 0 ? 'infinity' : '-infinity';
  const size = Math.abs(value);
  if (size !== 0 && (size < 0.5 * 10 ** -digits || size >= 1e6)) return value.toExponential(2);
  // Avoids "-0.000".
  return (value + 0).toFixed(digits);
}

/** Formats with `digits` significant digits: 123456.7 -> "123457". */
export function significant(value: number, digits = 6): string {
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-4 || size >= 1e9)) return value.toExponential(2);
  return `${Number(value.toPrecision(digits))}`;
}

/** Formats a fraction: 0.936 -> "93.60 %". */
export function percent(fraction: number, digits = 2): string {
  return `${(100 * fraction).toFixed(digits)} %`;
}

/** Formats a shape: "[32, 512, 768]", or "[]" for a scalar. */
export function shapeText(shape: readonly number[]): string {
  return `[${shape.join(', ')}]`;
}
