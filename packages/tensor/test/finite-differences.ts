/** Compares the gradients of ops with finite differences. */
import { expect } from 'vitest';
import { fromArray, type HostBackend, tidy } from '../src/index.ts';
import { sizeOf } from '../src/shape.ts';
import { differentiableOperands, operandsOf, resultsOf } from './agreement.ts';
import type { Example } from './examples.ts';
import { randomValues } from './support.ts';

/** Whether finite differences take seconds: the op is computed four times for each value of its operands. */
export function isLarge({ shapes }: Example): boolean {
  return shapes.reduce((sum, shape) => sum + sizeOf(shape), 0) > 2_000;
}

/** Returns the values of the result, then the values of the gradients. */
export function computed(backend: HostBackend, example: Example): Float32Array[] {
  return tidy(() => resultsOf(backend, example).map((tensor) => backend.view(tensor.storage).slice()));
}

/** Computes the sum whose gradient `computed` returns, in float64, so that only the op itself rounds. */
function weightedSum(reference: HostBackend, example: Example, operands: readonly Float32Array[]): number {
  return tidy(() => {
    const tensors = operands.map((values, index) => fromArray(reference, values, example.shapes[index]!));
    const result = reference.view(example.compute(tensors).storage);
    const weights = randomValues(result.length, 99);
    return result.reduce((total, value, index) => total + value * weights[index]!, 0);
  });
}

function numericGradient(reference: HostBackend, example: Example, position: number): number[] {
  const operands = operandsOf(example);
  const step = 2 ** -7;
  return Array.from(operands[position]!, (value, index) => {
    const moved = (offset: number): number =>
      weightedSum(reference, example, operands.with(position, operands[position]!.with(index, value + offset)));
    // Fourth order, because float32 rounding rules out a smaller step.
    return (8 * (moved(step) - moved(-step)) - (moved(2 * step) - moved(-2 * step))) / (12 * step);
  });
}

/** Expects the gradient of an op to match finite differences. */
export function expectGradient(reference: HostBackend, example: Example): void {
  const [, ...gradients] = computed(reference, example);
  differentiableOperands(example).forEach((position, index) => {
    const expected = numericGradient(reference, example, position);
    const scale = Math.max(1, ...expected.map(Math.abs));
    expect(gradients[index]).toHaveLength(expected.length);
    expected.forEach((value, at) => {
      expect(Math.abs(gradients[index]![at]! - value) / scale, `operand ${position}, value ${at}`).toBeLessThan(1e-3);
    });
  });
}
