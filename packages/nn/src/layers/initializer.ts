/** Initializers: how far from 0 the first values of a layer's weights and bias may lie. */
import * as v from 'valibot';

/** Bounds of the weights, by name. */
const weightBounds = {
  kaiming: (fanIn: number) => Math.sqrt(6 / fanIn),
  xavier: (fanIn: number, fanOut: number) => Math.sqrt(6 / (fanIn + fanOut)),
  zeros: () => 0,
};

type Name = keyof typeof weightBounds;

/**
 * The default of `torch.nn` where left out: weights and bias in ±1/sqrt(fanIn). Otherwise a bias of zeros, and weights
 * as `torch.nn.init.kaiming_uniform_` (for relu) or `xavier_uniform_` draws them, or zeros.
 */
export const initializer = v.exactOptional(v.picklist(Object.keys(weightBounds) as Name[]));

/** `fanIn` inputs feed one output, and one input feeds `fanOut` outputs. */
export function initialBounds({ init }: { readonly init?: Name }, fanIn: number, fanOut: number) {
  if (init !== undefined) return { weight: weightBounds[init](fanIn, fanOut), bias: 0 };
  const bound = 1 / Math.sqrt(fanIn);
  return { weight: bound, bias: bound };
}
