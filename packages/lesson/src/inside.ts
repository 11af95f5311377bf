/** The view of a live network: its parts, the pictures of its weights, and one sample traced through it and back. */
import type { SampleValues, Standardization } from '@lockstep/data';
import {
  byteDivisor,
  everyLayer,
  forward,
  losses,
  type Model,
  type PlacedLayer,
  parameterLayout,
  probabilitiesOf,
  restoreValues,
} from '@lockstep/nn';
import {
  add,
  fromArray,
  type HostBackend,
  type Shape,
  sizeOf,
  sum,
  type Tensor,
  tidy,
  valueAndGrad,
  zeros,
} from '@lockstep/tensor';
import { bars, decimal, type Exhibit, type Plane, percent, shapeText, sixDigits, table, thousands } from './exhibit.ts';
import { attentionMaps, meanOf } from './values.ts';

export interface InsidePart {
  /** Name in addresses. */
  readonly id: 'weights' | 'sample' | 'activations' | 'gradient' | 'text';
  readonly title: string;
  /** Marks terms as chapters do. */
  readonly text: string;
  /** Ids of the chapters that explain the part. */
  readonly chapters: readonly string[];
}

export const insideParts: readonly InsidePart[] = [
  {
    id: 'weights',
    title: 'Weights',
    text: 'A run begins with random weights, and each step changes them a little.',
    chapters: ['dot-product', 'neuron', 'layers', 'initialization', 'training-loop'],
  },
  {
    id: 'sample',
    title: 'One sample',
    text: 'This tab computes everything below for this one sample, with the [[weight|weights]] above. The [[loss]] compares the prediction with the label of the sample.',
    chapters: [],
  },
  {
    id: 'activations',
    title: 'Activations, layer by layer',
    text: 'The [[forward pass]]: each layer reads the output of the layer before it. A neuron that [[relu]] sets to 0 takes no part in the answer. The last layer gives the prediction: a number, or a [[logit]] for each class, which the [[softmax]] turns into probabilities.',
    chapters: ['forward-pass', 'activations', 'softmax', 'matrix-product'],
  },
  {
    id: 'gradient',
    title: 'The gradient, layer by layer',
    text: 'The gradient says for each [[parameter]] how much the [[loss]] rises when the parameter grows a little. One pass back through the layers computes it. In a [[dense layer]] the weights of an input at 0, and those of a [[neuron]] at 0, have a [[gradient]] of 0: this sample does not change them.',
    chapters: ['back-propagation', 'cross-entropy'],
  },
  {
    id: 'text',
    title: 'One text',
    text: 'This tab computes everything below for this text. In a map of attention, the row of a token shows how much that token reads of each token before it. The [[softmax]] turns the last scores into probabilities of the next token. Tokens that the model treats alike have embeddings near each other.',
    chapters: ['embedding', 'attention', 'transformer'],
  },
];

/** Returns the parts that show a chapter's subject in a live network. */
export function partsOfChapter(chapterId: string): readonly InsidePart[] {
  return insideParts.filter(({ chapters }) => chapters.includes(chapterId));
}

/** A sample of a task, with the index of its class or with its target values. */
export interface LabeledSample {
  readonly values: SampleValues;
  /** Class index, or target values, which are standardized if the run's are. */
  readonly target: number | Float32Array;
}

/** The weights or biases of a layer, and the size of the gradient with respect to them. */
export interface ParameterTrace {
  /** Name as in a model file, such as `0.weight`. */
  readonly name: string;
  readonly shape: Shape;
  /** Index of the first element in the flat parameters, and number of elements. */
  readonly offset: number;
  readonly size: number;
  /** Euclidean norm of the gradient. */
  readonly norm: number;
  /** Number of gradient elements that are 0. */
  readonly zeros: number;
}

