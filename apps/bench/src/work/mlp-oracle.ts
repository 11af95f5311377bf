/** The step of 784-hidden-10, 784-128-10 where nothing else is said, in double precision and plain loops: the truth that every contender is held against. */

/** Sizes of the net. Its parameters are one vector: weight [inputs, hidden], bias, weight [hidden, classes], bias. */
export const mlp = { inputs: 784, hidden: 128, classes: 10 } as const;

const { inputs, classes } = mlp;

/** Where each parameter starts in the vector, and how long the vector is. */
export const offsets = offsetsOf(mlp.hidden);

function offsetsOf(hidden: number) {
  const bias1 = inputs * hidden;
  const weight2 = bias1 + hidden;
  const bias2 = weight2 + hidden * classes;
  return { weight1: 0, bias1, weight2, bias2, end: bias2 + classes } as const;
}

/** A mini-batch as the IDX files have it: pixels [samples, 784] of 0..255, labels [samples] of 0..9. */
export interface Batch {
  readonly pixels: Uint8Array;
  readonly labels: Uint8Array;
}

/** Mean cross-entropy of `batch` under `parameters`, in nats. */
export function meanLoss(parameters: ArrayLike<number>, batch: Batch, hidden: number = mlp.hidden): number {
  return accumulate(Float64Array.from(parameters), batch, undefined, hidden) / batch.labels.length;
}

/**
 * The parameters after `steps` steps of plain SGD from `initial`, batch after batch, the first again after the last:
 * p <- p - learningRate * (gradient of the mean cross-entropy). The gradient of cross-entropy at the logits is softmax - one-hot.
 */
export function trainMlp(
  initial: Float32Array,
  batches: readonly Batch[],
  learningRate: number,
  steps: number,
  hidden: number = mlp.hidden,
): Float64Array {
  const parameters = Float64Array.from(initial);
  const gradient = new Float64Array(initial.length);
  for (let step = 0; step < steps; step++) {
    const batch = batches[step % batches.length]!;
    gradient.fill(0);
    accumulate(parameters, batch, gradient, hidden);
    const scale = learningRate / batch.labels.length;
    for (let index = 0; index < parameters.length; index++) parameters[index]! -= scale * gradient[index]!;
  }
  return parameters;
}

/** Adds the summed gradient of `batch` to `gradient`, where one is given. Returns the summed loss. */
function accumulate(
  parameters: Float64Array,
  batch: Batch,
  gradient: Float64Array | undefined,
  hidden: number,
): number {
  const { weight1, weight2 } = offsetsOf(hidden);
  let lossSum = 0;
  for (let sample = 0; sample < batch.labels.length; sample++) {
    const input = Float64Array.from(
      batch.pixels.subarray(sample * inputs, (sample + 1) * inputs),
      // The contenders train on float32 pixels, so the truth starts from these.
      (pixel) => Math.fround(pixel / 255),
    );
    const activation = dense(parameters, weight1, input, hidden).map((value) => Math.max(0, value));
    const logits = dense(parameters, weight2, activation, classes);
    const greatest = Math.max(...logits);
    const exponentials = logits.map((logit) => Math.exp(logit - greatest));
    const total = exponentials.reduce((sum, value) => sum + value, 0);
    const label = batch.labels[sample]!;
    lossSum += Math.log(total) + greatest - logits[label]!;
    if (gradient === undefined) continue;
    const logitGradient = exponentials.map((value, index) => value / total - (index === label ? 1 : 0));
    const activationGradient = new Float64Array(hidden);
    for (let unit = 0; unit < hidden; unit++) {
      if (activation[unit] === 0) continue;
      const row = weight2 + unit * classes;
      for (let index = 0; index < classes; index++) {
        activationGradient[unit]! += parameters[row + index]! * logitGradient[index]!;
      }
    }
    addOuterProduct(gradient, weight2, activation, logitGradient);
    addOuterProduct(gradient, weight1, input, activationGradient);
  }
  return lossSum;
}

/** [n] @ weight [n, width] + bias [width], the bias lying right behind its weight. */
function dense(parameters: Float64Array, weight: number, input: Float64Array, width: number): Float64Array {
  const bias = weight + input.length * width;
  const output = parameters.slice(bias, bias + width);
  for (let row = 0; row < input.length; row++) {
    const value = input[row]!;
    if (value === 0) continue;
    for (let column = 0; column < width; column++)
      output[column]! += value * parameters[weight + row * width + column]!;
  }
  return output;
}

/** Adds the gradient of `dense`: input [n] x output [width] at the weight, output at the bias. */
function addOuterProduct(gradient: Float64Array, weight: number, input: Float64Array, output: Float64Array): void {
  const width = output.length;
  const bias = weight + input.length * width;
  for (let row = 0; row < input.length; row++) {
    const value = input[row]!;
    if (value === 0) continue;
    for (let column = 0; column < width; column++) gradient[weight + row * width + column]! += value * output[column]!;
  }
  for (let column = 0; column < width; column++) gradient[bias + column]! += output[column]!;
}
