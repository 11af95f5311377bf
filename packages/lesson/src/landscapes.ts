/** Losses over two parameters, as landscapes to walk down. */
import { add, fromArray, type HostBackend, mul, sub, sum, type Tensor } from '@lockstep/tensor';
import { gradientsOf } from './values.ts';

/** Computes the loss at each place, elementwise. */
export type Landscape = (x: Tensor, y: Tensor) => Tensor;

export const landscapes = {
  /** Eight times as steep along y as along x. */
  bowl: (x, y) => add(mul(mul(x, x), 0.5), mul(mul(y, y), 4)),
  /** The left valley is the deeper one. */
  'two valleys': (x, y) => {
    const valley = sub(mul(x, x), 4);
    return add(add(mul(mul(valley, valley), 0.1), mul(mul(y, y), 2)), mul(add(x, 2), 0.3));
  },
} as const satisfies Record<string, Landscape>;

export interface Places {
  readonly x: Float32Array;
  readonly y: Float32Array;
}

/** Returns the sum of the losses at several places, and the gradient at each place. */
export function slopesAt(backend: HostBackend, landscape: Landscape, { x, y }: Places) {
  const { value, gradients } = gradientsOf(
    backend,
    () => [fromArray(backend, x), fromArray(backend, y)],
    (...place) => sum(landscape(place[0]!, place[1]!)),
  );
  return { loss: value, x: gradients[0]!, y: gradients[1]! };
}
