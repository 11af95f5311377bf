/**
 * Random changes to training pictures, as bytes. A picture's change follows from seed, epoch and its number alone, in
 * integers and basic float64 arithmetic, so every engine gives the same bytes.
 */
import { DataError } from '../data-error.ts';
import { bytesOfField, type SampleField, type SampleValues } from '../dataset.ts';

/** Drawn numbers of one picture, each uniform in 0 … 1. */
type Draws = Readonly<Record<keyof typeof effects, readonly [number, number]>>;

/** Maps positions relative to the center of the new picture to positions in the old one. */
interface Change {
  /** Rows of the matrix: x and y of the source for a step along x, and along y. */
  xx: number;
  xy: number;
  yx: number;
  yy: number;
  /** Pixels. */
  left: number;
  top: number;
  /** In units of 1/256. */
  brightness: number;
}

/** Most pixels of a shift, by the length of a side: a tenth, but at least one. */
const shiftOf = (length: number, drawn: number): number => {
  const most = Math.max(1, Math.round(length / 10));
  return Math.floor(drawn * (2 * most + 1)) - most;
};
/** Tangent of 5°, half of the largest angle. */
const mostHalfTangent = 0.0875;
const mostZoom = 0.1;
const mostBrightness = 51;

const centered = (drawn: number, most: number): number => (2 * drawn - 1) * most;

/** Every augmentation: what it does to a change, with two drawn numbers. */
const effects = {
  flip(change: Change, [side]: readonly [number, number]) {
    if (side < 0.5) return;
    change.xx = -change.xx;
    change.yx = -change.yx;
  },
  shift(change: Change, [x, y]: readonly [number, number], height: number, width: number) {
    change.left += shiftOf(width, x);
    change.top += shiftOf(height, y);
  },
  rotate(change: Change, [angle]: readonly [number, number]) {
    // Sine and cosine from the half-angle tangent: engines round theirs differently.
    const tangent = centered(angle, mostHalfTangent);
    const square = tangent * tangent;
    const [cosine, sine] = [(1 - square) / (1 + square), (2 * tangent) / (1 + square)];
    const { xx, xy, yx, yy } = change;
    change.xx = cosine * xx - sine * xy;
    change.xy = sine * xx + cosine * xy;
    change.yx = cosine * yx - sine * yy;
    change.yy = sine * yx + cosine * yy;
  },
  zoom(change: Change, [factor]: readonly [number, number]) {
    const scale = 1 / (1 + centered(factor, mostZoom));
    for (const entry of ['xx', 'xy', 'yx', 'yy'] as const) change[entry] *= scale;
  },
  brightness(change: Change, [factor]: readonly [number, number]) {
    change.brightness = 256 + Math.floor(factor * (2 * mostBrightness + 1)) - mostBrightness;
  },
} as const;

/** A random change to training pictures. */
export type Augmentation = keyof typeof effects;

/** Names of the augmentations, in the order in which they apply. */
export const augmentations = Object.keys(effects) as Augmentation[];

/** The finalizer of MurmurHash3: a bijection of 32-bit numbers in which every input bit changes half of the output. */
function mixed(value: number): number {
  let bits = value;
  bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
  return (bits ^ (bits >>> 16)) >>> 0;
}

/** All augmentations draw, even those that are off, so that one does not change what another one does. */
function drawsOf(seed: number, epoch: number, number: number): Draws {
  let state = mixed(mixed(mixed(seed) ^ epoch) ^ number);
  const next = (): number => {
    state = (state + 0x9e3779b9) >>> 0;
    return mixed(state) / 2 ** 32;
  };
  return Object.fromEntries(augmentations.map((name) => [name, [next(), next()]])) as unknown as Draws;
}

/** Changes pictures in place. @param numbers of the samples in the training set */
type Augmenter = (samples: SampleValues, numbers: Uint32Array, epoch: number) => void;

/**
 * Returns a function that augments samples of a field. Pixels from outside repeat the nearest edge.
 * flip mirrors half of the pictures, shift moves them by up to a tenth of a side, rotate turns by up to 10°, zoom scales
 * by up to 10 %, brightness multiplies by 0.8 to 1.2.
 * @throws DataError unless samples are pictures of bytes
 */
export function createAugmenter(field: SampleField, names: readonly Augmentation[], seed: number): Augmenter {
  const [height = 0, width = 0, channels = 0, ...others] = field.shape;
  if (field.dtype !== 'u8' || channels === 0 || others.length > 0) {
    throw new DataError(
      `expected pictures, bytes of shape [height, width, channels], got samples of shape [${field.shape.join(', ')}]`,
    );
  }
  const size = bytesOfField(field);
  const chosen = augmentations.filter((name) => names.includes(name));
  const before = new Uint8Array(size);
  return (samples, numbers, epoch) => {
    for (let row = 0; row < numbers.length; row += 1) {
      const draws = drawsOf(seed, epoch, numbers[row]!);
      const change: Change = { xx: 1, xy: 0, yx: 0, yy: 1, left: 0, top: 0, brightness: 256 };
      for (const name of chosen) effects[name](change, draws[name], height, width);
      const picture = samples.subarray(row * size, (row + 1) * size) as Uint8Array;
      before.set(picture);
      warp(before, picture, [height, width, channels], change);
    }
  };
}

/** Fixed point: bits after the point of a position, of which the upper ones weigh neighboring pixels. */
const pointBits = 16;
const weightBits = 8;
const one = 2 ** weightBits;

/** Samples with bilinear interpolation. */
function warp(
  from: Uint8Array,
  to: Uint8Array,
  [height, width, channels]: readonly [number, number, number],
  { xx, xy, yx, yy, left, top, brightness }: Change,
): void {
  const fixed = (value: number): number => Math.round(value * 2 ** pointBits);
  const [stepXx, stepXy, stepYx, stepYy] = [fixed(xx), fixed(xy), fixed(yx), fixed(yy)];
  const [middleX, middleY] = [(width - 1) / 2, (height - 1) / 2];
  const startX = fixed(middleX - middleX * xx - middleY * yx - left * xx - top * yx);
  const startY = fixed(middleY - middleX * xy - middleY * yy - left * xy - top * yy);
  const [lastX, lastY] = [(width - 1) * 2 ** pointBits, (height - 1) * 2 ** pointBits];
  const rowBytes = width * channels;
  let at = 0;
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      const sourceX = Math.min(lastX, Math.max(0, startX + x * stepXx + y * stepYx));
      const sourceY = Math.min(lastY, Math.max(0, startY + x * stepXy + y * stepYy));
      const [column, row] = [sourceX >> pointBits, sourceY >> pointBits];
      const right = (sourceX >> (pointBits - weightBits)) & (one - 1);
      const below = (sourceY >> (pointBits - weightBits)) & (one - 1);
      const upper = row * rowBytes + column * channels;
      const lower = row + 1 < height ? upper + rowBytes : upper;
      const beside = column + 1 < width ? channels : 0;
      for (let channel = 0; channel < channels; channel += 1) {
        const above = from[upper + channel]! * (one - right) + from[upper + beside + channel]! * right;
        const under = from[lower + channel]! * (one - right) + from[lower + beside + channel]! * right;
        const value = (above * (one - below) + under * below + one * (one / 2)) >> (2 * weightBits);
        to[at] = Math.min(255, (value * brightness + one / 2) >> weightBits);
        at += 1;
      }
    }
  }
}
