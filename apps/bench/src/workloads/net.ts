/** The nets that the benchmarks train, and their parameters as one vector. */
import { convolution, dense, maxPool, type OracleLayer, relu } from './oracle-layers.ts';

/** Sizes of MNIST: pixels of an image, classes of digits. */
export const mnist = { pixels: 784, classes: 10 } as const;

export interface Net {
  /** Name of the built-in model in `@lockstep/nn`; a perceptron's hidden width may differ from it. */
  readonly name: 'mlp' | 'cnn';
  readonly layers: readonly OracleLayer[];
  /**
   * Shapes of the parameters, in order: weights [in, out], kernels [height, width, in, out], an image flattened as
   * [height, width, channels].
   */
  readonly shapes: readonly (readonly number[])[];
}

function netOf(name: Net['name'], ...layers: readonly OracleLayer[]): Net {
  return { name, layers, shapes: layers.flatMap(({ shapes }) => shapes) };
}

/** 784-hidden-10. */
export function perceptron(hidden: number): Net {
  return netOf('mlp', dense(mnist.pixels, hidden), relu, dense(hidden, mnist.classes));
}

export const mlpNet = perceptron(128);

/** Two 5 x 5 convolutions of 8 and 16 channels, each with ReLU and 2 x 2 max-pooling, then 10 dense units. */
export const cnnNet = netOf(
  'cnn',
  ...[convolution({ size: 28, channels: 1 }, 8, 5), relu, maxPool({ size: 28, channels: 8 })],
  ...[convolution({ size: 14, channels: 8 }, 16, 5), relu, maxPool({ size: 14, channels: 16 })],
  dense(7 * 7 * 16, mnist.classes),
);

/** Views of one vector, one for each parameter. */
export function splitParameters<Vector extends Float32Array | Float64Array>(net: Net, vector: Vector): Vector[] {
  let offset = 0;
  return net.shapes.map((shape) => {
    const start = offset;
    offset += shape.reduce((size, length) => size * length, 1);
    return vector.subarray(start, offset) as Vector;
  });
}

/** One vector from the parameters, in model order. */
export function joinParameters(parts: readonly ArrayLike<number>[]): Float32Array {
  const parameters = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    parameters.set(part, offset);
    offset += part.length;
  }
  return parameters;
}
