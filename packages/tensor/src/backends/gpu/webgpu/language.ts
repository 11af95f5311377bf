/** Shader language of the mode webgpu: how bodies read inputs, and the functions that they call. */
import type { Dialect } from '../device.ts';
import { kernelFunction } from '../shaders/functions.ts';

export const dialect: Dialect = {
  cell: (input, index) => {
    const values = [0, 1, 2, 3].map((lane) => `a${input}[4 * (${index}) + ${lane}]`);
    return `[${values.join(', ')}]`;
  },
  value: (input, index) => `a${input}[${index}]`,
};

/** Exact whole-number functions: a quotient computed in floats is off by at most one. */
export const wholeNumbers = [
  kernelFunction(
    'corrected',
    ['value', 'divisor', 'guess'],
    `return value - guess * divisor < 0 ? guess - 1 : (value - guess * divisor >= divisor ? guess + 1 : guess);`,
    'Integer',
  ),
  kernelFunction(
    'quotient',
    ['value', 'divisor'],
    'return corrected(value, divisor, Math.floor(value / divisor));',
    'Integer',
  ),
  kernelFunction('remainder', ['value', 'divisor'], 'return value - divisor * quotient(value, divisor);', 'Integer'),
  kernelFunction('whole', ['value'], 'return Math.floor(value);', 'Integer', 'Number'),
];
