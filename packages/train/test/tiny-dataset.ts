/** A small data set in memory with a learnable pattern. */
import { classTargets, type Dataset, samplesOf } from '@lockstep/data';
import type { TrainingData } from '@lockstep/prepare';

const [rows, columns, classes] = [4, 4, 3];
const names = ['upper', 'middle', 'lower'];

/** Each class has its own bright row. */
function patterns(count: number, seed: number): Dataset {
  const labels = Uint16Array.from({ length: count }, (_, index) => (index * 7 + seed) % classes);
  const samples = Uint8Array.from({ length: count * rows * columns }, (_, at) => {
    const [sample, row] = [Math.floor(at / (rows * columns)), Math.floor((at % (rows * columns)) / columns)];
    return row === labels[sample] ? 200 + ((at * 13 + seed) % 50) : (at * 29 + seed) % 60;
  });
  return { samples: samplesOf(samples, [rows, columns, 1]), count, targets: classTargets(labels, names) };
}

export const tinyData: TrainingData = { train: patterns(96, 1), test: patterns(30, 2) };

export const tinyModel = {
  name: 'tiny',
  input: [rows * columns],
  layers: [{ type: 'dense', units: 8 }, { type: 'relu' }, { type: 'dense', units: classes }],
} as const;
