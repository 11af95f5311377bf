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
  return Float32Array.from(sources(layout), (source) => values[source]!);
}

/** `values` in PyTorch's order -> a new array in ours. */
export function fromTorch(values: Float32Array, layout: TorchLayout): Float32Array {
  const result = new Float32Array(values.length);
  sources(layout).forEach((target, index) => {
    result[target] = values[index]!;
  });
  return result;
}

/** For each element in PyTorch's order, its index in ours. */
function sources({ view, order }: TorchLayout): Uint32Array {
  const strides = view.map((_, axis) => sizeOf(view.slice(axis + 1)));
  let offsets = Uint32Array.of(0);
  for (const axis of order) {
    const [length, stride] = [view[axis]!, strides[axis]!];
    offsets = Uint32Array.from({ length: offsets.length * length }, (_, index) => {
      const outer = Math.floor(index / length);
      return offsets[outer]! + (index - outer * length) * stride;
    });
  }
  return offsets;
}
