/** The contract that every kind of layer fulfils. */
import type { RandomKeys, Shape, Tensor } from '@lockstep/tensor';
import type { GenericSchema } from 'valibot';
import type { TorchLayout } from '../torch-layout.ts';

/** One trainable tensor of a layer. */
export interface LayerParameter {
  /** Last part of its name, as PyTorch's modules call it: `weight`, `bias`. */
  readonly suffix: string;
  readonly shape: Shape;
  /** First values are uniform in ±bound; zeros, and no draw, where the bound is 0. */
  readonly bound: number;
  readonly torch: TorchLayout;
}

export interface LayerKind<Config> {
  /** Checks a layer that a file or a socket gave; every message is a sentence. */
  readonly schema: GenericSchema<unknown, Config>;
  /** Shape of one sample after the layer, `input` where left out; throws a sentence when it cannot take `input`. */
  outputShape?(config: Config, input: Shape): Shape;
  /**
   * Trainable tensors in PyTorch's order; none where left out.
   * @param image [height, width, channels] where a sample is a flattened image
   */
  parameters?(config: Config, input: Shape, image: Shape | undefined): readonly LayerParameter[];
  /** Whether training makes random choices in the layer; never where left out. */
  isRandom?(config: Config): boolean;
  /**
   * `[n, ...input]` -> `[n, ...output]`; `parameters` in the order of the method above. `random` fixes the random
   * choices of this layer in training; undefined outside of training.
   */
  forward(config: Config, input: Tensor, parameters: readonly Tensor[], random?: RandomKeys): Tensor;
}
