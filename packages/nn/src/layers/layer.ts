/** The contract that every kind of layer fulfils. */
import type { RandomKeys, Shape, Tensor } from '@lockstep/tensor';
import type { GenericSchema } from 'valibot';
import type { TorchLayout } from '../torch-layout.ts';

/** One trainable tensor of a layer. */
export interface LayerParameter {
  /** Last part of its name, as PyTorch's modules call it: `weight`, `bias`. */
  readonly suffix: string;
  readonly shape: Shape;
  /** First values are drawn evenly from ±bound; a bound of 0 draws nothing. */
  readonly bound: number;
  readonly torch: TorchLayout;
}

/** What a layer is told about its place in the model. */
export interface LayerPlace {
  /** Shape of one sample before the layer. */
  readonly input: Shape;
  /** Where the sample is a flattened image: its shape before, [height, width, channels]. */
  readonly image?: Shape;
}

export interface LayerKind<Config> {
  /** Checks a layer read from a file; every message is a sentence. */
  readonly schema: GenericSchema<unknown, Config>;
  /** Shape of one sample after the layer, given its shape before; throws a sentence when they do not fit. */
  outputShape(config: Config, input: Shape): Shape;
  /** Trainable tensors in PyTorch's order. */
  parameters(config: Config, place: LayerPlace): readonly LayerParameter[];
  /** Whether training makes random choices in it; never where left out. */
  isRandom?(config: Config): boolean;
  /**
   * `[n, ...input]` -> `[n, ...output]`; `parameters` come in the order of the method above. `random` fixes the random
   * choices, apart from those of other layers; undefined outside of training.
   */
  forward(config: Config, input: Tensor, parameters: readonly Tensor[], random?: RandomKeys): Tensor;
}
