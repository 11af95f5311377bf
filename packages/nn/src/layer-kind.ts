/** A kind of layer: its parameters, how they are drawn and laid out, and the methods of its entry in the table. */

import { checkArguments } from '@lockstep/data';
import { normalQuantile, type RandomKeys, type Shape, sizeOf, type Tensor } from '@lockstep/tensor';
import { uniformFloat32 } from 'pure-rand/distribution/uniformFloat32';
import type { RandomGenerator } from 'pure-rand/types/RandomGenerator';
import type { GenericSchema } from 'valibot';
import * as v from 'valibot';
import { kinds, positive } from './check.ts';

/** One trainable tensor of a layer. */
export interface LayerParameter {
  /** Last part of its name, as in PyTorch's modules: `weight`, `bias`. */
  readonly suffix: string;
  readonly shape: Shape;
  readonly initial: Initializer;
  /** Whether the weight decay of an optimizer shrinks it. */
  readonly decays: boolean;
  readonly torch: TorchLayout;
}

/** Returns the next initial value, for which it may draw random numbers; values are asked for in PyTorch's order. */
export type Initializer = (generator: RandomGenerator) => number;

export function constant(value: number): Initializer {
  return () => value;
}

/** Uniform in ±bound, with the bits of PyTorch on a CPU. */
function uniform(exactBound: number): Initializer {
  const bound = Math.fround(exactBound);
  const width = 2 * bound;
  // The product is exact in float64 (24 x 24 bits), so only the result is rounded, as in a fused multiply-add.
  return (generator) => uniformFloat32(generator) * width - bound;
}

/** A parameter that decays, as all do in PyTorch, in PyTorch's order by default. */
export function parameter(
  suffix: string,
  shape: Shape,
  initial: Initializer,
  torch: TorchLayout = sameLayout(shape),
): LayerParameter {
  return { suffix, shape, initial, decays: true, torch };
}

/** A matrix [fanIn, fanOut], which PyTorch stores as [fanOut, fanIn]. */
export function matrixParameter(suffix: string, [fanIn, fanOut]: readonly [number, number], initial: Initializer) {
  const torch = { view: [fanIn, fanOut], order: [1, 0], shape: [fanOut, fanIn] };
  return parameter(suffix, [fanIn, fanOut], initial, torch);
}

/** The surroundings of a layer in its model. */
export interface LayerPlace {
  /** [height, width, channels] if a sample is a flattened image. */
  readonly image: Shape | undefined;
  /** Shape of one sample after the layers inside; the input's shape if there are none. */
  readonly nested: Shape;
  readonly isFirst: boolean;
  /** The model's first layer if it is an embedding: the model then reads tokens. */
  readonly embedding: { readonly tokens: number; readonly width: number } | undefined;
}

export interface ForwardContext {
  /** Determines the layer's random choices; given only in training. */
  readonly random?: RandomKeys | undefined;
  /** Runs the layers inside. */
  readonly nested: (input: Tensor) => Tensor;
  /** Tokens [n, positions] and the weight of their embedding [tokens, width], if the model reads tokens. */
  readonly text?: { readonly tokens: Tensor; readonly embedding: Tensor } | undefined;
  /** Sees the probabilities of attention, before dropout. */
  readonly attend: (probabilities: Tensor) => void;
}

/** A position of a text that is read token by token. */
export interface TextPlace {
  /** Number of the position, [1]. */
  readonly position: Tensor;
  /** [positions]: 1 at the position, else 0. */
  readonly isHere: Tensor;
  /** [positions]: 1 at the position and those before, else 0. */
  readonly isRead: Tensor;
}

/** How a layer that connects positions reads a text token by token. */
export interface Stepwise<Config> {
  /** Whether the layer cannot go beyond the last position of its input. */
  readonly isBounded: boolean;
  /** Returns the shapes of what it keeps, zeros at first; by default nothing. Throws one sentence if it cannot. */
  memory?(config: Config, input: Shape): readonly Shape[];
  /** Maps one position [1, 1, ...] to the output, followed by what is kept after it; has the bits of `forward`. */
  next(
    config: Config,
    input: Tensor,
    parameters: readonly Tensor[],
    memory: readonly Tensor[],
    place: TextPlace,
  ): readonly [output: Tensor, ...memory: Tensor[]];
}

