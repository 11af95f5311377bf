/** How far from 0 the first values of a layer's weights may lie. */
import * as v from 'valibot';

/**
 * `torch.nn`'s own start where left out: weights and bias in ±1/sqrt(fanIn). Otherwise a bias of zeros, and weights as
 * `torch.nn.init.kaiming_uniform_` (for relu) or `xavier_uniform_` draws them, or zeros.
 */
export const initial = v.exactOptional(v.picklist(['kaiming', 'xavier', 'zeros']));

interface InitialConfig {
  readonly init?: 'kaiming' | 'xavier' | 'zeros';
}

/** `fanIn` inputs feed one output, and one input feeds `fanOut` outputs. */
export function initialBounds(
  { init }: InitialConfig,
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
