/** A cosine from only IEEE additions and multiplications, so that every engine computes the same bits. */

/** Taylor coefficients of cos in y^2, highest power first: 1/16!, -1/14!, …, 1/4!; the code adds the last two. */
const cosineTerms = [1 / 20922789888000, -1 / 87178291200, 1 / 479001600, -1 / 3628800, 1 / 40320, -1 / 720, 1 / 24];
/** Taylor coefficients of sin(y) / y in y^2, highest power first: 1/17!, …, 1/5!; the code adds the last two. */
const sineTerms = [
  1 / 355687428096000,
  -1 / 1307674368000,
  1 / 6227020800,
  -1 / 39916800,
  1 / 362880,
  -1 / 5040,
  1 / 120,
];

/** `cos(pi x)` for x from 0 to 1, within a few units in the last place of a float64. */
export function cosineOfPi(x: number): number {
  if (!(x >= 0 && x <= 1)) throw new RangeError(`cosine: expected a number from 0 to 1, got ${x}`);
  if (x > 0.5) return -cosineOfPi(1 - x);
  if (x <= 0.25) {
    const square = Math.PI * x * (Math.PI * x);
    return 1 + square * (-0.5 + square * polynomial(cosineTerms, square));
  }
  const y = Math.PI * (0.5 - x);
  const square = y * y;
  return y + y * square * (-1 / 6 + square * polynomial(sineTerms, square));
}

/** Evaluates a polynomial by Horner's rule; the first coefficient belongs to the highest power. */
function polynomial(coefficients: readonly number[], x: number): number {
  return coefficients.reduce((sum, coefficient) => sum * x + coefficient, 0);
}