export interface LayerTrace {
  readonly type: string;
  /** Shape of the layer's output for one sample. */
  readonly shape: Shape;
  readonly values: Float32Array;
  /** Gradient of the loss with respect to `values`. */
  readonly gradient: Float32Array;
  readonly parameters: readonly ParameterTrace[];
}

export interface SampleTrace {
  /** Values as the first layer reads them. */
  readonly input: Float32Array;
  readonly layers: readonly LayerTrace[];
  /** Label or target values of the sample. */
  readonly target: LabeledSample['target'];
  /** Softmax of the last layer's values; undefined if the target is values. */
  readonly probabilities: readonly number[] | undefined;
  readonly loss: number;
  /** Gradient of the loss with respect to all parameters, in model order. */
  readonly gradient: Float32Array;
}

/**
 * Runs one sample forward and back, without dropout.
 * @param weights all parameters in model order
 * @throws Error if the sizes do not match the model
 */
export function traceSample(
  backend: HostBackend,
  model: Model,
  weights: Float32Array,
  { values, target }: LabeledSample,
): SampleTrace {
  return tidy(() => {
    const x = inputTensor(backend, model, values);
    const parameters = parameterTensors(backend, model, weights);
    /** Each layer with its output, in the order of the forward pass. */
    const passed: { readonly layer: PlacedLayer; readonly output: Tensor }[] = [];
    // Zeros are added to every output, so that one backward pass also gives the gradient with respect to each output.
    const every = everyLayer(model);
    const paths = every.map(({ path }) => path);
    const additions = every.map(({ output }) => zeros(backend, [1, ...output]));
    const { value, gradients } = valueAndGrad(
      (...all) => {
        const pass = (output: Tensor, layer: PlacedLayer): Tensor => {
          passed.push({ layer, output });
          return add(output, all[parameters.length + paths.indexOf(layer.path)]!);
        };
        return sampleLoss(forward(model, x, all.slice(0, parameters.length), { pass }), target);
      },
      [...parameters, ...additions],
    );
    const read = ({ storage }: Tensor): Float32Array => backend.view(storage).slice();
    const gradient = new Float32Array(weights.length);
    for (const [index, { offset }] of parameterLayout(model).entries()) gradient.set(read(gradients[index]!), offset);
    return {
      input: read(x),
      layers: passed.map(({ layer, output }) => ({
        type: layer.layer.type,
        shape: layer.output,
        values: read(output),
        gradient: read(gradients[parameters.length + paths.indexOf(layer.path)]!),
        parameters: parameterTraces(layer, gradient),
      })),
      target,
      probabilities: typeof target === 'number' ? probabilitiesOf(read(passed.at(-1)!.output)) : undefined,
      loss: read(value)[0]!,
      gradient,
    };
  });
}

/** Maximum number of tokens of a text in its attention maps. */
const mostTextTokens = 32;
const mostEmbeddings = 128;

/**
 * Shows what a model of text computes after these tokens: attention per layer and head, probabilities of the next token,
 * and the embeddings of the first tokens of the vocabulary.
 * @param names of all tokens
 */
export function textExhibits(
  backend: HostBackend,
  model: Model,
  weights: Float32Array,
  text: readonly number[],
  names: readonly string[],
): readonly Exhibit[] {
  return tidy(() => {
    const context = model.input[0]!;
    const own = text.slice(-Math.min(context, mostTextTokens));
    // A position sees none after it, so the tokens that fill the context change nothing.
    const x = fromArray(backend, [...own, ...new Array<number>(context - own.length).fill(0)], [1, context]);
    const seen: Tensor[] = [];
    const attend = (probabilities: Tensor): void => void seen.push(probabilities);
    const scores = backend.view(forward(model, x, parameterTensors(backend, model, weights), { attend }).storage);
    const next = scores.subarray((own.length - 1) * names.length, own.length * names.length);
    const tokens = own.map((token) => names[token]!);
    const attention = seen.map((probabilities, layer): Exhibit => {
      const maps = attentionMaps(backend.view(probabilities.storage), context, own.length);
      const labeled = maps.map((weights, head) => ({ label: `head ${head + 1}`, weights }));
      return { kind: 'attention', caption: `Attention in block ${layer + 1}`, tokens, maps: labeled };
    });
    return [...attention, probabilityBars(probabilitiesOf(next), names), embeddingPlane(model, weights, names)];
  });
}

