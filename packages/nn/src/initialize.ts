/** Initial parameters of a model, the same on every engine and the same as PyTorch's. */
import { uniformFloat32 } from 'pure-rand/distribution/uniformFloat32';
import { mersenne } from 'pure-rand/generator/mersenne';
import type { Model } from './model.ts';
import { parameterLayout, totalSize } from './parameters.ts';
import { inTorchOrder } from './torch-layout.ts';

/**
 * Initial weights `[parameterCount]` by a seed: the bits of PyTorch.
 * Every parameter is uniform in ±1/sqrt(fanIn), which is how `torch.nn.Linear` starts (`kaiming_uniform_(weight,
 * a=sqrt(5))`). The numbers are drawn as PyTorch draws them on a CPU: Mersenne Twister, 24 bits a value, weights in
 * PyTorch's layout; so they equal those of a `torch.nn.Sequential` that is built after `torch.manual_seed(seed)`. It
 * calls no function whose rounding an engine may choose.
 */
export function initialize(model: Model, seed: number): Float32Array {
  if (!Number.isInteger(seed) || seed < 0 || seed > 0xffff_ffff) {
    throw new Error(`seed: expected a whole number from 0 to ${0xffff_ffff}, got ${seed}`);
  }
  const generator = mersenne(seed);
  const layout = parameterLayout(model);
  const result = new Float32Array(totalSize(layout));
  for (const { bound: exactBound, torch, offset } of layout) {
    if (exactBound === 0) continue;
    const bound = Math.fround(exactBound);
    const width = 2 * bound;
    inTorchOrder(torch, (place) => {
      // Exact in float64 (24 x 24 bits), so rounded once, as a fused multiply-add is.
      result[offset + place] = uniformFloat32(generator) * width - bound;
    });
  }
  return result;
}
