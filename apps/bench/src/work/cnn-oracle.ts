/** The small convolutional net in double precision and plain loops: the truth that its contenders are held against. */
import { type Batch, mlp } from './mlp-oracle.ts';

/** A square image [size, size, channels] goes through a convolution that keeps its size, ReLU, and a 2 x 2 max-pooling. */
interface Stage {
  readonly size: number;
  readonly inputs: number;
  readonly outputs: number;
}

const kernelSize = 5;
const padding = 2;
const stages: readonly [Stage, Stage] = [
  { size: 28, inputs: 1, outputs: 8 },
  { size: 14, inputs: 8, outputs: 16 },
];
const features = 7 * 7 * 16;
const { classes } = mlp;

/** Kernels [height, width, in, out] and a dense weight [in, out], each with its bias. The image is flattened as [height, width, channels]. */
export const cnnShapes: readonly (readonly number[])[] = [
  ...stages.flatMap(({ inputs, outputs }) => [[kernelSize, kernelSize, inputs, outputs], [outputs]]),
  [features, classes],
  [classes],
];

/** Mean cross-entropy of `batch` under `parameters`, in nats. */
export function meanCnnLoss(parameters: ArrayLike<number>, batch: Batch): number {
  return accumulate(split(Float64Array.from(parameters)), batch, undefined) / batch.labels.length;
}

/** As `trainMlp`: p <- p - learningRate * (gradient of the mean cross-entropy). */
export function trainCnn(
  initial: Float32Array,
  batches: readonly Batch[],
  learningRate: number,
  steps: number,
): Float64Array {
  const parameters = Float64Array.from(initial);
  for (let step = 0; step < steps; step++) {
    const batch = batches[step % batches.length]!;
    const gradient = new Float64Array(parameters.length);
    accumulate(split(parameters), batch, split(gradient));
    const scale = learningRate / batch.labels.length;
    for (let index = 0; index < parameters.length; index++) parameters[index]! -= scale * gradient[index]!;
  }
  return parameters;
}

type Parts = readonly [Float64Array, Float64Array, Float64Array, Float64Array, Float64Array, Float64Array];

function split(parameters: Float64Array): Parts {
  let offset = 0;
  return cnnShapes.map((shape) => {
    const start = offset;
    offset += shape.reduce((size, length) => size * length, 1);
    return parameters.subarray(start, offset);
  }) as unknown as Parts;
}

/** Adds the summed gradient of `batch` to `gradient`, where one is given. Returns the summed loss. */
function accumulate(parameters: Parts, batch: Batch, gradient: Parts | undefined): number {
  const [kernel1, bias1, kernel2, bias2, weight, bias] = parameters;
  const pixels = mlp.inputs;
  let lossSum = 0;
  for (const [sample, label] of batch.labels.entries()) {
    const image = Float64Array.from(batch.pixels.subarray(sample * pixels, (sample + 1) * pixels), (pixel) =>
      Math.fround(pixel / 255),
    );
    const first = pool(stages[0], convolve(stages[0], image, kernel1, bias1));
    const second = pool(stages[1], convolve(stages[1], first.values, kernel2, bias2));
    const logits = bias.slice();
    for (let row = 0; row < features; row++) {
      for (let c = 0; c < classes; c++) logits[c]! += second.values[row]! * weight[row * classes + c]!;
    }
    const greatest = Math.max(...logits);
    const exponentials = logits.map((logit) => Math.exp(logit - greatest));
    const total = exponentials.reduce((sum, value) => sum + value, 0);
    lossSum += Math.log(total) + greatest - logits[label]!;
    if (gradient === undefined) continue;
    const logitGradient = exponentials.map((value, c) => value / total - (c === label ? 1 : 0));
    const featureGradient = new Float64Array(features);
    for (let row = 0; row < features; row++) {
      for (let c = 0; c < classes; c++) {
        featureGradient[row]! += weight[row * classes + c]! * logitGradient[c]!;
        gradient[4][row * classes + c]! += second.values[row]! * logitGradient[c]!;
      }
    }
    for (let c = 0; c < classes; c++) gradient[5][c]! += logitGradient[c]!;
    const secondGradient = unpool(stages[1], second, featureGradient);
    const firstGradient = new Float64Array(first.values.length);
    convolveBack(stages[1], first.values, secondGradient, kernel2, gradient[2], gradient[3], firstGradient);
    convolveBack(
      stages[0],
      image,
      unpool(stages[0], first, firstGradient),
      kernel1,
      gradient[0],
      gradient[1],
      undefined,
    );
  }
  return lossSum;
}

