/** Initializers: bounds of the uniform distribution of a layer's initial weights and bias. */
import * as v from 'valibot';

/** Bounds of the weights, by name. */
const weightBounds = {
  kaiming: (fanIn: number) => Math.sqrt(6 / fanIn),
  xavier: (fanIn: number, fanOut: number) => Math.sqrt(6 / (fanIn + fanOut)),
  zeros: () => 0,
};

type Name = keyof typeof weightBounds;

/**
 * By default as in `torch.nn`: weights and bias in ±1/sqrt(fanIn). Otherwise the bias is zeros, and the weights are
 * drawn as by `torch.nn.init.kaiming_uniform_` (for relu) or `xavier_uniform_`, or are zeros.
 */
export const initializer = v.exactOptional(v.picklist(Object.keys(weightBounds) as Name[]));

/** Returns the bounds for a layer in which `fanIn` inputs feed one output, and one input feeds `fanOut` outputs. */
export function initialBounds({ init }: { readonly init?: Name }, fanIn: number, fanOut: number) {
  if (init !== undefined) return { weight: weightBounds[init](fanIn, fanOut), bias: 0 };
  const bound = 1 / Math.sqrt(fanIn);
  return { weight: bound, bias: bound };
}
