/** The layers: what each is as data, its shapes, its parameters, and its forward pass. */

import { checkArguments } from '@lockstep/data';
import * as ops from '@lockstep/tensor';
import {
  add,
  averagePool2d as averagePool2dOp,
  conv2d as conv2dOp,
  dropout as dropoutOp,
  formatShape,
  matmul,
  maxPool2d as maxPool2dOp,
  type RandomKeys,
  reshape,
  type Shape,
  sizeOf,
  type Tensor,
} from '@lockstep/tensor';
import { uniformFloat32 } from 'pure-rand/distribution/uniformFloat32';
import type { RandomGenerator } from 'pure-rand/types/RandomGenerator';
import type { GenericSchema } from 'valibot';
import * as v from 'valibot';
import { fraction, fractionBelowOne, kinds, wholeNumberFrom } from './check.ts';

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
type Initializer = (generator: RandomGenerator) => number;

function constant(value: number): Initializer {
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
function parameter(
  suffix: string,
  shape: Shape,
  initial: Initializer,
  torch: TorchLayout = sameLayout(shape),
): LayerParameter {
  return { suffix, shape, initial, decays: true, torch };
}

/** The surroundings of a layer in its model. */
interface LayerPlace {
  /** [height, width, channels] if a sample is a flattened image. */
  readonly image: Shape | undefined;
  /** Shape of one sample after the layers inside; the input's shape if there are none. */
  readonly nested: Shape;
}

interface ForwardContext {
  /** Determines the layer's random choices; given only in training. */
  readonly random?: RandomKeys | undefined;
  /** Runs the layers inside. */
  readonly nested: (input: Tensor) => Tensor;
}

interface LayerKind<Config> {
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
}

/** Initial weights, by name, of a layer in which `fanIn` inputs feed one output, and one input feeds `fanOut` outputs. */
const weightInitializers = {
  kaiming: (fanIn: number) => uniform(Math.sqrt(6 / fanIn)),
  xavier: (fanIn: number, fanOut: number) => uniform(Math.sqrt(6 / (fanIn + fanOut))),
  zeros: () => constant(0),
};

type Name = keyof typeof weightInitializers;

/**
 * By default as in `torch.nn`: weights and bias in ±1/sqrt(fanIn). Otherwise the bias is zeros, and the weights are
 * drawn as by `torch.nn.init.kaiming_uniform_` (for relu) or `xavier_uniform_`, or are zeros.
 */
const initializer = v.exactOptional(v.picklist(Object.keys(weightInitializers) as Name[]));

function initializersOf({ init }: { readonly init?: Name }, fanIn: number, fanOut: number) {
  if (init !== undefined) return { weight: weightInitializers[init](fanIn, fanOut), bias: constant(0) };
  const initial = uniform(1 / Math.sqrt(fanIn));
  return { weight: initial, bias: initial };
}

/** Size of a window, or of the stride between two windows. */
const windowSize = wholeNumberFrom(1, 1024);

const paddingSize = wholeNumberFrom(0, 1023);

interface Window {
  /** Height and width. */
  readonly size: number;
  readonly stride: number;
  /** Rows and columns added at each of the four sides. */
  readonly padding: number;
}

/** Returns `[height, width, channels]`; throws one sentence if a sample is not an image. */
function imageShape(shape: Shape): readonly [height: number, width: number, channels: number] {
  if (shape.length === 3) return shape as readonly [number, number, number];
  throw new Error(`expected a sample of [height, width, channels], got ${formatShape(shape)}`);
}

/** Returns the height and width of a window's output: `floor((length + 2 padding - size) / stride) + 1`. */
function outputSize([height, width]: Shape, { size, stride, padding }: Window): readonly [number, number] {
  const along = (length: number): number => Math.floor((length + 2 * padding - size) / stride) + 1;
  const [rows, columns] = [along(height!), along(width!)];
  if (rows < 1 || columns < 1) {
    throw new Error(
      `expected an image at least as large as the ${size} x ${size} window with padding ${padding}, got ${height} x ${width}`,
    );
  }
  return [rows, columns];
}

const denseSchema = v.strictObject({ type: v.literal('dense'), units: wholeNumberFrom(1, 65_536), init: initializer });

/** Works on the last axis, as `torch.nn.Linear` does. */
const dense = {
  schema: denseSchema,
  outputShape({ units }, input) {
    inputUnits(input);
    return [...input.slice(0, -1), units];
  },
  parameters(config, input, image) {
    const { units } = config;
    const fanIn = inputUnits(input);
    const { weight, bias } = initializersOf(config, fanIn, units);
    // PyTorch stores [out, in], and flattens an image channel by channel; this project flattens it pixel by pixel.
    const torch =
      image?.length === 3
        ? { view: [...image, units], order: [3, 2, 0, 1], shape: [units, fanIn] }
        : { view: [fanIn, units], order: [1, 0], shape: [units, fanIn] };
    return [parameter('weight', [fanIn, units], weight, torch), parameter('bias', [units], bias)];
  },
  forward(_, input, [weight, bias]) {
    return add(matmul(input, weight!), bias!);
  },
} satisfies LayerKind<v.InferOutput<typeof denseSchema>>;

/** PyTorch's images have their width last, so a dense layer on an image would mean something else there. */
function inputUnits(shape: Shape): number {
  if (shape.length <= 2) return shape.at(-1)!;
  throw new Error(`expected a sample of one or two axes, got ${formatShape(shape)}; flatten an image first`);
}

const conv2dSchema = v.strictObject({
  type: v.literal('conv2d'),
  filters: wholeNumberFrom(1, 65_536),
  /** Height and width of the window. */
  kernel: windowSize,
  /** 1 by default. */
  stride: v.exactOptional(windowSize),
  /** Rows and columns of zeros around the image; 0 by default. */
  padding: v.exactOptional(paddingSize),
  init: initializer,
});

type Config = v.InferOutput<typeof conv2dSchema>;

const conv2d = {
  schema: conv2dSchema,
  outputShape: (config, input) => [...outputSize(imageShape(input), windowOf(config)), config.filters],
  parameters(config, input) {
    const { filters, kernel } = config;
    const channels = imageShape(input)[2];
    const area = kernel * kernel;
    const { weight, bias } = initializersOf(config, area * channels, area * filters);
    const shape = [kernel, kernel, channels, filters];
    const torch = { view: shape, order: [3, 2, 0, 1], shape: [filters, channels, kernel, kernel] };
    return [parameter('weight', shape, weight, torch), parameter('bias', [filters], bias)];
  },
  forward(config, input, [weight, bias]) {
    const { stride, padding } = windowOf(config);
    return add(conv2dOp(input, weight!, { stride, padding }), bias!);
  },
} satisfies LayerKind<Config>;

function windowOf({ kernel, stride = 1, padding = 0 }: Config): Window {
  return { size: kernel, stride, padding };
}

function pooling<const Type extends string>(type: Type, pool: typeof maxPool2dOp | typeof averagePool2dOp) {
  const schema = v.strictObject({
    type: v.literal(type),
    /** Height and width. */
    window: windowSize,
    /** By default the window's size, so that windows do not overlap. */
    stride: v.exactOptional(windowSize),
    /** 0 by default; at most half the window. */
    padding: v.exactOptional(paddingSize),
  });
  return {
    schema,
    outputShape({ window, stride = window, padding = 0 }, input) {
      const [height, width, channels] = imageShape(input);
      if (padding > window / 2) {
        throw new Error(`expected a padding of at most half the window of ${window}, got ${padding}`);
      }
      return [...outputSize([height, width], { size: window, stride, padding }), channels];
    },
    forward: ({ window, stride = window, padding = 0 }, input) => pool(input, window, { stride, padding }),
  } satisfies LayerKind<v.InferOutput<typeof schema>>;
}

/** Same as `torch.nn.MaxPool2d`. */
const maxPool2d = pooling('maxPool2d', maxPool2dOp);

/** Same as `torch.nn.AvgPool2d`: padding counts as zeros. */
const averagePool2d = pooling('averagePool2d', averagePool2dOp);

const flattenSchema = v.strictObject({ type: v.literal('flatten') });

const flatten = {
  schema: flattenSchema,
  outputShape: (_, input) => [sizeOf(input)],
  forward: (_, input) => reshape(input, [input.shape[0]!, -1]),
} satisfies LayerKind<v.InferOutput<typeof flattenSchema>>;

function activation<const Type extends string>(type: Type, fn: (x: ops.Tensor) => ops.Tensor) {
  const schema = v.strictObject({ type: v.literal(type) });
  return { schema, forward: (_, input) => fn(input) } satisfies LayerKind<v.InferOutput<typeof schema>>;
}

/** `max(x, 0)`. */
const relu = activation('relu', ops.relu);

/** `x Phi(x)` with the exact normal distribution function Phi, not the tanh approximation, as in `torch.nn.GELU`. */
const gelu = activation('gelu', ops.gelu);

/** `1 / (1 + e^-x)`. */
const sigmoid = activation('sigmoid', ops.sigmoid);

const tanh = activation('tanh', ops.tanh);

/** `log(1 + e^x)`. */
const softplus = activation('softplus', ops.softplus);

/** `x / (1 + |x|)`. */
const softsign = activation('softsign', ops.softsign);

const leakySchema = v.strictObject({
  type: v.literal('leakyRelu'),
  /** 0.01 by default. */
  slope: v.exactOptional(fraction),
});

/** `x` if x > 0, else `slope * x`. */
const leakyRelu = {
  schema: leakySchema,
  forward: ({ slope = 0.01 }, input) => ops.leakyRelu(input, slope),
} satisfies LayerKind<v.InferOutput<typeof leakySchema>>;

const dropoutSchema = v.strictObject({ type: v.literal('dropout'), rate: fractionBelowOne });

const dropout = {
  schema: dropoutSchema,
  isRandom: ({ rate }) => rate > 0,
  forward: ({ rate }, input, _, { random }) => (random === undefined ? input : dropoutOp(input, rate, random)),
} satisfies LayerKind<v.InferOutput<typeof dropoutSchema>>;

/** The layers that hold no others. */
const leafLayers = {
  dense,
  conv2d,
  maxPool2d,
  averagePool2d,
  flatten,
  dropout,
  relu,
  leakyRelu,
  gelu,
  sigmoid,
  tanh,
  softplus,
  softsign,
};

interface ResidualLayer {
  readonly type: 'residual';
  /** Applied one after another; their last output is added to the input. */
  readonly layers: readonly Layer[];
}

/** One layer of a model, as plain data. */
export type Layer = v.InferOutput<(typeof leafLayers)[keyof typeof leafLayers]['schema']> | ResidualLayer;

/** The name of a layer in a layer list. */
export type LayerType = Layer['type'];

const maximumLayers = 256;
/** A model may come from the network, and a list that holds itself a million times would exhaust the stack. */
const maximumDepth = 8;

function residualSchema(depth: number) {
  const tooDeep = 'expected a list of layers that holds no further lists';
  const list = v.custom<readonly Layer[]>(() => false, tooDeep);
  return v.strictObject({ type: v.literal('residual'), layers: depth === 0 ? list : layersSchema(depth) });
}

function layersSchema(depth: number): GenericSchema<unknown, readonly Layer[]> {
  const message = `expected a list of 1 to ${maximumLayers} layers`;
  const leaves = Object.values(leafLayers).map(({ schema }) => schema);
  const layer = v.variant('type', [...leaves, residualSchema(depth - 1)]);
  return v.pipe(v.array(layer, message), v.minLength(1, message), v.maxLength(maximumLayers, message));
}

export const layerListSchema = layersSchema(maximumDepth);

/** `x + layers(x)`. */
const residual = {
  schema: residualSchema(maximumDepth - 1),
  outputShape(_, input, { nested, image }) {
    if (nested.join() !== input.join()) {
      throw new Error(`expected layers that keep the shape ${formatShape(input)}, got ${formatShape(nested)}`);
    }
    // PyTorch's values are in another order there, which the outputs of a dense layer inside do not follow.
    if (image && image[2]! > 1) {
      throw new Error(`expected samples other than flattened images of ${image[2]} channels; put a dense layer before`);
    }
    return input;
  },
  forward: (_, input, __, { nested }) => add(input, nested(input)),
} satisfies LayerKind<ResidualLayer>;

/** The table of layers, by type. */
export const layers = { ...leafLayers, residual };

/** Returns the kind of `layer`. Call its methods only with the same layer as config. */
export function layerKind(layer: Layer): LayerKind<Layer> {
  return layers[layer.type] as LayerKind<Layer>;
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
