/** The nets that the bench trains: their parameters, and the truth that contenders are held against. */
import { cnnShapes, meanCnnLoss, trainCnn } from './cnn-oracle.ts';
import type { Batch } from './mlp-oracle.ts';
import { meanLoss, mlp, trainMlp } from './mlp-oracle.ts';

export interface Net {
  /** Its form: dense layers with a ReLU between them, or the convolutional net. `@lockstep/nn` has a model of that name. */
  readonly name: 'mlp' | 'cnn';
  /** Shapes of the parameters, which follow one another in one vector: dense weights [in, out], kernels [height, width, in, out]. */
  readonly shapes: readonly (readonly number[])[];
  /** The parameters after `steps` steps of plain SGD in double precision, batch after batch, the first again after the last. */
  train(initial: Float32Array, batches: readonly Batch[], learningRate: number, steps: number): Float64Array;
  /** Mean cross-entropy of `batch`, in nats. */
  meanLoss(parameters: ArrayLike<number>, batch: Batch): number;
}

/** 784-hidden-10. */
export function perceptron(hidden: number): Net {
  return {
    name: 'mlp',
    shapes: [[mlp.inputs, hidden], [hidden], [hidden, mlp.classes], [mlp.classes]],
    train: (initial, batches, learningRate, steps) => trainMlp(initial, batches, learningRate, steps, hidden),
    meanLoss: (parameters, batch) => meanLoss(parameters, batch, hidden),
  };
}

export const mlpNet: Net = perceptron(mlp.hidden);

export const cnnNet: Net = { name: 'cnn', shapes: cnnShapes, train: trainCnn, meanLoss: meanCnnLoss };

/** Number of values in a tensor of this shape. */
export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((size, length) => size * length, 1);
}

/** The parameters of a net as views of one vector. */
export function splitParameters(net: Net, parameters: Float32Array): readonly Float32Array[] {
  let offset = 0;
  return net.shapes.map((shape) => {
    const start = offset;
    offset += sizeOf(shape);
    return parameters.subarray(start, offset);
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
