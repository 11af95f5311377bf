/** Initial parameters of a model, the same on every engine and the same as PyTorch's. */
import { uniformFloat32 } from 'pure-rand/distribution/uniformFloat32';
import { mersenne } from 'pure-rand/generator/mersenne';
import type { Model } from './model.ts';
import { parameterLayout, totalSize } from './parameters.ts';
import { inTorchOrder } from './torch-layout.ts';

/**
 * Returns the initial weights `[parameterCount]` for a seed, with the same bits as PyTorch.
 * Unless a layer sets `init`, its parameters are uniform in ±1/sqrt(fanIn), as in `torch.nn.Linear`
 * (`kaiming_uniform_(weight, a=sqrt(5))`). Numbers are drawn as PyTorch draws them on a CPU: Mersenne Twister, 24 bits
 * per value, weights in PyTorch's layout. They equal those of a `torch.nn.Sequential` that is built after
 * `torch.manual_seed(seed)`. No function is used whose rounding may differ between engines.
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
      // The product is exact in float64 (24 x 24 bits), so only the result is rounded, as in a fused multiply-add.
      result[offset + place] = uniformFloat32(generator) * width - bound;
    });
  }
  return result;
}
