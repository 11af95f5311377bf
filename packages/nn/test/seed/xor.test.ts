/** "No values of w1, w2 and b can solve it. Two neurons with a nonlinear activation, feeding into a third, can." */
import { add, matmul, mean, mul, relu, softplus, sub, type Tensor, tanh } from '@lockstep/tensor';
import { describe, expect, test } from 'vitest';
import { parseOptimizer } from '../../src/index.ts';
import { evenly, fit, openHost } from './fit.ts';

const given = [
  { values: [0, 0, 0, 1, 1, 0, 1, 1], shape: [4, 2] },
  { values: [0, 1, 1, 0], shape: [4, 1] },
];

/** Mean cross-entropy of `sigmoid(z)` with targets of 0 and 1: `log(1 + e^z) - target z`. */
const crossEntropy = (z: Tensor, target: Tensor) => mean(sub(softplus(z), mul(target, z)));

const config = parseOptimizer({ type: 'adam', learningRate: 0.05 });

const oneNeuron = async (seed: number) => {
  const { losses } = fit({
    backend: await openHost(),
    config,
    shapes: [[2, 1], [1]],
    start: evenly(seed, 2, 3),
    given,
    loss: ([weight, bias], [x, target]) => crossEntropy(add(matmul(x!, weight!), bias!), target!),
    steps: 2000,
  });
  return losses;
};

const threeNeurons = async (seed: number, fn: (x: Tensor) => Tensor) => {
  const { losses } = fit({
    backend: await openHost(),
    config,
    shapes: [[2, 2], [2], [2, 1], [1]],
    start: evenly(seed, 1, 9),
    given,
    loss: ([w1, b1, w2, b2], [x, target]) => {
      const hidden = fn(add(matmul(x!, w1!), b1!));
      return crossEntropy(add(matmul(hidden, w2!), b2!), target!);
    },
    steps: 2000,
  });
  return losses.at(-1)!;
};

const seeds = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10];

describe('XOR', () => {
  test('one neuron cannot: its loss ends at ln 2, and is never below', async () => {
    for (const seed of seeds) {
      const losses = await oneNeuron(seed);
      expect(Math.min(...losses)).toBeGreaterThan(0.5);
      expect(Math.abs(losses.at(-1)! - Math.LN2)).toBeLessThan(1e-3);
    }
  });

  test('2-2-1 without a nonlinearity is still a line', async () => {
    for (const seed of seeds) expect(await threeNeurons(seed, (x) => x)).toBeGreaterThan(0.69);
  });

  test('2-2-1 with tanh can, from most seeds', async () => {
    const ends = await Promise.all(seeds.map((seed) => threeNeurons(seed, tanh)));
    expect(ends.filter((loss) => loss < 0.05).length).toBeGreaterThanOrEqual(5);
  });

  test('2-2-1 with relu can, from the seeds that leave both neurons alive', async () => {
    const more = Array.from({ length: 30 }, (_, seed) => seed);
    const ends = await Promise.all(more.map((seed) => threeNeurons(seed, relu)));
    expect(ends.filter((loss) => loss < 0.05).length).toBeGreaterThanOrEqual(3);
  });
});
