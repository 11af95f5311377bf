/** The nets as functions of jax-js, and their parameters in the order of axes that it takes: images [n, c, h, w], kernels [out, in, h, w]. */
import type { Net } from '../../work/net.ts';
import type { Jax, JaxArray } from './load.ts';

/** How one parameter is kept: as `view` of our values, its axes in `order`, in `shape`. */
interface Kept {
  readonly view: readonly number[];
  readonly order: readonly number[];
  readonly shape: readonly number[];
}

function keptAs(net: Net, index: number): Kept {
  const shape = net.shapes[index]!;
  if (shape.length === 4) {
    const [height, width, inputs, outputs] = shape as readonly [number, number, number, number];
    return { view: shape, order: [3, 2, 0, 1], shape: [outputs, inputs, height, width] };
  }
  // Our flattened image is [7, 7, 16], theirs [16, 7, 7].
  if (net.name === 'cnn' && shape.length === 2) return { view: [7, 7, 16, shape[1]!], order: [2, 0, 1, 3], shape };
  return { view: shape, order: shape.map((_, axis) => axis), shape };
}

/** Our values of parameter `index` as an array of jax-js. */
export function toJax({ numpy }: Jax, net: Net, index: number, values: Float32Array<ArrayBuffer>): JaxArray {
  const { view, order, shape } = keptAs(net, index);
  return numpy.transpose(numpy.array(values).reshape([...view]), [...order]).reshape([...shape]);
}

/** The values of parameter `index` in our order; takes `array`. */
export async function fromJax({ numpy }: Jax, net: Net, index: number, array: JaxArray): Promise<Float32Array> {
  const { view, order } = keptAs(net, index);
  const turned = array.reshape(order.map((axis) => view[axis]!));
  const back = order.map((_, axis) => order.indexOf(axis));
  return Float32Array.from(await numpy.transpose(turned, back).data());
}

/** Class scores of a batch. Every use but the last of an array is a `.ref`: jax-js functions own what they are given. */
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
