/** PyTorch's memory layout of parameters, and conversions to and from it. */
import { type Shape, sizeOf } from '@lockstep/tensor';

/** Our values reshaped to `view`, permuted by `order` and reshaped to `shape` are in PyTorch's layout. */
export interface TorchLayout {
  /** Our shape, in which an axis may be split into several. */
  readonly view: Shape;
  /** Axis i of the result is axis `order[i]` of the view. */
  readonly order: readonly number[];
  /** The parameter's shape in PyTorch. */
  readonly shape: Shape;
}

/** Returns the layout of a parameter whose order of values is the same in PyTorch. */
export function sameLayout(shape: Shape): TorchLayout {
  return { view: shape, order: shape.map((_, axis) => axis), shape };
}

/** Converts `values` from our order to a new array in PyTorch's. */
export function toTorch(values: Float32Array, layout: TorchLayout): Float32Array {
  const result = new Float32Array(values.length);
  let index = 0;
  inTorchOrder(layout, (place) => {
    result[index++] = values[place]!;
  });
  return result;
}

/** Converts `values` from PyTorch's order to a new array in ours. */
export function fromTorch(values: Float32Array, layout: TorchLayout): Float32Array {
  const result = new Float32Array(values.length);
  let index = 0;
  inTorchOrder(layout, (place) => {
    result[place] = values[index++]!;
  });
  return result;
}

/** Visits each element's index in our order, in PyTorch's order; avoids a list of indices as large as the values. */
export function inTorchOrder({ view, order }: TorchLayout, visit: (place: number) => void): void {
  const axes = order.map((axis) => ({ length: view[axis]!, stride: sizeOf(view.slice(axis + 1)) }));
  const walk = (depth: number, first: number): void => {
    const axis = axes[depth];
    if (!axis) visit(first);
    else for (let step = 0; step < axis.length; step++) walk(depth + 1, first + step * axis.stride);
  };
  walk(0, 0);
}
