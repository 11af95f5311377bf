/** Settings that several optimizers share. */
import { finiteNumber } from '../check.ts';

export const learningRate = finiteNumber('expected a number above 0', (value) => value > 0);
