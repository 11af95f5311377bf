/** The forward pass: one digit on its way through 784-128-10. */
import { createPrediction, largestScore, parameterLayout } from '@lockstep/nn';
import {
  add,
  fromArray,
  fromStorage,
  type HostBackend,
  matmul,
  mul,
  relu,
  type Storage,
  softmax,
  type Tensor,
} from '@lockstep/tensor';
import { count, defineChapter, seedControl } from '../chapter.ts';
import { batchesOf, Classifier, digitModel, digitsOf, plainSgd, sliceOf } from '../digits.ts';
import { bars, decimal, figures, percent, shapeText, table } from '../exhibit.ts';
import { valuesOf } from '../values.ts';

export const forwardPass = defineChapter({
  id: 'forward-pass',
  title: 'The forward pass',
  claim: 'A network that classifies digits is two matrix products with a relu between them.',
  digits: 'few',
  text: [
    'A digit of 28 x 28 pixels is a [[vector]] of 784 numbers. The first layer multiplies this vector by its weights and adds its biases. That gives 128 sums, and [[relu]] replaces the negative ones with 0. The second layer turns them into ten numbers, the [[logit|logits]], one for each digit. The digit with the largest logit is the prediction.',
    'Before training, the prediction is no better than a guess: about one test digit in ten is classified correctly. Increase the number of steps to see the logits of a digit move apart and the accuracy rise.',
  ],
  controls: {
    steps: count({ label: 'Training steps taken', from: 0, to: 500, fallback: 200, step: 20 }),
    image: count({ label: 'Test image', from: 0, to: 99, fallback: 0 }),
    seed: seedControl,
  },
  *run(context, { steps, image, seed }) {
    const { backend } = context;
    const { train, test } = digitsOf(context, 'few');
    const classifier = new Classifier(backend, plainSgd, seed);
    const { pixels, labels } = sliceOf(test, image, image + 1);
    try {
      const untrained = classifier.evaluate(test).accuracy;
      let step = 0;
      for (let epoch = 0; step < steps; epoch++) {
        for (const batch of batchesOf(train, 64, seed, epoch)) {
          if (step++ >= steps) break;
          classifier.step(batch);
        }
      }
      const { hidden, logits, probabilities } = layerByLayer(backend, classifier.parameters, pixels);
      yield {
        pixels,
        label: labels[0]!,
        hidden,
        active: hidden.filter((value) => value > 0).length,
        logits,
        probabilities,
        answer: largestScore(logits),
        planned: plannedLogits(backend, classifier.parameters, pixels),
        accuracy: classifier.evaluate(test).accuracy,
        untrained,
      };
    } finally {
      classifier.dispose();
    }
  },
  show: ({ pixels, label, hidden, active, logits, probabilities, answer, accuracy, untrained }) => [
    { kind: 'grid', caption: 'The image, [784]', rows: 28, columns: 28, values: [...pixels] },
    { kind: 'grid', caption: 'The hidden layer after relu, [128]', rows: 8, columns: 16, values: [...hidden] },
    bars(
      'The logits, [10]',
      Array.from(logits, (value, digit) => ({ label: `${digit}`, value, text: decimal(value, 2) })),
    ),
    table(
      'Shapes in the forward pass',
      ['computation', 'shapes', 'result'],
      [
        ['image x weights + biases', '[1, 784] x [784, 128] + [128]', '[1, 128]'],
        ['relu', shapeText([1, 128]), `[1, 128], ${active} above 0`],
        ['hidden x weights + biases', '[1, 128] x [128, 10] + [10]', '[1, 10]'],
      ],
    ),
    figures({
      'correct digit': `${label}`,
      prediction: `${answer}, with a probability of ${percent(probabilities[answer]!)}`,
      'accuracy before training': percent(untrained),
      'accuracy after training': percent(accuracy),
    }),
  ],
});

/** Computes each layer step by step. */
function layerByLayer(backend: HostBackend, parameters: Storage, pixels: Uint8Array) {
  const tensors = (): Tensor[] =>
    parameterLayout(digitModel).map(({ offset, size, shape }) =>
      fromStorage(backend, backend.slice(parameters, offset, size), shape),
    );
  const hidden = valuesOf(backend, () => {
    const [weight, bias] = tensors();
    const x = mul(fromArray(backend, Array.from(pixels), [1, pixels.length]), 1 / 255);
    return relu(add(matmul(x, weight!), bias!));
  });
  const logits = valuesOf(backend, () => {
    const [, , weight, bias] = tensors();
    return add(matmul(fromArray(backend, hidden, [1, hidden.length]), weight!), bias!);
  });
  const probabilities = valuesOf(backend, () => softmax(fromArray(backend, logits, [1, logits.length])));
  return { hidden, logits, probabilities };
}

/** Returns the logits that the network's own plan computes. */
function plannedLogits(backend: HostBackend, parameters: Storage, pixels: Uint8Array): Float32Array {
  const plan = createPrediction(backend, digitModel, 1, parameters);
  plan.run(pixels);
  const logits = backend.view(plan.output).slice();
  plan.dispose();
  return logits;
}
