/** Cross-entropy: the cost of a probability, and the initial loss of an untrained network, ln 10. */
import { fromArray, log, neg, softmaxCrossEntropy, sum } from '@lockstep/tensor';
import { defineChapter, range, seedControl } from '../chapter.ts';
import { Classifier, digitsOf, plainSgd } from '../digits.ts';
import { bars, curves, decimal, figures, percent, table } from '../exhibit.ts';
import { defineLive } from '../live-network.ts';
import { gradientsOf, spaced, valuesOf } from '../values.ts';

const curveProbabilities = spaced(0.005, 1, 200);
const tableProbabilities = [0.99, 0.5, 0.1, 0.01, 0.0001];
const classes = 10;

export const crossEntropyChapter = defineChapter({
  id: 'cross-entropy',
  title: 'Cross-entropy',
  claim:
    'An untrained network has a loss of about ln 10 = 2.303 on ten digits, and classifies about one digit in ten correctly.',
  digits: 'few',
  text: [
    '[[Cross-entropy]] is the [[loss]] of a classifier: minus the logarithm of the probability that it gives to the correct class. A confident correct prediction costs almost nothing, and the cost of a confident wrong one has no limit.',
    'Ten classes that are equally likely have a probability of 0.1 each, and -ln 0.1 is 2.303. If a new network starts with a much higher or lower loss, something is wrong before training begins. The gradient for each [[logit]] is simply its probability, minus 1 for the correct class. If targets are numbers instead of classes, the loss is the [[mean squared error]].',
  ],
  live: defineLive({
    caption: 'Training with another loss',
    hint: 'The curve shows the cross-entropy, whichever loss is minimized. The squared error of a probability hardly changes if the network is confident and wrong: with initial weights ten times as large, training needs far more steps.',
    names: ['loss', 'start'],
    first: { data: 'digits', depth: 1, width: 32, loss: 'squared error' },
  }),
  controls: {
    p: range({ label: 'Probability of the correct class', from: 0.01, to: 0.99, fallback: 0.1, step: 0.01 }),
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
    const classifier = new Classifier(backend, plainSgd, seed);
    try {
      yield {
        p,
        loss: value,
        gradient: gradients[0]!,
        curve: lossesOf(curveProbabilities),
        costs: lossesOf(tableProbabilities),
        untrained: classifier.evaluate(digitsOf(context, 'few').test),
      };
    } finally {
      classifier.dispose();
    }
  },
  show: ({ p, loss, gradient, curve, costs, untrained }) => [
    figures({
      [`loss at ${p.toFixed(2)}`]: decimal(loss),
      'untrained network: loss': `${decimal(untrained.loss)} (ln 10 = ${decimal(Math.LN10)})`,
      'untrained network: accuracy': percent(untrained.accuracy),
    }),
    curves('Loss by the probability of the correct class', 'probability', curveProbabilities, { loss: [...curve] }),
    table(
      'The loss at some probabilities',
      ['probability of the correct class', 'loss'],
      tableProbabilities.map((probability, index) => [`${probability}`, decimal(costs[index]!)]),
    ),
    bars(
      'The gradient for each logit; class 0 is correct',
      Array.from(gradient, (value, index) => ({ label: `${index}`, value, text: decimal(value) })),
    ),
  ],
});
