/** The softmax: from logits to probabilities, temperature, and how it does not overflow. */
import { div, exp, fromArray, log, mul, neg, softmax as softmaxOf, sum } from '@lockstep/tensor';
import { defineChapter } from '../chapter.ts';
import { range } from '../controls.ts';
import { defineLive } from '../live/live-settings.ts';
import { decimal, percent } from '../number-text.ts';
import { scalarOf, valuesOf } from '../values.ts';

const others = [0, -1, 1.5, 0.5];

export const softmax = defineChapter({
  id: 'softmax',
  title: 'Softmax and temperature',
  claim:
    'Softmax makes any logits probabilities: cold it is certain, hot it knows nothing, and shifting all logits changes nothing.',
  text: [
    '[[Softmax]] raises e to each [[logit]] and divides by the sum: all results are above 0 and add up to 1. Only differences count: 2 more means e², about 7.4 times as likely.',
    'Dividing the logits by a [[temperature]] first makes the result sharper (below 1, near 0 the largest takes all) or flatter (above 1, in the end all are equal).',
    'e to the power of 89 is more than a float32 can hold. Since a shift of all logits changes no probability, the largest is subtracted first, and no power is above 1. Shift the logits and see the plain formula break while ours does not.',
  ],
  live: defineLive({
    caption: 'Training with a temperature',
    hint: 'Hot, all answers are nearly equal, so the gradient is small and learning slow. Cold, the network is sure before it knows: the first losses are large, and so are the steps.',
    names: ['data', 'temperature'],
    first: { temperature: 5 },
  }),
  controls: {
    temperature: range({ label: 'Temperature', from: 0.05, to: 50, fallback: 1, step: 0.05, scale: 'log' }),
    top: range({ label: 'The first logit', from: -5, to: 10, fallback: 2, step: 0.1 }),
    shift: range({ label: 'Added to all logits', from: 0, to: 200, fallback: 0, step: 1 }),
  },
  *run({ backend }, { temperature, top, shift }) {
    const logits = [top, ...others].map((value) => value + shift);
    const probabilities = valuesOf(backend, () =>
      softmaxOf(fromArray(backend, logits, [1, logits.length]), { temperature }),
    );
    const plain = valuesOf(backend, () => {
      const powers = exp(div(fromArray(backend, logits), temperature));
      return div(powers, sum(powers));
    });
    const certain = probabilities.filter((probability) => probability > 0);
    const entropy = scalarOf(backend, () => {
      const kept = fromArray(backend, certain);
      return neg(sum(mul(kept, log(kept))));
    });
    yield { logits, probabilities, plain, entropy };
  },
  show: ({ logits, probabilities, plain, entropy }) => [
    {
      kind: 'bars',
      caption: 'Probabilities',
      areProbabilities: true,
      bars: Array.from(probabilities, (value, index) => ({
        label: decimal(logits[index]!, 1),
        value,
        text: percent(value),
      })),
    },
    {
      kind: 'figures',
      figures: [
        {
          label: 'sum',
          value: decimal(
            probabilities.reduce((total, value) => total + value, 0),
            6,
          ),
        },
        { label: 'entropy', value: `${decimal(entropy)} of at most ${decimal(Math.log(logits.length))}` },
        {
          label: 'the plain formula',
          value: plain.every(Number.isFinite) ? 'gives the same' : 'overflows: infinity / infinity is no number',
        },
      ],
    },
    {
      kind: 'table',
      caption: 'With the largest subtracted first, and without',
      header: ['logit', 'softmax', 'plain formula'],
      rows: logits.map((logit, index) => [
        decimal(logit, 1),
        decimal(probabilities[index]!, 4),
        decimal(plain[index]!, 4),
      ]),
    },
  ],
});
