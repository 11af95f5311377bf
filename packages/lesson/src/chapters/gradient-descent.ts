/** Gradient descent on a landscape of two parameters, with a learning rate to choose. */
import { add, fromArray, type HostBackend, matmul, mul, sub, sum, type Tensor } from '@lockstep/tensor';
import { choice, count, defineChapter, range } from '../chapter.ts';
import { decimal, figures, lossCurves, table } from '../exhibit.ts';
import { defineLive } from '../live-network.ts';
import { gradientsOf, planeGrid, valuesOf } from '../values.ts';
import { rateVerdictOf } from '../verdict.ts';

/** Computes the loss at each place, elementwise. */
type Landscape = (x: Tensor, y: Tensor) => Tensor;

export const landscapes = {
  /** Eight times as steep along y as along x. */
  bowl: (x, y) => add(mul(mul(x, x), 0.5), mul(mul(y, y), 4)),
  /** The left valley is the deeper one. */
  'two valleys': (x, y) => {
    const valley = sub(mul(x, x), 4);
    return add(add(mul(mul(valley, valley), 0.1), mul(mul(y, y), 2)), mul(add(x, 2), 0.3));
  },
} as const satisfies Record<string, Landscape>;

export interface Places {
  readonly x: Float32Array;
  readonly y: Float32Array;
}

/** Returns the sum of the losses at several places, and the gradient at each place. */
export function slopesAt(backend: HostBackend, landscape: Landscape, { x, y }: Places) {
  const { value, gradients } = gradientsOf(
    backend,
    () => [fromArray(backend, x), fromArray(backend, y)],
    (...place) => sum(landscape(place[0]!, place[1]!)),
  );
  return { loss: value, x: gradients[0]!, y: gradients[1]! };
}

const [from, to] = [-4, 4];
const grid = planeGrid([from, to], 48);
/** A path ends at a loss above this. */
const tooHigh = 1e6;
const comparedRates = [0.001, 0.1, 0.3];

export const gradientDescent = defineChapter({
  id: 'gradient-descent',
  title: 'Gradient descent',
  claim: 'Steps against the gradient reduce the loss if the learning rate is neither too large nor too small.',
  text: [
    'The [[loss]] is a landscape over all parameters; here there are two. The [[gradient]] points in the direction of steepest ascent. [[Gradient descent]] takes each step in the opposite direction, as far as the [[learning rate]] times the slope.',
    'If the rate is too small, the path does not reach the minimum in the given number of steps. If it is too large, each step lands on the other side of the valley, higher than before. In this bowl that happens above 0.25, because the largest curvature is 8 and the limit is 2/8. With two valleys, the starting point decides which one the path finds.',
  ],
  live: defineLive({
    caption: 'A network trained with this learning rate',
    hint: 'Begin at 0.01, then raise the rate while it trains: the curve falls faster, until it jumps at a rate of about 3. Lower the rate again, and see whether the network recovers.',
    names: ['data', 'lr'],
    first: { lr: 0.01 },
  }),
  controls: {
    lr: range({ label: 'Learning rate', from: 0.001, to: 1, fallback: 0.1, step: 0.02, scale: 'log' }),
    landscape: choice('Landscape', ['bowl', 'two valleys'], 'bowl'),
    startX: range({ label: 'Start, x', from: -3.5, to: 3.5, fallback: -3.5, step: 0.1 }),
    startY: range({ label: 'Start, y', from: -3.5, to: 3.5, fallback: 2, step: 0.1 }),
    steps: count({ label: 'Steps', from: 5, to: 200, fallback: 60 }),
  },
  *run({ backend }, { lr, landscape, startX, startY, steps }) {
    const loss = landscapes[landscape];
    const descend = (rate: number) => descent(backend, loss, { lr: rate, start: [startX, startY], steps });
    yield {
      field: heights(backend, loss),
      ...descend(lr),
      compared: comparedRates.map((rate) => ({ rate, ...descend(rate) })),
    };
  },
  show: ({ field, path, losses, verdict, compared }) => [
    {
      kind: 'plane',
      caption: 'The landscape, shaded where it is high, and the path',
      x: [from, to],
      y: [from, to],
      // The square root spreads the shades over the valley.
      field: { rows: grid.rows, columns: grid.columns, values: Array.from(field, rootAbove(field)), low: 0, high: 6 },
      path,
    },
    figures({
      'the learning rate is': verdict,
      'loss at the start': decimal(losses[0]!),
      'loss at the end': decimal(losses.at(-1)!),
      'the path ends at': `(${path
        .at(-1)!
        .map((value) => value.toFixed(2))
        .join(', ')})`,
    }),
    table(
      'Three learning rates from the same start',
      ['learning rate', 'steps', 'loss at the end', 'the rate is'],
      compared.map((row) => [row.rate, row.path.length - 1, decimal(row.losses.at(-1)!), row.verdict]),
    ),
    lossCurves('Loss', losses),
  ],
});

interface DescentOptions {
  readonly lr: number;
  readonly start: readonly [x: number, y: number];
  readonly steps: number;
}

/** Returns the path, the loss at each of its places, and the verdict on the learning rate. */
function descent(backend: HostBackend, landscape: Landscape, { lr, start, steps }: DescentOptions) {
  const path: (readonly [number, number])[] = [start];
  const losses: number[] = [];
  const gradients: (readonly [number, number])[] = [];
  for (;;) {
    const [x, y] = path.at(-1)!;
    const slopes = slopesAt(backend, landscape, { x: Float32Array.of(x), y: Float32Array.of(y) });
    const gradient = [slopes.x[0]!, slopes.y[0]!] as const;
    losses.push(slopes.loss);
    gradients.push(gradient);
    if (losses.length > steps || !(slopes.loss < tooHigh)) break;
    path.push([x - lr * gradient[0], y - lr * gradient[1]]);
  }
  return { path, losses, verdict: rateVerdictOf(losses, gradients) };
}

function heights(backend: HostBackend, loss: Landscape): Float32Array {
  return valuesOf(backend, () => {
    const places = fromArray(backend, grid.centers, [grid.rows * grid.columns, 2]);
    const axis = (unit: readonly number[]): Tensor => matmul(places, fromArray(backend, unit));
    return loss(axis([1, 0]), axis([0, 1]));
  });
}

function rootAbove(field: Float32Array) {
  const lowest = Math.min(...field);
  return (value: number): number => Math.sqrt(value - lowest);
}
