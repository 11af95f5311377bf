/** How PyTorch stores the values of a parameter, and conversions both ways. */
import { type Shape, sizeOf } from '@lockstep/tensor';

/** Our values reshaped to `view`, permuted by `order`, reshaped to `shape` are PyTorch's. */
export interface TorchLayout {
  /** Our shape, where an axis may be split into several. */
  readonly view: Shape;
  /** Axis i of the result is axis `order[i]` of the view. */
  readonly order: readonly number[];
  /** The shape that PyTorch gives the result. */
  readonly shape: Shape;
}

/** The same values in the same order. */
export function sameLayout(shape: Shape): TorchLayout {
  return { view: shape, order: shape.map((_, axis) => axis), shape };
}

/** `values` in our order -> a new array in PyTorch's. */
export function toTorch(values: Float32Array, layout: TorchLayout): Float32Array {
  const result = new Float32Array(values.length);
  let index = 0;
  inTorchOrder(layout, (place) => {
    result[index++] = values[place]!;
  });
  return result;
}

/** `values` in PyTorch's order -> a new array in ours. */
export function fromTorch(values: Float32Array, layout: TorchLayout): Float32Array {
  const result = new Float32Array(values.length);
  let index = 0;
  inTorchOrder(layout, (place) => {
    result[place] = values[index++]!;
  });
  return result;
}

/** Visits each element in PyTorch's order, by its index in ours; a list of all would take as much memory as they do. */
export function inTorchOrder({ view, order }: TorchLayout, visit: (place: number) => void): void {
  const axes = order.map((axis) => ({ length: view[axis]!, stride: sizeOf(view.slice(axis + 1)) }));
  const walk = (depth: number, first: number): void => {
    const axis = axes[depth];
    if (!axis) visit(first);
    else for (let step = 0; step < axis.length; step++) walk(depth + 1, first + step * axis.stride);
  };
  walk(0, 0);
}
