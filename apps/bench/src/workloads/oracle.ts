/** Training in double precision and plain loops: the reference that every candidate is compared with. */
import { type Net, splitParameters } from './net.ts';

/** A mini-batch in the format of the IDX files: pixels [samples, 784] of 0..255, labels [samples] of 0..9. */
export interface Batch {
  readonly pixels: Uint8Array;
  readonly labels: Uint8Array;
}

/** Mean cross-entropy of `batch` under `parameters`, in nats. */
export function meanLoss(net: Net, parameters: ArrayLike<number>, batch: Batch): number {
  return lossSum(net, Float64Array.from(parameters), batch, undefined) / batch.labels.length;
}

/** Gradient of the mean cross-entropy of `batch` at `parameters`, in the same layout. */
export function meanGradient(net: Net, parameters: ArrayLike<number>, batch: Batch): Float64Array {
  const sums = new Float64Array(parameters.length);
  lossSum(net, Float64Array.from(parameters), batch, sums);
  return sums.map((sum) => sum / batch.labels.length);
}

/** The parameters after `steps` steps of plain SGD from `initial`, cycling through `batches`. */
export function trainOracle(
  net: Net,
  initial: Float32Array,
  batches: readonly Batch[],
  learningRate: number,
  steps: number,
): Float64Array {
  let parameters = Float64Array.from(initial);
  for (let step = 0; step < steps; step++) {
    const gradient = meanGradient(net, parameters, batches[step % batches.length]!);
    parameters = parameters.map((parameter, index) => parameter - learningRate * gradient[index]!);
  }
  return parameters;
}

/** The summed loss of `batch`. Adds the gradient of that sum to `gradientSums`, if given. */
function lossSum(net: Net, parameters: Float64Array, batch: Batch, gradientSums: Float64Array | undefined): number {
  const { layers } = net;
  const parts = perLayer(net, parameters);
  const sums = gradientSums && perLayer(net, gradientSums);
  const size = batch.pixels.length / batch.labels.length;
  let total = 0;
  for (const [sample, label] of batch.labels.entries()) {
    const pixels = batch.pixels.subarray(sample * size, (sample + 1) * size);
    // Candidates train on float32 pixels, so the reference rounds to float32 too.
    const activations: Float64Array[] = [Float64Array.from(pixels, (pixel) => Math.fround(pixel / 255))];
    for (const [index, layer] of layers.entries()) activations.push(layer.forward(activations[index]!, parts[index]!));
    const { loss, gradient } = crossEntropy(activations.at(-1)!, label);
    total += loss;
    if (sums === undefined) continue;
    let upstream = gradient;
    for (let index = layers.length - 1; index >= 0; index--) {
      const [input, hasInputGradient] = [activations[index]!, index > 0];
      const pass = { input, upstream, parameters: parts[index]!, sums: sums[index]!, hasInputGradient };
      upstream = layers[index]!.backward(pass);
    }
  }
  return total;
}

/** Views of the parameters, or of their gradients, layer by layer. */
function perLayer(net: Net, vector: Float64Array): Float64Array[][] {
  const parts = splitParameters(net, vector);
  return net.layers.map(({ shapes }) => parts.splice(0, shapes.length));
}

/** -log softmax(logits)[label], and its gradient at the logits: softmax - one-hot. */
function crossEntropy(logits: Float64Array, label: number): { readonly loss: number; readonly gradient: Float64Array } {
  const greatest = Math.max(...logits);
  const exponentials = logits.map((logit) => Math.exp(logit - greatest));
  const total = exponentials.reduce((sum, value) => sum + value, 0);
  return {
    loss: Math.log(total) + greatest - logits[label]!,
    gradient: exponentials.map((value, index) => value / total - (index === label ? 1 : 0)),
  };
}