export interface LayerKind<Config> {
  /** Checks a layer that comes from a file or the network; every message is a sentence. */
  readonly schema: GenericSchema<unknown, Config>;
  /** Returns the shape of one sample after the layer, by default `input`; throws one sentence if `input` is invalid. */
  outputShape?(config: Config, input: Shape, place: LayerPlace): Shape;
  /** Returns the trainable tensors in PyTorch's order, without those of layers inside; by default none. */
  parameters?(config: Config, input: Shape, image: Shape | undefined): readonly LayerParameter[];
  /** Whether the layer makes random choices in training; by default it never does. */
  isRandom?(config: Config): boolean;
  /**
   * Maps `[n, ...input]` to `[n, ...output]`. `parameters` has one tensor per entry of the method `parameters`, in the
   * same order. It is called only for its ops, which other libraries and formats repeat, so it may not read values.
   */
  forward(config: Config, input: Tensor, parameters: readonly Tensor[], context: ForwardContext): Tensor;
  /** By default `forward` maps each position by itself. */
  readonly stepwise?: Stepwise<Config>;
}

/** Defines a kind of layer by its schema, and by methods that take what the schema accepts. */
export function defineLayer<Schema extends GenericSchema>(
  schema: Schema,
  methods: Omit<LayerKind<v.InferOutput<Schema>>, 'schema'>,
) {
  return { schema, ...methods };
}

/** Initial weights, by name, of a layer in which `fanIn` inputs feed one output, and one input feeds `fanOut` outputs. */
const weightInitializers = {
  kaiming: (fanIn: number) => uniform(Math.sqrt(6 / fanIn)),
  xavier: (fanIn: number, fanOut: number) => uniform(Math.sqrt(6 / (fanIn + fanOut))),
  zeros: () => constant(0),
};

const initializerNames = Object.keys(weightInitializers) as (keyof typeof weightInitializers)[];
const initializerMessage = `expected one of ${initializerNames.join(', ')}, or { "normal": a deviation above 0 }`;

/** How initial weights are drawn: by name, or from a normal distribution with mean 0 and this deviation. */
export const initializer = v.union(
  [v.picklist(initializerNames), v.strictObject({ normal: positive })],
  initializerMessage,
);

/** Setting of a layer's weights; omitted for the defaults of `torch.nn`. */
export const init = v.exactOptional(initializer);

type WeightInitializer = v.InferOutput<typeof initializer>;

/** Normal with mean 0; the same bits on every engine, but not those of PyTorch. */
export function normal(deviation: number): Initializer {
  return (generator) => deviation * normalQuantile(((generator.next() >>> 0) + 0.5) * 2 ** -32);
}

/** Uniform in ±1/sqrt(fanIn), the default of `torch.nn`. */
export function uniformByFan(fanIn: number): Initializer {
  return uniform(1 / Math.sqrt(fanIn));
}

/**
 * By default as in `torch.nn`: weights and bias in ±1/sqrt(fanIn). Otherwise the bias is zeros, and the weights are
 * drawn as by `torch.nn.init.kaiming_uniform_` (for relu), `xavier_uniform_` or `normal_`, or are zeros.
 */
export function initializersOf(init: WeightInitializer | undefined, fanIn: number, fanOut: number) {
  if (init === undefined) {
    const initial = uniformByFan(fanIn);
    return { weight: initial, bias: initial };
  }
  const weight = typeof init === 'string' ? weightInitializers[init](fanIn, fanOut) : normal(init.normal);
  return { weight, bias: constant(0) };
}

/** Our values reshaped to `view`, permuted by `order` and reshaped to `shape` are in PyTorch's layout. */
export interface TorchLayout {
  /** Our shape, in which an axis may be split into several. */
  readonly view: Shape;
  /** Axis i of the result is axis `order[i]` of the view. */
  readonly order: readonly number[];
  /** The parameter's shape in PyTorch. */
  readonly shape: Shape;
}

/** Returns the layout of a parameter whose order of values is the same in PyTorch. */
export function sameLayout(shape: Shape): TorchLayout {
  checkArguments('sameLayout', [kinds.shape, shape]);
  return { view: shape, order: shape.map((_, axis) => axis), shape };
}

/** Converts `values` from our order to a new array in PyTorch's. */
export function toTorch(values: Float32Array, layout: TorchLayout): Float32Array {
  const result = new Float32Array(values.length);
  let index = 0;
  inTorchOrder(layout, (place) => {
    result[index++] = values[place]!;
  });
  return result;
}

/** Converts `values` from PyTorch's order to a new array in ours. */
export function fromTorch(values: Float32Array, layout: TorchLayout): Float32Array {
  const result = new Float32Array(values.length);
  let index = 0;
  inTorchOrder(layout, (place) => {
    result[place] = values[index++]!;
  });
  return result;
}

/** Visits each element's index in our order, in PyTorch's order; avoids a list of indices as large as the values. */
export function inTorchOrder({ view, order }: TorchLayout, visit: (place: number) => void): void {
  const axes = order.map((axis) => ({ length: view[axis]!, stride: sizeOf(view.slice(axis + 1)) }));
  const walk = (depth: number, first: number): void => {
    const axis = axes[depth];
    if (!axis) visit(first);
    else for (let step = 0; step < axis.length; step++) walk(depth + 1, first + step * axis.stride);
  };
  walk(0, 0);
}
