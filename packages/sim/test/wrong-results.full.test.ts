import { it } from 'vitest';
import { expectFormula } from './wrong-results.ts';

it.each([
  [0.02, 15],
  [0.1, 30],
])('at a rate of %d after %i right results, wrong results are as many as the formula says', expectFormula);
