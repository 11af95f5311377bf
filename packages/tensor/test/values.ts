/** Seeded values, the same in Node and in a browser. */
import { randomStream, type Shape } from '../src/index.ts';
import { sizeOf } from '../src/shape.ts';

/** Domain of an operand's values, chosen so that finite differences are valid. */
export type Domain =
  | 'any'
  | 'positive'
  | 'away from zero'
  | 'class index'
  | 'on tenths'
  | 'between tenths'
  | 'distinct';

/** Returns values in [-1, 1), of which about the fraction `density` is not zero. */
export function randomValues(count: number, seed: number, density = 1): Float32Array {
  const random = randomStream(seed);
  return Float32Array.from({ length: count }, () => (random() < density ? 2 * random() - 1 : 0));
}

/** Returns values for a shape inside a domain; class indices are below `classes`. */
export function valuesIn(domain: Domain, shape: Shape, seed: number, classes: number): Float32Array {
  const random = randomStream(seed);
  const draw = {
    any: () => 2 * random() - 1,
    positive: () => 0.2 + 2 * random(),
    'away from zero': () => (random() < 0.5 ? -1 : 1) * (0.3 + random()),
    'class index': () => Math.floor(random() * classes),
    'on tenths': () => Math.floor(random() * 21) / 10 - 1,
    'between tenths': () => Math.floor(random() * 20) / 10 - 0.95,
    distinct: () => 0,
  }[domain];
  if (domain === 'distinct') return distinctValues(sizeOf(shape), random);
  return Float32Array.from({ length: sizeOf(shape) }, draw);
}

/** Returns values around 0 in seeded order, 1/16 apart, which is more than a finite difference moves them. */
function distinctValues(count: number, random: () => number): Float32Array {
  const order = Array.from({ length: count }, (_, index) => ({ index, key: random() }));
  order.sort((left, right) => left.key - right.key);
  return Float32Array.from(order, ({ index }) => (2 * index + 1 - count) / 32);
}
