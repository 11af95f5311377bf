/** Initializers: how far from 0 the first values of a layer's weights and bias may lie. */
import * as v from 'valibot';

const names = ['kaiming', 'xavier', 'zeros'] as const;

/**
 * The default of `torch.nn` where left out: weights and bias in ±1/sqrt(fanIn). Otherwise a bias of zeros, and weights
 * as `torch.nn.init.kaiming_uniform_` (for relu) or `xavier_uniform_` draws them, or zeros.
 */
export const initializer = v.exactOptional(v.picklist(names));

/** `fanIn` inputs feed one output, and one input feeds `fanOut` outputs. */
export function initialBounds(
  { init }: { readonly init?: (typeof names)[number] },
  fanIn: number,
  fanOut: number,
): { readonly weight: number; readonly bias: number } {
  switch (init) {
    case undefined: {
      const bound = 1 / Math.sqrt(fanIn);
      return { weight: bound, bias: bound };
    }
    case 'kaiming':
      return { weight: Math.sqrt(6 / fanIn), bias: 0 };
    case 'xavier':
      return { weight: Math.sqrt(6 / (fanIn + fanOut)), bias: 0 };
    case 'zeros':
      return { weight: 0, bias: 0 };
    default:
      return init satisfies never;
  }
}
