/** The nets as functions of jax-js, with images [n, c, h, w] and kernels [out, in, h, w]. */
import { type Net, splitParameters } from '../../workloads/net.ts';
import type { Jax, JaxArray } from './load.ts';

/** jax-js's layout of one parameter: ours viewed as `view`, its axes permuted by `order`, reshaped to `shape`. */
function layoutOf(net: Net, shape: readonly number[]) {
  if (shape.length === 4) {
    const [height, width, inputs, outputs] = shape as readonly [number, number, number, number];
    return { view: shape, order: [3, 2, 0, 1], shape: [outputs, inputs, height, width] };
  }
  // Our flattened image is [7, 7, 16], that of jax-js is [16, 7, 7].
  if (net.name === 'cnn' && shape.length === 2) return { view: [7, 7, 16, shape[1]!], order: [2, 0, 1, 3], shape };
  return { view: shape, order: shape.map((_, axis) => axis), shape };
}

export function parametersToJax({ numpy }: Jax, net: Net, parameters: Float32Array): JaxArray[] {
  return splitParameters(net, parameters).map((values, index) => {
    const { view, order, shape } = layoutOf(net, net.shapes[index]!);
    return numpy.transpose(numpy.array(values.slice()).reshape([...view]), [...order]).reshape([...shape]);
  });
}

/** Converts arrays of jax-js to our parameters and consumes them. */
export function parametersFromJax({ numpy }: Jax, net: Net, arrays: readonly JaxArray[]): Promise<Float32Array[]> {
  const values = arrays.map(async (array, index) => {
    const { view, order } = layoutOf(net, net.shapes[index]!);
    const inverse = order.map((_, axis) => order.indexOf(axis));
    const ordered = numpy.transpose(array.reshape(order.map((axis) => view[axis]!)), inverse);
    return Float32Array.from(await ordered.data());
  });
  return Promise.all(values);
}

/** Class scores of a batch. Every use but the last of an array is a `.ref`: jax-js functions consume their arguments. */
export function logitsOf(jax: Jax, net: Net, parameters: readonly JaxArray[], images: JaxArray): JaxArray {
  const { nn, numpy } = jax;
  if (net.name === 'mlp') {
    const [weight1, bias1, weight2, bias2] = parameters;
    return numpy.matmul(nn.relu(numpy.matmul(images, weight1!).add(bias1!)), weight2!).add(bias2!);
  }
  const [kernel1, bias1, kernel2, bias2, weight, bias] = parameters;
  const stage = (input: JaxArray, kernel: JaxArray, offset: JaxArray): JaxArray => {
    const sums = jax.lax.conv(input, kernel, [1, 1], 'SAME').add(offset.reshape([-1, 1, 1]));
    return jax.lax.reduceWindow(nn.relu(sums), (window) => numpy.max(window), [2, 2], [2, 2]);
  };
  const features = stage(stage(images, kernel1!, bias1!), kernel2!, bias2!);
  return numpy.matmul(features.reshape([features.shape[0]!, -1]), weight!).add(bias!);
}
