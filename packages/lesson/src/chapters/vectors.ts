/** Vectors: their magnitude, and the angles between random vectors in many dimensions. */
import { cosineSimilarity, fromArray, type HostBackend, norm, normal } from '@lockstep/tensor';
import { count, defineChapter, seedControl } from '../chapter.ts';
import { bars, decimal, table, thousands } from '../exhibit.ts';
import { meanOf, scalarOf, valuesOf } from '../values.ts';

const pairs = 1000;
const comparedDimensions = [2, 3, 10, 100, 768];
const examples = [
  [1, 0],
  [3, 4],
  [1, 1, 1, 1],
];

export const vectors = defineChapter({
  id: 'vectors',
  title: 'Vectors',
  claim: 'Two random vectors in 768 dimensions are almost perpendicular.',
  text: [
    'A [[vector]] is a list of numbers, such as the 784 pixels of a digit. Its direction says what it represents, and its [[magnitude]] says how strongly.',
    'In a plane two random vectors can form any angle. The more dimensions there are, the closer almost all angles come to 90°. A space of 768 dimensions therefore has room for very many directions that hardly interfere with each other. Change the number of dimensions and watch the angles gather around 90°.',
  ],
  controls: {
    dimensions: count({ label: 'Dimensions', from: 2, to: 4096, fallback: 768, scale: 'log' }),
    seed: seedControl,
  },
  *run({ backend }, { dimensions, seed }) {
    const magnitudes = examples.map((vector) => ({
      vector,
      magnitude: scalarOf(backend, () => norm(fromArray(backend, vector))),
    }));
    const compared = comparedDimensions.map((each) => {
      const cosines = randomCosines(backend, each, seed);
      return { dimensions: each, meanCosine: meanOf(cosines.map(Math.abs)), meanTilt: meanOf(tiltsOf(cosines)) };
    });
    const angles = Array.from(randomCosines(backend, dimensions, seed), degreesOf);
    yield { dimensions, magnitudes, compared, angles };
  },
  show: ({ dimensions, magnitudes, compared, angles }) => [
    bars(
      `Angles of ${thousands(pairs)} random pairs in ${thousands(dimensions)} dimensions`,
      Array.from({ length: 18 }, (_, bin) => {
        const inBin = angles.filter((angle) => Math.min(17, Math.floor(angle / 10)) === bin).length;
        return { label: `${bin * 10}–${bin * 10 + 10}°`, value: inBin, text: thousands(inBin) };
      }),
    ),
    table(
      'How far from perpendicular',
      ['dimensions', 'mean |cosine|', 'mean distance from 90°'],
      compared.map((row) => [row.dimensions, decimal(row.meanCosine), `${decimal(row.meanTilt, 1)}°`]),
    ),
    table(
      'Magnitude: the square root of the sum of squares',
      ['vector', 'magnitude'],
      magnitudes.map(({ vector, magnitude }) => [`(${vector.join(', ')})`, decimal(magnitude)]),
    ),
  ],
});

function randomCosines(backend: HostBackend, dimensions: number, seed: number): Float32Array {
  return valuesOf(backend, () => {
    const [left, right] = [2 * seed, 2 * seed + 1].map((each) => normal(backend, [pairs, dimensions], each));
    return cosineSimilarity(left!, right!);
  });
}

function degreesOf(cosine: number): number {
  return (Math.acos(Math.max(-1, Math.min(1, cosine))) * 180) / Math.PI;
}

function tiltsOf(cosines: Float32Array): number[] {
  return Array.from(cosines, (cosine) => Math.abs(90 - degreesOf(cosine)));
}