/** Shows embeddings along the two directions in which they differ most. */
function embeddingPlane(model: Model, weights: Float32Array, names: readonly string[]): Plane {
  const width = parameterLayout(model)[0]!.shape[1]!;
  const labels = names.slice(0, mostEmbeddings);
  const rows = labels.map((_, token) => weights.subarray(token * width, (token + 1) * width));
  const means = Array.from({ length: width }, (_, axis) => meanOf(rows.map((row) => row[axis]!)));
  const centered = rows.map((row) => Array.from(row, (value, axis) => value - means[axis]!));
  const first = mainDirection(centered, []);
  const directions = [first, mainDirection(centered, [first])];
  const places = centered.map((row) => directions.map((direction) => dot(row, direction)));
  const end = 1.1 * Math.max(...places.flat().map(Math.abs)) || 1;
  return {
    kind: 'plane',
    caption: 'Embeddings of the tokens, along the two directions in which they differ most',
    ...{ x: [-end, end], y: [-end, end], showsLabels: true },
    points: places.map(([x, y], token) => ({ x: x!, y: y!, label: labels[token]!, isOn: true })),
  };
}

/** Returns the unit vector along which rows vary most, at right angles to others, by the power method. */
function mainDirection(rows: readonly number[][], others: readonly number[][]): number[] {
  // An irregular start is at right angles to no direction.
  let direction = rows[0]!.map((_, axis) => Math.sin(axis + 1));
  for (let round = 0; round < 60; round++) {
    const along = rows.map((row) => dot(row, direction));
    let next = direction.map((_, axis) => rows.reduce((total, row, index) => total + row[axis]! * along[index]!, 0));
    for (const other of others) {
      const shared = dot(next, other);
      next = next.map((value, axis) => value - shared * other[axis]!);
    }
    const length = Math.hypot(...next) || 1;
    direction = next.map((value) => value / length);
  }
  return direction;
}

function dot(left: readonly number[], right: readonly number[]): number {
  return left.reduce((total, value, index) => total + value * right[index]!, 0);
}

/** Returns [1, ...input], with bytes scaled as in training. */
function inputTensor(backend: HostBackend, { input }: Model, values: SampleValues): Tensor {
  const shape = [1, ...input];
  if (!(values instanceof Uint8Array)) return fromArray(backend, values, shape);
  const tensor = zeros(backend, shape);
  if (values.length !== tensor.size) throw new Error(`sample: expected ${tensor.size} bytes, got ${values.length}`);
  backend.uploadBytes(tensor.storage, values, byteDivisor);
  return tensor;
}

function parameterTensors(backend: HostBackend, model: Model, weights: Float32Array): Tensor[] {
  const layout = parameterLayout(model);
  const count = layout.reduce((total, { size }) => total + size, 0);
  if (weights.length !== count) throw new Error(`weights: expected ${count} values, got ${weights.length}`);
  return layout.map(({ offset, size, shape }) => fromArray(backend, weights.subarray(offset, offset + size), shape));
}

/** Returns the loss that training minimizes, for outputs [1, outputs]. */
function sampleLoss(outputs: Tensor, target: LabeledSample['target']): Tensor {
  const { backend, shape } = outputs;
  if (typeof target === 'number') return sum(losses.index.each(outputs, fromArray(backend, [target])));
  const count = shape[1]!;
  if (target.length !== count) throw new Error(`target: expected ${count} values, got ${target.length}`);
  return sum(losses.value.each(outputs, fromArray(backend, target, shape)));
}

