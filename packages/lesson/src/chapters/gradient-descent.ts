/** Gradient descent on a landscape of two parameters, with the learning rate under the hand. */
import { add, fromArray, type HostBackend, matmul, mul, sub, sum, type Tensor } from '@lockstep/tensor';
import { defineChapter } from '../chapter.ts';
import { choice, count, range } from '../controls.ts';
import { defineLive } from '../live/live-settings.ts';
import { decimal } from '../number-text.ts';
import { planeGrid } from '../plane-grid.ts';
import { gradientsOf, valuesOf } from '../values.ts';

const [from, to] = [-4, 4];
const grid = planeGrid([from, to], [from, to], 48);
/** Where a loss counts as without bound. */
const tooHigh = 1e6;

type Landscape = (x: Tensor, y: Tensor) => Tensor;

const landscapes = {
  /** Eight times as steep along y as along x. */
  bowl: (x, y) => add(mul(mul(x, x), 0.5), mul(mul(y, y), 4)),
  /** The valley at the left is the deeper one. */
  'two valleys': (x, y) => {
    const valley = sub(mul(x, x), 4);
    return add(add(mul(mul(valley, valley), 0.1), mul(mul(y, y), 2)), mul(add(x, 2), 0.3));
  },
} as const satisfies Record<string, Landscape>;

export const gradientDescent = defineChapter({
  id: 'gradient-descent',
  title: 'Gradient descent',
  claim: 'Steps against the gradient lead downhill, if the learning rate is neither too large nor too small.',
  text: [
    'The [[loss]] is a landscape over all parameters; here there are two. The [[gradient]] points where it rises most, so each step goes the other way, as far as the [[learning rate]] times the slope: [[gradient descent]].',
    'Too small, and the path has hardly begun when the steps are used up. Too large, and each step lands higher on the other side than it began: in this bowl above 0.25, since its steepest curvature is 8 and a step of more than 2/8 overshoots. With two valleys the start decides which one is found.',
  ],
  live: defineLive({
    caption: 'A network under the same learning rate',
    hint: 'Begin at 0.01, then raise the rate while it trains: the curve falls faster, until about 3, where it jumps. Lower it again, and see whether the network comes back.',
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
    const field = heights(backend, loss);
    const path: [number, number][] = [[startX, startY]];
    const losses: number[] = [];
    for (;;) {
      const [x, y] = path.at(-1)!;
      const { value, gradients } = gradientsOf(
        backend,
        () => [fromArray(backend, [x]), fromArray(backend, [y])],
        (...place) => sum(loss(place[0]!, place[1]!)),
      );
      losses.push(value);
      if (losses.length > steps || !(value < tooHigh)) break;
      path.push([x - lr * gradients[0]![0]!, y - lr * gradients[1]![0]!]);
    }
    yield { field, path, losses, outcome: outcomeOf(losses) };
  },
  show: ({ field, path, losses, outcome }) => [
    {
      kind: 'plane',
      caption: 'The landscape, shaded where it is high, and the path',
      x: [from, to],
      y: [from, to],
      // The root spreads the shades over the valley.
      field: { rows: grid.rows, columns: grid.columns, values: Array.from(field, rootAbove(field)), low: 0, high: 6 },
      path,
    },
    {
      kind: 'figures',
      figures: [
        { label: 'the learning rate is', value: outcome },
        { label: 'loss at the start', value: decimal(losses[0]!) },
        { label: 'loss at the end', value: decimal(losses.at(-1)!) },
        {
          label: 'it ends at',
          value: `(${path
            .at(-1)!
            .map((value) => value.toFixed(2))
            .join(', ')})`,
        },
      ],
    },
    {
      kind: 'curves',
      caption: 'Loss',
      xLabel: 'step',
      x: losses.map((_, step) => step),
      series: [{ label: 'loss', values: losses }],
    },
  ],
});

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

function outcomeOf(losses: readonly number[]): 'too large' | 'too small' | 'about right' {
  const [first, last] = [losses[0]!, losses.at(-1)!];
  if (!(last <= first)) return 'too large';
  const lowest = Math.min(...losses);
  const isStillFalling = losses.at(-2)! - last > 0.005 * (first - lowest);
  return isStillFalling || last > 0.5 * first ? 'too small' : 'about right';
}
