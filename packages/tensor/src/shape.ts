/** Shapes of dense row-major tensors: sizes, strides and PyTorch's broadcasting rules. */
import { checkArgument, isWholeNumber, list, shown } from './arguments.ts';

/** Sizes from the outermost axis to the innermost; `[]` is a scalar, a size of 0 makes a tensor empty. */
export type Shape = readonly number[];

/** Error for shapes that do not fit; its message names the op, the shapes and the sizes that differ. */
export class ShapeError extends Error {
  override name = 'ShapeError';
}

/** Makes a ShapeError that names the expected and the actual shapes. */
export function unexpectedShapes(expected: string, ...got: readonly Shape[]): ShapeError {
  return new ShapeError(`${expected}, got ${got.map(formatShape).join(' and ')}`);
}

/** Formats a shape for messages, such as `[2, 3]`. */
export function formatShape(shape: Shape): string {
  return Array.isArray(shape) ? `[${shape.join(', ')}]` : shown(shape);
}

/** Returns the number of values in a tensor of this shape; 1 for a scalar. */
export function sizeOf(shape: Shape): number {
  let size = 1;
  for (const length of shape) size *= length;
  return size;
}

export function sameShape(left: Shape, right: Shape): boolean {
  return left.length === right.length && left.every((length, axis) => length === right[axis]);
}

/** As many float32 values as WebAssembly can address. */
const maxElements = 2 ** 30;

/** Throws unless the shape is a list of whole numbers of at least 0 with at most `maxElements` elements. */
export function checkShape(operation: string, shape: Shape): void {
  checkArgument(operation, 'the shape', shape, list);
  if (!shape.every((length) => isWholeNumber(length))) {
    throw unexpectedShapes(`${operation}: a size must be a whole number of at least 0`, shape);
  }
  if (sizeOf(shape) > maxElements) {
    throw unexpectedShapes(`${operation}: a tensor has at most ${maxElements} elements`, shape);
  }
}

/** Returns the distance in elements between neighbors along each axis of a contiguous tensor. */
export function contiguousStrides(shape: Shape): number[] {
  const strides = new Array<number>(shape.length);
  let stride = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    strides[axis] = stride;
    stride *= shape[axis]!;
  }
  return strides;
}

/**
 * Returns the common shape of operands aligned at their last axes: sizes must be equal, or one of them 1.
 * @throws ShapeError naming the first axis, counted from the end, whose sizes differ.
 */
export function broadcastShapes(operation: string, shapes: readonly Shape[]): Shape {
  const rank = Math.max(0, ...shapes.map((shape) => shape.length));
  const result = new Array<number>(rank).fill(1);
  for (const shape of shapes) {
    for (let fromEnd = 1; fromEnd <= shape.length; fromEnd++) {
      const length = shape[shape.length - fromEnd]!;
      const sofar = result[rank - fromEnd]!;
      if (length === sofar || length === 1) continue;
      if (sofar !== 1) {
        throw new ShapeError(
          `${operation}: ${shapes.map(formatShape).join(' and ')} do not broadcast: sizes ${sofar} and ${length} differ at axis -${fromEnd}, and neither is 1`,
        );
      }
      result[rank - fromEnd] = length;
    }
  }
  return result;
}

/** Returns the strides that read a contiguous tensor of `shape` as `target`: 0 along repeated axes. */
export function broadcastStrides(shape: Shape, target: Shape): number[] {
  const own = contiguousStrides(shape);
  const missing = target.length - shape.length;
  return target.map((_, axis) => (axis < missing || shape[axis - missing] === 1 ? 0 : own[axis - missing]!));
}

/**
 * Converts axes counted from either end to ascending nonnegative axes; `undefined` means all axes.
 * @throws ShapeError if an axis does not exist or is named twice.
 */
export function normalizeAxes(operation: string, shape: Shape, axes: readonly number[] | undefined): number[] {
  if (axes === undefined) return shape.map((_, axis) => axis);
  checkArgument(operation, 'axes', axes, list);
  const positive = axes.map((axis) => {
    if (!Number.isInteger(axis) || axis < -shape.length || axis >= shape.length) {
      throw new ShapeError(`${operation}: axis ${shown(axis)} does not exist in ${formatShape(shape)}`);
    }
    return axis < 0 ? axis + shape.length : axis;
  });
  const unique = [...new Set(positive)].sort((left, right) => left - right);
  if (unique.length !== positive.length) {
    throw new ShapeError(`${operation}: axes ${formatShape(axes)} name an axis of ${formatShape(shape)} twice`);
  }
  return unique;
}

/** Returns `shape` without `axes`, or with size 1 in their place. */
export function reducedShape(shape: Shape, axes: readonly number[], keepAxes: boolean): number[] {
  const removed = new Set(axes);
  if (keepAxes) return shape.map((length, axis) => (removed.has(axis) ? 1 : length));
  return shape.filter((_, axis) => !removed.has(axis));
}
