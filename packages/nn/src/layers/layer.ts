/** The contract that every kind of layer fulfils. */
import type { Shape, Tensor } from '@lockstep/tensor';
import type { GenericSchema } from 'valibot';

/** One trainable tensor of a layer. */
export interface LayerParameter {
  /** Last part of its name, as PyTorch's modules call it: `weight`, `bias`. */
  readonly suffix: string;
  readonly shape: Shape;
  /** How many inputs feed one output; PyTorch draws first values from ±1/sqrt(fanIn). */
  readonly fanIn: number;
  /** How PyTorch stores the same numbers: in our shape, or transposed (`nn.Linear` keeps `[out, in]`). */
  readonly torchLayout: 'same' | 'transposed';
}

export interface LayerKind<Config> {
  /** Checks a layer read from a file; every message is a sentence. */
  readonly schema: GenericSchema<unknown, Config>;
  /** Shape of one sample after the layer, given its shape before; throws a sentence when they do not fit. */
  outputShape(config: Config, input: Shape): Shape;
  /** Trainable tensors in PyTorch's order, given the shape of one sample before the layer. */
  parameters(config: Config, input: Shape): readonly LayerParameter[];
  /** `[n, ...input]` -> `[n, ...output]`; `parameters` come in the order of the method above. */
  forward(config: Config, input: Tensor, parameters: readonly Tensor[]): Tensor;
}
