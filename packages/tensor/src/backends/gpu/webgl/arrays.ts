/** Arrays of the WebGL modes: float textures, four values to a texel, row by row. */
import { cellLength, cellsOf, type DeviceArray } from '../device.ts';
import type { WebGlContext } from './context.ts';

/** A texture in the form that gpu.js takes as an argument of type ArrayTexture(4), and renders to. */
export class GlArray implements DeviceArray {
  readonly type = 'ArrayTexture(4)';
  readonly length: number;
  readonly texture: object;
  readonly size: Int32Array;
  readonly dimensions: readonly number[];
  readonly output: readonly number[];
  readonly context: WebGlContext;

  constructor(length: number, texture: object, size: Int32Array, context: WebGlContext) {
    this.length = length;
    this.texture = texture;
    this.size = size;
    this.output = [cellsOf(length)];
    this.dimensions = [cellsOf(length), 1, 1];
    this.context = context;
  }

  /** gpu.js asks before it renders; here whoever runs a kernel chooses where it renders to. */
  beforeMutate(): boolean {
    return false;
  }
}

/** Texels of a texture for so many values: about square, because software adapters share work out by rows. */
export function textureSize(length: number): Int32Array {
  const cells = Math.max(1, cellsOf(length));
  const width = 2 ** Math.floor(Math.log2(cells) / 2);
  return Int32Array.of(width, Math.ceil(cells / width));
}

/** Texels of a texture of which each quarter has rows of its own; undefined where that would make it too narrow. */
export function quarteredSize(length: number): Int32Array | undefined {
  const cells = length / cellLength;
  let [width] = textureSize(length) as unknown as [number];
  while (width >= 16 && cells % (4 * width) !== 0) width /= 2;
  return width >= 16 && cells % (4 * width) === 0 ? Int32Array.of(width, cells / width) : undefined;
}

/** Texels of one quarter of such a texture. */
export function quarterOf([width, height]: Int32Array): Int32Array {
  return Int32Array.of(width!, height! / 4);
}