/** Calls `visit` with where each pair of a pixel and a kernel's place begins: input row, kernel row, output row. */
function eachTap(
  { size, inputs, outputs }: Stage,
  visit: (input: number, kernel: number, output: number) => void,
): void {
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      for (let dy = 0; dy < kernelSize; dy++) {
        for (let dx = 0; dx < kernelSize; dx++) {
          const [row, column] = [y + dy - padding, x + dx - padding];
          if (row < 0 || row >= size || column < 0 || column >= size) continue;
          visit((row * size + column) * inputs, (dy * kernelSize + dx) * inputs * outputs, (y * size + x) * outputs);
        }
      }
    }
  }
}

function convolve(stage: Stage, image: Float64Array, kernel: Float64Array, bias: Float64Array): Float64Array {
  const { size, inputs, outputs } = stage;
  const result = Float64Array.from({ length: size * size * outputs }, (_, index) => bias[index % outputs]!);
  eachTap(stage, (from, tap, to) => {
    for (let i = 0; i < inputs; i++) {
      const value = image[from + i]!;
      if (value === 0) continue;
      for (let o = 0; o < outputs; o++) result[to + o]! += value * kernel[tap + i * outputs + o]!;
    }
  });
  return result;
}

/** Adds to the gradients of kernel, bias and, where one is given, image. */
function convolveBack(
  stage: Stage,
  image: Float64Array,
  gradient: Float64Array,
  kernel: Float64Array,
  kernelGradient: Float64Array,
  biasGradient: Float64Array,
  imageGradient: Float64Array | undefined,
): void {
  const { inputs, outputs } = stage;
  for (let index = 0; index < gradient.length; index++) biasGradient[index % outputs]! += gradient[index]!;
  eachTap(stage, (from, tap, to) => {
    for (let i = 0; i < inputs; i++) {
      const row = tap + i * outputs;
      const value = image[from + i]!;
      let sum = 0;
      for (let o = 0; o < outputs; o++) {
        const slope = gradient[to + o]!;
        kernelGradient[row + o]! += value * slope;
        sum += kernel[row + o]! * slope;
      }
      if (imageGradient !== undefined) imageGradient[from + i]! += sum;
    }
  });
}

interface Pooled {
  /** [size / 2, size / 2, channels], after ReLU. */
  readonly values: Float64Array;
  /** Where each came from; the first of equals. */
  readonly winners: Int32Array;
}

/** ReLU and then the greatest of each 2 x 2 window. */
function pool({ size, outputs }: Stage, image: Float64Array): Pooled {
  const half = size / 2;
  const values = new Float64Array(half * half * outputs);
  const winners = new Int32Array(values.length);
  for (let index = 0; index < values.length; index++) {
    const channel = index % outputs;
    const place = (index - channel) / outputs;
    const corner = (2 * Math.floor(place / half) * size + 2 * (place % half)) * outputs + channel;
    const window = [corner, corner + outputs, corner + size * outputs, corner + (size + 1) * outputs];
    const winner = window.reduce((best, at) => (Math.max(0, image[at]!) > Math.max(0, image[best]!) ? at : best));
    winners[index] = winner;
    values[index] = Math.max(0, image[winner]!);
  }
  return { values, winners };
}

/** The gradient of `pool`: each goes back to its winner, unless ReLU held that at 0. */
function unpool({ size, outputs }: Stage, { values, winners }: Pooled, gradient: Float64Array): Float64Array {
  const result = new Float64Array(size * size * outputs);
  for (let index = 0; index < gradient.length; index++) {
    if (values[index]! > 0) result[winners[index]!]! += gradient[index]!;
  }
  return result;
}
