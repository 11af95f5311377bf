/** Shapes of dense row-major tensors: sizes, strides, PyTorch's broadcasting rules, and windows that slide over images. */
import { checkArgument, isWholeNumber, type Kind, list, number, shown } from './arguments.ts';

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
  return Array.isArray(shape) ? `[${shape.map(shown).join(', ')}]` : shown(shape);
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

/**
 * Windows over images [images, height, width, channels].
 * Window (y, x) of an image covers the rows from `y * strideHeight - paddingHeight` on and the columns from
 * `x * strideWidth - paddingWidth` on; positions outside the image are padding. An image has `outputHeight` x
 * `outputWidth` windows.
 */
export interface Windows {
  readonly images: number;
  readonly height: number;
  readonly width: number;
  readonly channels: number;
  readonly windowHeight: number;
  readonly windowWidth: number;
  readonly strideHeight: number;
  readonly strideWidth: number;
  readonly paddingHeight: number;
  readonly paddingWidth: number;
  readonly outputHeight: number;
  readonly outputWidth: number;
}

/** One number for both directions, or [height, width]. */
export type Pair = number | readonly [number, number];

/** Placement of windows on images. */
export interface WindowOptions {
  /** Distance between windows, at least 1. */
  readonly stride?: Pair;
  /** Rows and columns of zeros added on each side of the image; 0 by default. */
  readonly padding?: Pair;
}

/** One number, or a list; `windowsOver` checks the numbers. */
const pair: Kind = {
  expected: 'one whole number, or two',
  accepts: (value) => number.accepts(value) || Array.isArray(value),
};

/** Fields of `WindowOptions`. */
export const windowOptions: Readonly<Record<string, Kind>> = { stride: pair, padding: pair };

/** Returns all windows that fit: `floor((size + 2 padding - window) / stride) + 1` along each axis. */
export function windowsOver(operation: string, shape: Shape, window: Pair, options: WindowOptions): Windows {
  if (shape.length !== 4) {
    throw unexpectedShapes(`${operation}: expected images [n, height, width, channels]`, shape);
  }
  const [images, height, width, channels] = shape as readonly [number, number, number, number];
  const [windowHeight, windowWidth] = pairOf(operation, 'window', window, 1);
  const [strideHeight, strideWidth] = pairOf(operation, 'stride', options.stride ?? 1, 1);
  const [paddingHeight, paddingWidth] = pairOf(operation, 'padding', options.padding ?? 0, 0);
  const fit = (size: number, length: number, stride: number, padding: number): number => {
    if (size + 2 * padding < length) {
      const padded = paddingHeight + paddingWidth > 0 ? ` with padding ${paddingHeight} x ${paddingWidth}` : '';
      throw new ShapeError(
        `${operation}: a window of ${windowHeight} x ${windowWidth} does not fit into images of ${height} x ${width}${padded}`,
      );
    }
    return Math.floor((size + 2 * padding - length) / stride) + 1;
  };
  return {
    images,
    height,
    width,
    channels,
    windowHeight,
    windowWidth,
    strideHeight,
    strideWidth,
    paddingHeight,
    paddingWidth,
    outputHeight: fit(height, windowHeight, strideHeight, paddingHeight),
    outputWidth: fit(width, windowWidth, strideWidth, paddingWidth),
  };
}

function pairOf(operation: string, name: string, pair: Pair, least: number): readonly [number, number] {
  const both = typeof pair === 'number' ? ([pair, pair] as const) : pair;
  if (!Array.isArray(both) || both.length !== 2 || both.some((value) => !isWholeNumber(value, least))) {
    throw new ShapeError(
      `${operation}: ${name} must be one whole number of at least ${least}, or two, got ${shown(both)}`,
    );
  }
  return both;
}

/** Returns the number of values in the images. */
export function imageSize({ images, height, width, channels }: Windows): number {
  return images * height * width * channels;
}

/** Returns the number of windows over all images. */
export function windowCount({ images, outputHeight, outputWidth }: Windows): number {
  return images * outputHeight * outputWidth;
}
