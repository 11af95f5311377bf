/** The data of live runs: two classes in the plane, or the ten digits. */
import { randomStream } from '@lockstep/tensor';
import type { LessonContext } from '../chapter.ts';
import { digitsOf, imageSize, type LabeledImages } from '../digits.ts';
import { planeGrid } from '../plane-grid.ts';
import type { LiveSettings } from './live-settings.ts';

export interface LabeledValues {
  readonly labels: ArrayLike<number>;
  /** Writes the values of a sample into `into`, starting at `at`. */
  write(sample: number, into: Float32Array, at: number): void;
}

export interface LiveData {
  /** Number of values in a sample. */
  readonly inputs: number;
  readonly classes: number;
  readonly train: LabeledValues;
  readonly test: LabeledValues;
}

/** Number of training samples, and of test samples, in two-dimensional data. */
const planeSamples = 300;
const testDigits = 500;
/** Pixels along a side of a digit. */
export const pictureSide = 28;
/** Range of both coordinates of the samples. */
export const planeExtent = [-3.2, 3.2] as const;
export const liveGrid = planeGrid(planeExtent, planeExtent, 32);

/** Maps a class, 0 or 1, and two random numbers from 0 to 1 to a place in the plane. */
type Sampler = (label: number, along: number, across: number) => readonly [x: number, y: number];

const samplers: Readonly<Record<Exclude<LiveSettings['data'], 'digits'>, Sampler>> = {
  spirals(label, along, across) {
    const radius = 0.3 + 2.6 * along;
    const angle = 1.5 * Math.PI * along + Math.PI * label;
    return [radius * Math.cos(angle) + 0.3 * (across - 0.5), radius * Math.sin(angle) + 0.3 * (across - 0.5)];
  },
  rings(label, along, across) {
    const radius = label === 0 ? 1.2 * Math.sqrt(across) : 1.9 + across;
    return [radius * Math.cos(2 * Math.PI * along), radius * Math.sin(2 * Math.PI * along)];
  },
  quadrants(label, along, across) {
    const [x, y] = [0.2 + 2.6 * along, 0.2 + 2.6 * across];
    const side = along * 997 - Math.floor(along * 997) < 0.5 ? 1 : -1;
    return [side * x, side * (label === 0 ? y : -y)];
  },
};

/** Creates the data of a live run. @throws Error if it is digits, and the context has none */
export function liveData(context: LessonContext, name: LiveSettings['data']): LiveData {
  if (name === 'digits') {
    const { train, test } = digitsOf(context, 'few');
    return {
      inputs: imageSize,
      classes: 10,
      train: images(train, train.labels.length),
      test: images(test, testDigits),
    };
  }
  const random = randomStream(1);
  const half = (): LabeledValues => points(samplers[name], random);
  return { inputs: 2, classes: 2, train: half(), test: half() };
}

function points(sampler: Sampler, random: () => number): LabeledValues {
  const labels = Array.from({ length: planeSamples }, (_, sample) => sample % 2);
  const places = labels.map((label) => sampler(label, random(), random()));
  return { labels, write: (sample, into, at) => into.set(places[sample]!, at) };
}

function images({ pixels, labels }: LabeledImages, count: number): LabeledValues {
  return {
    labels: labels.subarray(0, count),
    write(sample, into, at) {
      for (let pixel = 0; pixel < imageSize; pixel++) into[at + pixel] = pixels[sample * imageSize + pixel]! / 255;
    },
  };
}

/** Returns all samples, one after another: [samples * inputs]. */
export function valuesOfAll({ labels, write }: LabeledValues, inputs: number): Float32Array {
  const values = new Float32Array(labels.length * inputs);
  for (let sample = 0; sample < labels.length; sample++) write(sample, values, sample * inputs);
  return values;
}
