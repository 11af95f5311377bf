/** The layers: what each is as data, its shapes, its parameters, and its forward pass. */

import * as ops from '@lockstep/tensor';
import {
  add,
  averagePool2d as averagePool2dOp,
  conv2d as conv2dOp,
  dropout as dropoutOp,
  formatShape,
  matmul,
  maxPool2d as maxPool2dOp,
  reshape,
  type Shape,
  sizeOf,
} from '@lockstep/tensor';
import type { GenericSchema } from 'valibot';
import * as v from 'valibot';
import { fraction, fractionBelowOne, wholeNumberFrom } from './check.ts';
import { defineLayer, init, initializersOf, type LayerKind, matrixParameter, parameter } from './layer-kind.ts';
import { sequenceLayers } from './sequence-layers.ts';

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

/** Works on the last axis, as `torch.nn.Linear` does. */
const dense = defineLayer(v.strictObject({ type: v.literal('dense'), units: wholeNumberFrom(1, 65_536), init }), {
  outputShape({ units }, input) {
    inputUnits(input);
    return [...input.slice(0, -1), units];
  },
  parameters(config, input, image) {
    const { units } = config;
    const fanIn = inputUnits(input);
    const { weight, bias } = initializersOf(config.init, fanIn, units);
    // PyTorch stores [out, in], and flattens an image channel by channel; this project flattens it pixel by pixel.
    const ours = matrixParameter('weight', [fanIn, units], weight);
    const torch = { view: [...(image ?? []), units], order: [3, 2, 0, 1], shape: [units, fanIn] };
    return [image?.length === 3 ? { ...ours, torch } : ours, parameter('bias', [units], bias)];
  },
  forward(_, input, [weight, bias]) {
    return add(matmul(input, weight!), bias!);
  },
});

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
  init,
});

type Config = v.InferOutput<typeof conv2dSchema>;

const conv2d = defineLayer(conv2dSchema, {
  outputShape: (config, input) => [...outputSize(imageShape(input), windowOf(config)), config.filters],
  parameters(config, input) {
    const { filters, kernel } = config;
    const channels = imageShape(input)[2];
    const area = kernel * kernel;
    const { weight, bias } = initializersOf(config.init, area * channels, area * filters);
    const shape = [kernel, kernel, channels, filters];
    const torch = { view: shape, order: [3, 2, 0, 1], shape: [filters, channels, kernel, kernel] };
    return [parameter('weight', shape, weight, torch), parameter('bias', [filters], bias)];
  },
  forward(config, input, [weight, bias]) {
    const { stride, padding } = windowOf(config);
    return add(conv2dOp(input, weight!, { stride, padding }), bias!);
  },
});

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
  return defineLayer(schema, {
    outputShape({ window, stride = window, padding = 0 }, input) {
      const [height, width, channels] = imageShape(input);
      if (padding > window / 2) {
        throw new Error(`expected a padding of at most half the window of ${window}, got ${padding}`);
      }
      return [...outputSize([height, width], { size: window, stride, padding }), channels];
    },
    forward: ({ window, stride = window, padding = 0 }, input) => pool(input, window, { stride, padding }),
  });
}

/** Same as `torch.nn.MaxPool2d`. */
const maxPool2d = pooling('maxPool2d', maxPool2dOp);

/** Same as `torch.nn.AvgPool2d`: padding counts as zeros. */
const averagePool2d = pooling('averagePool2d', averagePool2dOp);

const flatten = defineLayer(v.strictObject({ type: v.literal('flatten') }), {
  outputShape: (_, input) => [sizeOf(input)],
  forward: (_, input) => reshape(input, [input.shape[0]!, -1]),
});

function activation<const Type extends string>(type: Type, fn: (x: ops.Tensor) => ops.Tensor) {
  return defineLayer(v.strictObject({ type: v.literal(type) }), { forward: (_, input) => fn(input) });
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
const leakyRelu = defineLayer(leakySchema, {
  forward: ({ slope = 0.01 }, input) => ops.leakyRelu(input, slope),
});

const dropout = defineLayer(v.strictObject({ type: v.literal('dropout'), rate: fractionBelowOne }), {
  isRandom: ({ rate }) => rate > 0,
  forward: ({ rate }, input, _, { random }) => (random === undefined ? input : dropoutOp(input, rate, random)),
});

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
  ...sequenceLayers,
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
const residual = defineLayer(residualSchema(maximumDepth - 1), {
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
});

/** The table of layers, by type. */
export const layers = { ...leafLayers, residual };

/** Returns the kind of `layer`. Call its methods only with the same layer as config. */
export function layerKind(layer: Layer): LayerKind<Layer> {
  return layers[layer.type] as LayerKind<Layer>;
}
