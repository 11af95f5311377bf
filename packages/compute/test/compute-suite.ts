/** Tests of what every compute does, whatever it computes with. */
import { initialize, inputSize, parameterCount, resolveModel } from '@lockstep/nn';
import { bytesOf, type Clock } from '@lockstep/protocol';
import { expect, it, onTestFinished } from 'vitest';
import { model } from '../../sim/test/support.ts';
import type { Compute } from '../src/compute.ts';
import { samplesOf } from './support.ts';

type Create = (clock: Pick<Clock, 'nowMs'>) => Compute | Promise<Compute>;

async function created(create: Create): Promise<Compute> {
  let now = 0;
  const compute = await create({ nowMs: () => (now += 5) });
  onTestFinished(() => compute.close());
  return compute;
}

/** Opens a compute whose clock advances by 5 ms at each reading; it is closed when the test ends. */
export async function openedCompute(create: Create, microbatchSize: number): Promise<Compute> {
  const compute = await created(create);
  await compute.open({ model, microbatchSize });
  compute.setWeights(bytesOf(initialize(model, 3)));
  return compute;
}

/** Declares the tests. @param wrongLength message of the compute for one weight instead of 43 */
export function testCompute(create: Create, wrongLength: string): void {
  it('returns the numbers of samples and correct answers, and its time', async () => {
    const compute = await openedCompute(create, 4);
    const { count, correct, computeMs, lossSum, gradient } = await compute.gradient(...samplesOf(1, 10));
    expect({ count, computeMs }).toEqual({ count: 10, computeMs: 5 });
    expect(Number.isInteger(correct) && correct >= 0 && correct <= 10).toBe(true);
    expect(lossSum / 10).toBeGreaterThan(0.5);
    expect(gradient).toHaveLength(parameterCount(model) * 4);
  });

  it('returns a gradient that the next shard does not change', async () => {
    const compute = await openedCompute(create, 4);
    const first = await compute.gradient(...samplesOf(1, 9));
    const before = first.gradient.slice();
    await compute.gradient(...samplesOf(2, 9));
    expect(first.gradient).toEqual(before);
  });

  it('copies weights at any alignment', async () => {
    const compute = await openedCompute(create, 4);
    const shard = samplesOf(5, 6);
    const expected = (await compute.gradient(...shard)).gradient;
    const weights = bytesOf(initialize(model, 3));
    const shifted = new Uint8Array(weights.length + 1);
    shifted.set(weights, 1);
    compute.setWeights(shifted.subarray(1));
    shifted.fill(0);
    expect((await compute.gradient(...shard)).gradient).toEqual(expected);
  });

  it('has a loss of NaN for weights that are not finite, and for a label that is no class', async () => {
    const compute = await openedCompute(create, 4);
    const [pixels, labels] = samplesOf(5, 6);
    expect((await compute.gradient(pixels, Uint16Array.of(0, 1, 2, 3, 0, 1))).lossSum).toBeNaN();
    compute.setWeights(bytesOf(new Float32Array(parameterCount(model)).fill(Number.NaN)));
    expect((await compute.gradient(pixels, labels)).lossSum).toBeNaN();
  });

  it('opens another model for another run', async () => {
    const compute = await openedCompute(create, 4);
    const larger = resolveModel('mlp');
    await compute.open({ model: larger, microbatchSize: 2 });
    compute.setWeights(bytesOf(initialize(larger, 1)));
    const { gradient } = await compute.gradient(...samplesOf(1, 3, inputSize(larger)));
    expect(gradient).toHaveLength(parameterCount(larger) * 4);
  });

  it('refuses an invalid model, shards before open, and wrong lengths, each in a sentence', async () => {
    const compute = await created(create);
    expect(() => compute.setWeights(new Uint8Array(4))).toThrow('expected open() before weights and shards');
    await expect(compute.gradient(new Uint8Array(4), new Uint16Array(1))).rejects.toThrow('expected open()');
    await expect(compute.open({ model: { layers: 'none' }, microbatchSize: 4 })).rejects.toThrow(
      /^name: expected a value/,
    );
    await compute.open({ model, microbatchSize: 4 });
    expect(() => compute.setWeights(new Uint8Array(4))).toThrow(wrongLength);
    await expect(compute.gradient(new Uint8Array(5), new Uint16Array(1))).rejects.toThrow(
      'expected 4 values of samples, got 5',
    );
  });
}
