/** "ReLU's gradient is either 0 or 1. The downside: dead neurons"; "sigmoid: its gradient vanishes for large inputs". */
import { fromArray, leakyRelu, mul, relu, sigmoid, sum, type Tensor, tanh, valueAndGrad } from '@lockstep/tensor';
import { describe, expect, test } from 'vitest';
import { parameterLayout, parseModel } from '../../src/index.ts';
import { train } from '../training.ts';
import { openHost } from './fit.ts';

async function slopeOf(fn: (x: Tensor) => Tensor, at: readonly number[]): Promise<number[]> {
  const backend = await openHost();
  const { gradients } = valueAndGrad((x) => sum(fn(x)), [fromArray(backend, at)]);
  return [...(await gradients[0]!.values())];
}

describe('gradients', () => {
  test('of relu are 0 or 1, never a fraction', async () => {
    expect(await slopeOf(relu, [-100, -1, -1e-6, 1e-6, 1, 100])).toEqual([0, 0, 0, 1, 1, 1]);
  });

  test('of leakyRelu are not 0 below 0', async () => {
    const slopes = await slopeOf((x) => leakyRelu(x, 0.01), [-100, -1, 1]);
    expect(slopes).toEqual([Math.fround(0.01), Math.fround(0.01), 1]);
  });

  test('of sigmoid are a quarter at most, and vanish for large inputs', async () => {
    const [middle, ...tails] = await slopeOf(sigmoid, [0, 5, 10, 20, -10]);
    expect(middle).toBe(0.25);
    expect(tails[0]).toBeLessThan(0.007);
    expect(tails[1]).toBeLessThan(5e-5);
    expect(tails[2]).toBeLessThan(1e-8);
    expect(tails[3]).toBeLessThan(5e-5);
    expect(Math.min(...tails)).toBeGreaterThanOrEqual(0);
  });

  test('of tanh are 1 in the middle, and vanish at the extremes', async () => {
    const [middle, high, low] = await slopeOf(tanh, [0, 10, -10]);
    expect(middle).toBe(1);
    expect(Math.max(high!, low!)).toBeLessThan(1e-6);
  });

  test('of ten sigmoids in a row shrink below 0.25^10, where those of ten relus stay 1', async () => {
    const repeated = (fn: (x: Tensor) => Tensor) => (x: Tensor) =>
      Array.from({ length: 10 }).reduce<Tensor>((value) => fn(value), x);
    const [vanished] = await slopeOf(repeated(sigmoid), [0.5]);
    expect(vanished).toBeGreaterThan(0);
    expect(vanished).toBeLessThan(0.25 ** 10);
    expect(await slopeOf(repeated(relu), [0.5])).toEqual([1]);
  });

  test('products of gradients below 1 shrink towards 0', async () => {
    const chain = (x: Tensor) => Array.from({ length: 20 }).reduce<Tensor>((value) => mul(value, 0.25), x);
    expect((await slopeOf(chain, [1]))[0]).toBe(0.25 ** 20);
  });
});

describe('a neuron whose output is always negative', () => {
  async function trainBehind(type: 'relu' | 'leakyRelu') {
    const backend = await openHost();
    const model = parseModel({
      name: type,
      input: [3],
      layers: [{ type: 'dense', units: 4 }, { type }, { type: 'dense', units: 2 }],
    });
    const [weight, bias, second] = parameterLayout(model);
    const start = new Float32Array(26);
    start.fill(0.1, 0, 12);
    // The first neuron cannot reach 0 with inputs of at most 1.
    start.set([-10, 1, 1, 1], bias!.offset);
    start.set([0.3, -0.2, 0.1, 0.4, -0.5, 0.2, 0.3, -0.1], second!.offset);
    const parameters = backend.allocate(26);
    backend.upload(parameters, start);
    const batch = {
      pixels: Uint8Array.of(255, 0, 0, 0, 255, 0, 0, 0, 255, 255, 255, 255),
      labels: Uint8Array.of(0, 1, 0, 1),
    };
    train(backend, model, parameters, { type: 'sgd', learningRate: 0.5 }, new Array(50).fill(batch));
    const after = backend.view(parameters).slice();
    // Column 0 of weight [3, 4] and bias 0 are the first neuron's; column 1 and bias 1 the second's.
    const own = (values: Float32Array, neuron: number) => [
      ...[0, 1, 2].map((row) => values[weight!.offset + row * 4 + neuron]!),
      values[bias!.offset + neuron]!,
    ];
    return { start: own(start, 0), dead: own(after, 0), alive: own(after, 1), aliveStart: own(start, 1) };
  }

  test('is dead behind a relu: its weights never change, while its neighbor learns', async () => {
    const { start, dead, alive, aliveStart } = await trainBehind('relu');
    expect(dead).toEqual(start);
    for (const [index, value] of alive.entries()) expect(value).not.toBe(aliveStart[index]);
  });

  test('keeps learning behind a leakyRelu', async () => {
    const { start, dead } = await trainBehind('leakyRelu');
    for (const [index, value] of dead.entries()) expect(value).not.toBe(start[index]);
  });
});