function parameterTraces({ parameters }: PlacedLayer, gradient: Float32Array): ParameterTrace[] {
  return parameters.map(({ name, shape, offset, size }) => {
    const own = gradient.subarray(offset, offset + size);
    return { name, shape, offset, size, norm: normOf(own), zeros: own.filter((value) => value === 0).length };
  });
}

/** Returns the Euclidean norm, computed in float64. */
function normOf(values: Float32Array): number {
  return Math.sqrt(values.reduce((total, value) => total + value * value, 0));
}

/** Shows the norm of the gradient for each parameter tensor, and how many of its elements are 0. */
export function gradientTable({ layers }: SampleTrace): Exhibit {
  const rows = layers.flatMap(({ type, parameters }) =>
    parameters.map(({ name, shape, size, norm, zeros }) => [
      `${type}, ${name}`,
      shapeText(shape),
      decimal(norm, 4),
      `${thousands(zeros)} of ${thousands(size)}`,
      percent(zeros / size),
    ]),
  );
  return table('The gradient for the parameters', ['layer', 'shape', 'norm', 'zeros', 'share'], rows);
}

/** Maximum rows of a table over outputs, of which there may be thousands. */
const mostRows = 20;

/** Shows the prediction next to the target, in the unit of the values, for a sample whose target is values. */
export function predictionTable(
  { layers, target }: SampleTrace,
  names: readonly string[],
  standardization: Standardization | undefined,
): Exhibit {
  const predicted = restoreValues(layers.at(-1)!.values, standardization);
  const right = restoreValues(target as Float32Array, standardization);
  const rows = Array.from(right, (value, index) => [
    names[index] ?? `${index}`,
    ...[predicted[index]!, value, predicted[index]! - value].map((number) => sixDigits(number)),
  ]);
  return table(
    'The prediction against the target',
    ['value', 'prediction', 'target', 'off by'],
    rows.slice(0, mostRows),
  );
}

/** Shows outputs, such as logits, as bars. */
export function outputBars(caption: string, values: ArrayLike<number>, names: readonly string[]): Exhibit {
  return bars(
    caption,
    Array.from(values, (value, index) => ({ label: names[index] ?? `${index}`, value, text: decimal(value, 2) })),
  );
}

/** Number of classes shown one by one if not all fit in a table. */
const mostProbabilities = 10;

/** Shows the probability of each class; if there are many, only of the most likely ones, and the sum of the others. */
export function probabilityBars(values: readonly number[], names: readonly string[]): Exhibit {
  const all = values.map((value, index) => ({ label: names[index] ?? `${index}`, value, text: percent(value) }));
  const caption = 'The softmax, whose sum is 1';
  if (all.length <= mostRows) return bars(caption, all, true);
  const likeliest = all.toSorted((left, right) => right.value - left.value);
  const value = likeliest.slice(mostProbabilities).reduce((sum, bar) => sum + bar.value, 0);
  const others = { label: `${thousands(all.length - mostProbabilities)} others`, value, text: percent(value) };
  return bars(caption, [...likeliest.slice(0, mostProbabilities), others], true);
}

interface WeightFacts {
  /** Sentence that describes the first layer. */
  readonly text: string;
  readonly histograms: readonly Histogram[];
}

/** Weights by which each neuron or filter of the first layer multiplies pixels. */
export interface WeightPictures extends WeightFacts {
  readonly kind: 'pictures';
  readonly of: 'neurons' | 'filters';
  /** Number of pictures here, and number of all neurons or filters. */
  readonly count: number;
  readonly total: number;
  readonly rows: number;
  readonly columns: number;
  /** Channels of a pixel; the pictures show the mean over them. */
  readonly channels: number;
  /** [count, rows, columns] */
  readonly values: Float32Array;
  /** Absolute value that gets the full color: 99 % of the values are smaller. */
  readonly scale: number;
}

