/** Views of a model's weights: histograms of all layers, and pictures if the first layer reads pixels. */
import { layerShapes, type Model, parameterLayout } from '@lockstep/nn';
import { type Shape, sizeOf } from '@lockstep/tensor';

/** Weights by which each neuron or filter of the first layer multiplies pixels. */
export interface WeightPictures {
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
  /** Histograms of all layers. */
  readonly histograms: readonly Histogram[];
}

export interface Histogram {
  /** Name of the tensor, such as `0.weight`. */
  readonly name: string;
  readonly shape: Shape;
  /** Counts of equal bins from -`limit` to `limit`, the largest absolute value. */
  readonly counts: readonly number[];
  readonly limit: number;
}

export interface WeightHistograms {
  readonly kind: 'histograms';
  /** Why there are no pictures, in one sentence. */
  readonly reason: string;
  readonly histograms: readonly Histogram[];
}

export type WeightView = WeightPictures | WeightHistograms;

const mostPictures = 256;
const bins = 41;

/** @param sampleShape [height, width, channels] of a picture, [features] of a table row */
export function viewWeights(model: Model, sampleShape: Shape, weights: Float32Array): WeightView {
  const first = parameterLayout(model)[0];
  const geometry = first === undefined ? 'This model has no weights.' : pictureGeometry(model, sampleShape);
  const all = histograms(model, weights);
  if (typeof geometry === 'string') return { kind: 'histograms', reason: geometry, histograms: all };
  const values = weights.subarray(0, first!.size);
  const pictures = picturesOf(values, geometry);
  return { kind: 'pictures', ...geometry, values: pictures, scale: scaleOf(pictures), histograms: all };
}

type Geometry = Pick<WeightPictures, 'of' | 'count' | 'total' | 'rows' | 'columns' | 'channels'>;

/** Returns the geometry of the first layer with weights, or why its weights are not pictures. */
function pictureGeometry(model: Model, sampleShape: Shape): Geometry | string {
  const [height, width, depth] = sampleShape;
  if (height === undefined || width === undefined || depth === undefined) {
    return `A sample is a row of ${sizeOf(sampleShape)} values, so the weights of a neuron make no picture.`;
  }
  const { layer, shape } = parameterLayout(model)[0]!;
  const total = shape.at(-1)!;
  const count = Math.min(total, mostPictures);
  if (shape.length === 4) {
    const [rows, columns, channels] = shape as [number, number, number, number];
    return { of: 'filters', count, total, rows, columns, channels };
  }
  const reads = layerShapes(model)[layer]!;
  // Values keep their places only if the layers before flatten them or pass them one by one.
  if (sizeOf(reads) !== sizeOf(sampleShape)) {
    return `The first dense layer reads ${sizeOf(reads)} values that are no pixels, so its weights make no picture.`;
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
