/** Arrays of WebGL 2: float textures, four values per texel, in row-major order. */
import { cellLength, cellsOf } from '../device.ts';
import type { PooledMemory } from '../gpujs-device.ts';
import type { WebGlContext } from './context.ts';

export interface TextureMemory extends PooledMemory {
  readonly texture: object;
  readonly width: number;
  readonly height: number;
}

/** gpu.js asks before it renders to an array that it also reads; here the targets are chosen in advance. */
const beforeMutate = (): boolean => false;

/** A texture in the form that gpu.js takes as an argument of type ArrayTexture(4), and as a render target. */
export function createGlArray(length: number, memory: TextureMemory, context: WebGlContext) {
  const { texture, width, height } = memory;
  const [type, cells] = ['ArrayTexture(4)', cellsOf(length)];
  const [size, output, dimensions] = [Int32Array.of(width, height), [cells], [cells, 1, 1]];
  return { type, length, memory, texture, size, output, dimensions, context, beforeMutate } as const;
}

export type GlArray = ReturnType<typeof createGlArray>;

/** Size in texels. */
export type TextureSize = readonly [width: number, height: number];

/** Size of a texture of `length` values: nearly square, because software renderers divide work by rows. */
export function textureSize(length: number): TextureSize {
  const cells = Math.max(1, cellsOf(length));
  const width = 2 ** Math.floor(Math.log2(cells) / 2);
  return [width, Math.ceil(cells / width)];
}

/** Size of a texture whose quarters are whole rows; undefined if that would make it too narrow. */
export function quarteredSize(length: number): TextureSize | undefined {
  const cells = length / cellLength;
  let [width] = textureSize(length);
  while (width >= 16 && cells % (4 * width) !== 0) width /= 2;
  return width >= 16 && cells % (4 * width) === 0 ? [width, cells / width] : undefined;
}

/** Size of one quarter of such a texture. */
export function quarterOf([width, height]: TextureSize): TextureSize {
  return [width, height / 4];
}
