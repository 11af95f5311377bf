/** The first weights: their size decides how much of a signal is left after many layers. */
import { plural } from '@lockstep/data/shown';
import { fromArray, type HostBackend, matmul, mul, normal, relu, sum, type Tensor } from '@lockstep/tensor';
import { count, defineChapter, range, type SettingsOf, seedControl } from '../chapter.ts';
import { curves, decimal, table } from '../exhibit.ts';
import { defineLive } from '../live-network.ts';
import { gradientsOf, valuesOf } from '../values.ts';

/** Number of samples in the signal. */
const samples = 64;
/** Standard deviations times √inputs: of PyTorch's default range ±1/√inputs, of He's weights, and of weights twice as large. */
const gains = [
  { label: 'default', gain: 1 / Math.sqrt(3) },
  { label: 'He', gain: Math.SQRT2 },
  { label: 'twice He', gain: 2 * Math.SQRT2 },
] as const;

const controls = {
  depth: count({ label: 'Layers of relu', from: 1, to: 30, fallback: 10 }),
  width: count({ label: 'Neurons per layer', from: 4, to: 256, fallback: 128 }),
  gain: range({ label: 'Deviation times √inputs', from: 0.1, to: 5, fallback: 1, step: 0.05 }),
  seed: seedControl,
};

type Settings = SettingsOf<typeof controls>;

export const initialization = defineChapter({
  id: 'initialization',
  title: 'Where training begins',
  claim:
    'Through ten layers of relu a signal keeps its size if the weights have a standard deviation of √(2 / inputs).',
  text: [
    'Training starts from initial [[weight|weights]]. If all of them are 0, every [[neuron]] of a [[hidden layer]] computes the same value and gets the same [[gradient]], so the neurons stay identical and the network learns nothing. Initial weights are therefore random.',
    'The size of the weights matters, too. Each layer multiplies the signal by about the same factor, and [[back-propagation]] multiplies the gradient by a similar factor. [[relu]] removes half of the sum of squares, so weights with a standard deviation of √(2 / inputs) keep the size of the signal: the rule of He et al. (2015). With smaller weights, almost nothing is left after many layers: a [[vanishing gradient]]. With larger weights, the signal grows without bound.',
  ],
  live: defineLive({
    caption: 'The same network with other initial weights',
    hint: 'If all initial weights are zero, the network never learns, whatever the learning rate. With six layers, the loss falls late with the default weights, and at once with the weights of He et al. With weights ten times as large, training diverges.',
    names: ['data', 'start', 'depth', 'lr', 'seed'],
    first: { start: 'all zero', depth: 6 },
  }),
  controls,
  *run({ backend }, settings) {
    const all = [...gains, { label: 'yours', gain: settings.gain }];
    const signals = all.map(({ label, gain }) => {
      const own = { ...settings, gain };
      return { label, gain, sizes: signalSizes(backend, own), gradient: gradientLeft(backend, own) };
    });
    yield { depth: settings.depth, signals };
  },
  show: ({ depth, signals }) => [
    curves(
      "The signal's size after each layer",
      'layer',
      Array.from({ length: depth + 1 }, (_, layer) => layer),
      Object.fromEntries(signals.map(({ label, sizes }) => [label, sizes])),
      true,
    ),
    table(
      `Sizes after ${plural(depth, 'layer')}, relative to the first`,
      ['weights', 'deviation times √inputs', 'signal', 'gradient'],
      signals.map(({ label, gain, sizes, gradient }) => [
        label,
        decimal(gain),
        decimal(sizes.at(-1)! / sizes[0]!, 4),
        decimal(gradient, 4),
      ]),
    ),
  ],
});

/** Returns the root mean square of the values before the first layer and after each layer. */
function signalSizes(backend: HostBackend, { depth, width, gain, seed }: Settings): number[] {
  let values = valuesOf(backend, () => normal(backend, [samples, width], seed * 100));
  const sizes = [rootMeanSquare(values)];
  for (let layer = 1; layer <= depth; layer++) {
    values = valuesOf(backend, () =>
      layerOf(backend, fromArray(backend, values, [samples, width]), { width, gain, seed }, layer),
    );
    sizes.push(rootMeanSquare(values));
  }
  return sizes;
}

function layerOf(
  backend: HostBackend,
  x: Tensor,
  { width, gain, seed }: Omit<Settings, 'depth'>,
  layer: number,
): Tensor {
  return relu(matmul(x, mul(normal(backend, [width, width], seed * 100 + layer), gain / Math.sqrt(width))));
}

/** Returns the size of a random gradient at the first layer, relative to its size at the last one. */
function gradientLeft(backend: HostBackend, { depth, ...options }: Settings): number {
  const { width, seed } = options;
  const outer = (): Tensor => normal(backend, [samples, width], seed * 100 + 99);
  const { gradients } = gradientsOf(
    backend,
    () => [normal(backend, [samples, width], seed * 100)],
    (x) => {
      const output = Array.from({ length: depth }, (_, layer) => layer + 1).reduce(
        (values, layer) => layerOf(backend, values, options, layer),
        x,
      );
      return sum(mul(output, outer()));
    },
  );
  return rootMeanSquare(gradients[0]!) / rootMeanSquare(valuesOf(backend, outer));
}

function rootMeanSquare(values: Float32Array): number {
  return Math.sqrt(values.reduce((total, value) => total + value * value, 0) / values.length);
}
