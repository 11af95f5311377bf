/** The interface of every kind of layer. */
import type { RandomKeys, Shape, Tensor } from '@lockstep/tensor';
import type { GenericSchema } from 'valibot';
import type { TorchLayout } from '../torch-layout.ts';

/** One trainable tensor of a layer. */
export interface LayerParameter {
  /** Last part of its name, as in PyTorch's modules: `weight`, `bias`. */
  readonly suffix: string;
  readonly shape: Shape;
  /** Initial values are uniform in ±bound. If the bound is 0 they are zeros, and no random numbers are drawn. */
  readonly bound: number;
  readonly torch: TorchLayout;
}

export interface LayerKind<Config> {
  /** Checks a layer that comes from a file or the network; every message is a sentence. */
  readonly schema: GenericSchema<unknown, Config>;
  /** Returns the shape of one sample after the layer, by default `input`; throws one sentence if `input` is invalid. */
  outputShape?(config: Config, input: Shape): Shape;
  /**
   * Returns the trainable tensors in PyTorch's order; by default none.
   * @param image [height, width, channels] if a sample is a flattened image
   */
  parameters?(config: Config, input: Shape, image: Shape | undefined): readonly LayerParameter[];
  /** Whether the layer makes random choices in training; by default it never does. */
  isRandom?(config: Config): boolean;
  /**
   * Maps `[n, ...input]` to `[n, ...output]`. `parameters` has one tensor per entry of the method `parameters`, in the
   * same order. `random` determines the layer's random choices; it is given only in training.
   */
  forward(config: Config, input: Tensor, parameters: readonly Tensor[], random?: RandomKeys): Tensor;
}
