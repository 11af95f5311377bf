/** Small learnable data sets of every kind. */
import { classTargets, type Dataset, samplesOf, type Targets, valueTargets } from '@lockstep/data';
import { datasetFromTable, parseDelimited } from '@lockstep/data/readers';
import type { TrainingData } from '@lockstep/prepare';
import { randomStream } from '@lockstep/tensor';

interface Kind extends TrainingData {
  /** Name of a built-in model. */
  readonly model: string;
}

const colors = ['red', 'green', 'blue'] as const;
const iris = ['setosa', 'versicolor', 'virginica'] as const;

/** Two parts of one stream of samples. */
function parts(make: (count: number, random: () => number) => Dataset): TrainingData {
  const random = randomStream(11);
  return { train: make(300, random), test: make(60, random) };
}

/** Pictures of 32 x 32 whose class is their brightest channel, except every twentieth, which no model gets right. */
function colorPictures(count: number, random: () => number): Dataset {
  const labels = Uint16Array.from({ length: count }, () => Math.floor(3 * random()));
  const samples = Uint8Array.from({ length: count * 3072 }, (_, at) => {
    const sample = Math.floor(at / 3072);
    const isBright = at % 3 === (labels[sample]! + (sample % 20 === 7 ? 1 : 0)) % 3;
    return Math.floor((isBright ? 160 : 128) * random()) + (isBright ? 90 : 0);
  });
  return { samples: samplesOf(samples, [32, 32, 3]), count, targets: classTargets(labels, colors) };
}

/** Rows of four measurements scattered around those of their class. */
function table(count: number, random: () => number): Dataset {
  const labels = Uint16Array.from({ length: count }, () => Math.floor(3 * random()));
  const samples = Float32Array.from(
    { length: count * 4 },
    (_, at) => 2 * labels[at >> 2]! * ((at % 4) - 1) + 2 * random() - 1,
  );
  return { samples: samplesOf(samples, [4]), count, targets: classTargets(labels, iris) };
}

/** Rows of three numbers, with two targets that are sums of them, in the hundreds of thousands. */
function values(count: number, random: () => number): Dataset {
  const samples = Float32Array.from({ length: count * 3 }, () => 2 * random() - 1);
  const targets: Targets = valueTargets(
    Float32Array.from({ length: count * 2 }, (_, at) => {
      const [x, y, z] = samples.subarray((at >> 1) * 3) as unknown as [number, number, number];
      return at % 2 === 0 ? 3 * x + y : y - 2 * z + 1;
    }),
    ['price', 'weight'],
    { mean: 100_000, deviation: 300_000 },
  );
  return { samples: samplesOf(samples, [3]), count, targets };
}

const opinions = ['dreadful', 'passable', 'splendid'] as const;
/** More words than a byte has values, so that tokens take 16 bits each. */
const fillers = 400;

/** Reviews of six words, one of which tells the number of stars, except in every twentieth. */
function reviews(count: number, random: () => number): Uint8Array {
  const rows = Array.from({ length: count }, (_, row) => {
    const stars = Math.floor(3 * random());
    const words = Array.from({ length: 6 }, () => `word${Math.floor(fillers * random())}`);
    if (row % 20 !== 7) words[Math.floor(6 * random())] = opinions[stars]!;
    return `"${words.join(' ')}, really.",${stars + 1}\n`;
  });
  return new TextEncoder().encode(`review,stars\n${rows.join('')}`);
}

function texts(): TrainingData {
  const random = randomStream(12);
  const [train, test] = [300, 60].map((count) => parseDelimited(reviews(count, random), 'reviews.csv'));
  return datasetFromTable(train!, { label: 'stars' }, test);
}

export const kindsOfData = {
  'pictures in color': { model: 'cnn', ...parts(colorPictures) },
  'a table with classes': { model: 'mlp', ...parts(table) },
  'a table with values': { model: 'mlp', ...parts(values) },
  'a table with texts': { model: 'mlp', ...texts() },
} satisfies Readonly<Record<string, Kind>>;
