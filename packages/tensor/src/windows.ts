/** Windows that slide over images: the geometry of convolution and pooling. */
import { isWholeNumber, type Kind, number, shown } from './arguments.ts';
import { type Shape, ShapeError, unexpectedShapes } from './shape.ts';

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
