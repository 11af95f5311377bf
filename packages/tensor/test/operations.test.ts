/** Walks the table of operations: finite differences on the reference, and agreement of every backend with it. */
import { describe, expect, it } from 'vitest';
import type { HostBackend, Tensor } from '../src/index.ts';
import { fromArray, mul, operations, sum, tidy, valueAndGrad } from '../src/index.ts';
import type { TableExample } from '../src/ops/define.ts';
import { sizeOf } from '../src/shape.ts';
import { bitsOf, openAll, randomValues, valuesIn } from './support.ts';

const backends = await openAll();
const reference = backends.find((backend) => backend.name === 'reference')!;

/** Logits come before their labels, and give the number of classes. */
function operandsOf(example: TableExample): Float32Array[] {
  const classes = example.shapes[0]!.at(-1) ?? 2;
  return example.shapes.map((shape, index) => valuesIn(example.domains[index] ?? 'any', shape, 17 + index, classes));
}

/** Operands that a derivative exists for. */
function differentiableOperands(example: TableExample): number[] {
  return example.shapes.flatMap((_, index) => (example.domains[index] === 'class index' ? [] : [index]));
}

/** A scalar that depends on every value of the result, each with another weight. */
function weightedSum(result: Tensor): Tensor {
  const weights = fromArray(result.backend, randomValues(result.size, 99), result.shape);
  return sum(mul(result, weights));
}

function run(backend: HostBackend, example: TableExample, operands: Float32Array[]): Float32Array {
  return tidy(() => {
    const tensors = operands.map((values, index) => fromArray(backend, values, example.shapes[index]!));
    return backend.view(example.apply(tensors).storage).slice();
  });
}

function gradients(backend: HostBackend, example: TableExample, operands: Float32Array[]): Float32Array[] {
  return tidy(() => {
    const tensors = operands.map((values, index) => fromArray(backend, values, example.shapes[index]!));
    const positions = differentiableOperands(example);
    const differentiate = (...leaves: Tensor[]): Tensor => {
      const all = [...tensors];
      positions.forEach((position, index) => {
        all[position] = leaves[index]!;
      });
      return weightedSum(example.apply(all));
    };
    const { gradients: found } = valueAndGrad(
      differentiate,
      positions.map((position) => tensors[position]!),
    );
    return found.map((gradient) => backend.view(gradient.storage).slice());
  });
}

/** The weighted sum in float64, so that only the operation itself rounds. */
function objective(example: TableExample, operands: Float32Array[], weights: Float32Array): number {
  return run(reference, example, operands).reduce((total, value, index) => total + value * weights[index]!, 0);
}

function numericGradient(example: TableExample, operands: Float32Array[], position: number): number[] {
  const size = run(reference, example, operands).length;
  const weights = randomValues(size, 99);
  const step = 2 ** -7;
  return Array.from(operands[position]!, (value, index) => {
    const moved = (offset: number): number => {
      const copies = operands.map((values) => values.slice());
      copies[position]![index] = value + offset;
      return objective(example, copies, weights);
    };
    // Fourth order, because float32 rounding forbids a smaller step.
    return (8 * (moved(step) - moved(-step)) - (moved(2 * step) - moved(-2 * step))) / (12 * step);
  });
}

it('names every operation once', () => {
  const names = operations.map((operation) => operation.name);
  expect(new Set(names).size).toBe(names.length);
});

describe.each(operations.map((operation) => [operation.name, operation] as const))('%s', (_, operation) => {
  const examples = operation.table.map((example) => {
    const label = `${example.shapes.map((shape) => `[${shape}]`).join(' ')} ${JSON.stringify(example.attributes)}`;
    return [label, example] as const;
  });

  it('has an empty and a one-element example', () => {
    const sizes = operation.table.map((example) => sizeOf(example.shapes[0]!));
    expect(sizes).toContain(0);
    expect(sizes).toContain(1);
  });

  it.each(examples)('%s: all backends agree to the bit', (_label, example) => {
    const operands = operandsOf(example);
    const expected = run(reference, example, operands);
    for (const backend of backends) expect(bitsOf(run(backend, example, operands))).toEqual(bitsOf(expected));
  });

  if (!operation.differentiable) return;

  it.each(examples)('%s: the gradient matches finite differences', (_label, example) => {
    const operands = operandsOf(example);
    const computed = gradients(reference, example, operands);
    differentiableOperands(example).forEach((position, index) => {
      const expected = numericGradient(example, operands, position);
      const scale = Math.max(1, ...expected.map(Math.abs));
      expect(computed[index]).toHaveLength(expected.length);
      expected.forEach((value, at) => {
        expect(Math.abs(computed[index]![at]! - value) / scale, `operand ${position}, value ${at}`).toBeLessThan(1e-3);
      });
    });
  });

  it.each(examples)('%s: the gradients of all backends agree to the bit', (_label, example) => {
    const operands = operandsOf(example);
    const expected = gradients(reference, example, operands).map(bitsOf);
    for (const backend of backends) expect(gradients(backend, example, operands).map(bitsOf)).toEqual(expected);
  });
});
