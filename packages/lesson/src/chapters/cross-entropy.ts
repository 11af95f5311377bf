/** Cross-entropy: what a probability costs, and why an untrained network begins at ln 10. */
import { parseOptimizer } from '@lockstep/nn';
import { fromArray, log, neg, softmaxCrossEntropy, sum } from '@lockstep/tensor';
import { defineChapter } from '../chapter.ts';
import { createClassifier, firstOf } from '../classifier.ts';
import { range, seedControl } from '../controls.ts';
import { digitsOf } from '../digits.ts';
import { defineLive } from '../live/live-settings.ts';
import { decimal, percent } from '../number-text.ts';
import { gradientsOf, spaced, valuesOf } from '../values.ts';

const curveProbabilities = spaced(0.005, 1, 200);
const tableProbabilities = [0.99, 0.5, 0.1, 0.01, 0.0001];
const classes = 10;

export const crossEntropy = defineChapter({
  id: 'cross-entropy',
  title: 'Cross-entropy',
  claim:
    'A network that has learned nothing has a loss of about ln 10 = 2.303 on ten digits, and is right about one time in ten.',
  usesDigits: true,
  text: [
    '[[Cross-entropy]] is the [[loss]] of a classifier: minus the logarithm of the probability that it gave to the right class. Being sure and right costs almost nothing, being sure and wrong costs without limit.',
    'Ten classes that are equally likely have a probability of 0.1 each, and -ln 0.1 is 2.303. If a new network begins elsewhere, something is wrong before training begins. By each [[logit]] the gradient is simply the probability, minus 1 for the right class. Where targets are numbers and not classes, the [[mean squared error]] takes its place.',
  ],
  live: defineLive({
    caption: 'What training makes small',
    hint: 'The curve shows the cross-entropy, whichever loss is trained. The squared error of a probability says little where the network is sure and wrong: with first weights ten times as large it needs far more steps.',
    names: ['loss', 'start'],
    first: { data: 'digits', depth: 1, width: 32, loss: 'squared error' },
  }),
  controls: {
    p: range({ label: 'Probability of the right class', from: 0.01, to: 0.99, fallback: 0.1, step: 0.01 }),
    seed: seedControl,
  },
  *run(context, { p, seed }) {
    const { backend } = context;
    const lossesOf = (probabilities: readonly number[]): Float32Array =>
      valuesOf(backend, () => neg(log(fromArray(backend, probabilities))));
    const rest = Math.log((1 - p) / (classes - 1));
    const logits = Array.from({ length: classes }, (_, index) => (index === 0 ? Math.log(p) : rest));
    const { value, gradients } = gradientsOf(
      backend,
      () => [fromArray(backend, logits, [1, classes])],
      (x) => sum(softmaxCrossEntropy(x, fromArray(backend, [0]))),
    );
    const classifier = createClassifier(backend, parseOptimizer({ type: 'sgd', learningRate: 0.1 }), seed);
    try {
      yield {
        p,
        loss: value,
        gradient: gradients[0]!,
        curve: lossesOf(curveProbabilities),
        costs: lossesOf(tableProbabilities),
        untrained: classifier.evaluate(firstOf(digitsOf(context).test, 1000)),
      };
    } finally {
      classifier.dispose();
    }
  },
  show: ({ p, loss, gradient, curve, costs, untrained }) => [
    {
      kind: 'figures',
      figures: [
        { label: `loss at ${p.toFixed(2)}`, value: decimal(loss) },
        { label: 'untrained network: loss', value: `${decimal(untrained.loss)} (ln 10 = ${decimal(Math.LN10)})` },
        { label: 'untrained network: right', value: percent(untrained.accuracy) },
      ],
    },
    {
      kind: 'curves',
      caption: 'Loss by the probability of the right class',
      xLabel: 'probability',
      x: curveProbabilities,
      series: [{ label: 'loss', values: [...curve] }],
    },
    {
      kind: 'table',
      caption: 'What a probability costs',
      header: ['probability of the right class', 'loss'],
      rows: tableProbabilities.map((probability, index) => [`${probability}`, decimal(costs[index]!)]),
    },
    {
      kind: 'bars',
      caption: 'The gradient by each logit; class 0 is right',
      bars: Array.from(gradient, (value, index) => ({ label: `${index}`, value, text: decimal(value) })),
    },
  ],
});