export interface Histogram {
  /** Name of the tensor, such as `0.weight`. */
  readonly name: string;
  readonly shape: Shape;
  /** Counts of equal bins from -`limit` to `limit`, the largest absolute value. */
  readonly counts: readonly number[];
  readonly limit: number;
}

export interface WeightHistograms extends WeightFacts {
  readonly kind: 'histograms';
}

export type WeightView = WeightPictures | WeightHistograms;

const mostPictures = 256;
const bins = 41;

/** @param sampleShape [height, width, channels] of a picture, [features] of a table row */
export function viewWeights(model: Model, sampleShape: Shape, weights: Float32Array): WeightView {
  const first = everyLayer(model).find(({ parameters }) => parameters.length > 0);
  const geometry = first === undefined ? 'This model has no weights.' : pictureGeometry(first, sampleShape);
  const all = histograms(model, weights);
  if (typeof geometry === 'string') return { kind: 'histograms', text: geometry, histograms: all };
  const values = weights.subarray(0, first!.parameters[0]!.size);
  const pictures = picturesOf(values, geometry);
  const text =
    'The first layer multiplies the pixels by these numbers. Patterns appear that help to predict the label.';
  return { kind: 'pictures', text, ...geometry, values: pictures, scale: scaleOf(pictures), histograms: all };
}

type Geometry = Pick<WeightPictures, 'of' | 'count' | 'total' | 'rows' | 'columns' | 'channels'>;

/** Returns the geometry of the first layer with weights, or what it does if its weights are not pictures. */
function pictureGeometry(first: PlacedLayer, sampleShape: Shape): Geometry | string {
  if (first.layer.type === 'embedding') return 'The first layer has a vector for each token: its embedding.';
  const [height, width, depth] = sampleShape;
  if (height === undefined || width === undefined || depth === undefined) {
    return 'Each neuron of the first layer multiplies its inputs by its own weights.';
  }
  const { parameters, input } = first;
  const { shape } = parameters[0]!;
  const total = shape.at(-1)!;
  const count = Math.min(total, mostPictures);
  if (shape.length === 4) {
    const [rows, columns, channels] = shape as [number, number, number, number];
    return { of: 'filters', count, total, rows, columns, channels };
  }
  // Values keep their places only if the layers before flatten them or pass them one by one.
  if (sizeOf(input) !== sizeOf(sampleShape)) {
    return `The first dense layer reads ${sizeOf(input)} values that are not pixels, so its weights make no picture.`;
  }
  return { of: 'neurons', count, total, rows: height, columns: width, channels: depth };
}

/** Converts [rows, columns, channels, total] to [count, rows, columns], the mean over channels. */
function picturesOf(values: Float32Array, { count, total, rows, columns, channels }: Geometry): Float32Array {
  const pixels = rows * columns;
  const pictures = new Float32Array(count * pixels);
  for (let picture = 0; picture < count; picture++) {
    for (let pixel = 0; pixel < pixels; pixel++) {
      let sum = 0;
      for (let channel = 0; channel < channels; channel++)
        sum += values[(pixel * channels + channel) * total + picture]!;
      pictures[picture * pixels + pixel] = sum / channels;
    }
  }
  return pictures;
}

function scaleOf(values: Float32Array): number {
  const sizes = values.map(Math.abs).sort();
  return sizes[Math.floor(0.99 * (sizes.length - 1))]! || 1;
}

function histograms(model: Model, weights: Float32Array): Histogram[] {
  return parameterLayout(model).map(({ name, shape, offset, size }) => {
    const values = weights.subarray(offset, offset + size);
    const limit = values.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0);
    const counts = new Array<number>(bins).fill(0);
    for (const value of values) {
      const part = limit === 0 ? 0.5 : (value / limit + 1) / 2;
      counts[Math.min(bins - 1, Math.floor(part * bins))]!++;
    }
    return { name, shape, counts, limit };
  });
}
