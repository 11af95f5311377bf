/** Attention's scaled dot product, and why it is scaled. */
import { div, fromArray, type HostBackend, matmul, max, mul, normal, permute, softmax, sum } from '@lockstep/tensor';
import { defineChapter } from '../chapter.ts';
import { choice, count, seedControl } from '../controls.ts';
import { decimal } from '../number-text.ts';
import { gradientsOf, meanOf, valuesOf } from '../values.ts';

const tokens = 24;

export const attention = defineChapter({
  id: 'attention',
  title: 'Attention, and why it is scaled',
  claim:
    'Without dividing by the root of their size, the scores of attention spread until softmax looks at one token only.',
  text: [
    '[[Attention]] compares a query with every key by [[dot product]], makes [[softmax]] weights of these scores, and takes the weighted mean of the values: softmax(Q Kᵀ / √d) V.',
    'A dot product of d random numbers spreads by √d: with d = 512 scores reach ±60, softmax puts nearly everything on the largest, and hardly any [[gradient]] comes back through the others. Dividing by √d acts as a [[temperature]] that keeps the spread at 1, whatever the size.',
  ],
  controls: {
    size: count({ label: 'Numbers in a query, d', from: 2, to: 1024, fallback: 512, scale: 'log' }),
    scale: choice('Scores divided by', ['√d', '1'], '√d'),
    seed: seedControl,
  },
  *run({ backend }, { size, scale, seed }) {
    const both = [Math.sqrt(size), 1].map((divisor) => attend(backend, size, divisor, seed));
    yield { size, scaled: both[0]!, plain: both[1]!, shown: scale === '√d' ? both[0]! : both[1]! };
  },
  show: ({ size, scaled, plain, shown }) => [
    {
      kind: 'grid',
      caption: 'Weights: each row is a query, each column a key',
      rows: tokens,
      columns: tokens,
      values: [...shown.weights],
    },
    {
      kind: 'table',
      caption: `With and without the scale, d = ${size}`,
      header: ['scores divided by', 'spread of scores', 'largest weight, mean', "gradient by a query's scores, median"],
      rows: [
        ['√d', scaled],
        ['1', plain],
      ].map(([label, result]) => {
        const { spread, largest, medianGradient } = result as typeof scaled;
        return [label as string, decimal(spread, 2), decimal(largest), decimal(medianGradient, 4)];
      }),
    },
  ],
});

function attend(backend: HostBackend, size: number, divisor: number, seed: number) {
  const draw = (part: number) => normal(backend, [1, tokens, size], 3 * seed + part);
  const scores = valuesOf(backend, () => div(matmul(draw(0), permute(draw(1), [0, 2, 1])), divisor));
  const shape = [1, tokens, tokens];
  const weights = valuesOf(backend, () => softmax(fromArray(backend, scores, shape)));
  const largest = valuesOf(backend, () => max(fromArray(backend, weights, shape), { axes: [-1] }));
  const { gradients } = gradientsOf(
    backend,
    () => [fromArray(backend, scores, shape)],
    // Values and weights of the loss are random, so that no part of the gradient cancels.
    (x) => sum(mul(matmul(softmax(x), draw(2)), normal(backend, [1, tokens, size], seed))),
  );
  const center = meanOf(scores);
  const rowNorms = Array.from({ length: tokens }, (_, row) =>
    Math.hypot(...gradients[0]!.subarray(row * tokens, (row + 1) * tokens)),
  );
  return {
    weights,
    spread: Math.sqrt(meanOf(scores.map((score) => (score - center) ** 2))),
    largest: meanOf(largest),
    medianGradient: rowNorms.toSorted((a, b) => a - b)[tokens / 2]! / Math.sqrt(size),
  };
}
