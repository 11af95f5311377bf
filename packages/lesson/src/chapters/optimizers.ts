/** From SGD to Adam: the same loop with another line of configuration. */
import { type OptimizerConfig, parseOptimizer } from '@lockstep/nn';
import { defineChapter } from '../chapter.ts';
import { createClassifier, type Measured } from '../classifier.ts';
import { count, seedControl } from '../controls.ts';
import { batchesOf, digitsOf } from '../digits.ts';
import { defineLive } from '../live/live-settings.ts';
import { decimal, percent } from '../number-text.ts';
import { meanOf } from '../values.ts';

const batch = 64;
/** Steps whose mean loss is one place of the curve. */
const curveSteps = 20;
const lines = [
  { type: 'sgd', learningRate: 0.01 },
  { type: 'adam', learningRate: 0.001 },
] as const;

interface Trained {
  readonly config: OptimizerConfig;
  readonly losses: readonly number[];
  readonly test: Measured;
}

export const optimizers = defineChapter({
  id: 'optimizers',
  title: 'One line from SGD to Adam',
  claim: 'Exchanging the optimizer, one line, takes the same network to 97 % in a few epochs.',
  usesDigits: true,
  fewDigits: { epochs: 10 },
  text: [
    'SGD takes steps of one [[learning rate]] for all parameters. [[Adam]] keeps two running means for each parameter, of its gradients and of their squares, and divides one by the root of the other: parameters whose gradients are small but steady move as fast as the others.',
    'Everything else below is equal: the first weights, the order of the images, the number of steps.',
  ],
  live: defineLive({
    caption: 'Exchange the optimizer while it trains',
    hint: 'Begin with sgd, and change to adam at step 500. What is good for one learning rate is not for another: try each optimizer at 0.001 and at 0.1.',
    names: ['optimizer', 'lr', 'seed'],
    first: { data: 'digits', depth: 1, width: 32, lr: 0.01 },
  }),
  controls: {
    epochs: count({ label: 'Epochs', from: 1, to: 10, fallback: 4 }),
    seed: seedControl,
  },
  *run(context, { epochs, seed }) {
    const { train, test } = digitsOf(context);
    const runs = lines.map((line) => {
      const config = parseOptimizer(line);
      return { config, classifier: createClassifier(context.backend, config, seed), losses: [] as number[] };
    });
    try {
      for (let epoch = 0; epoch < epochs; epoch++) {
        for (const each of batchesOf(train, batch, seed, epoch)) {
          for (const { classifier, losses } of runs) losses.push(classifier.step(each));
        }
        yield {
          epochs: epoch + 1,
          trained: runs.map(
            ({ config, classifier, losses }): Trained => ({
              config,
              losses: [...losses],
              test: classifier.evaluate(test),
            }),
          ),
        };
      }
    } finally {
      for (const { classifier } of runs) classifier.dispose();
    }
  },
  show({ epochs, trained }) {
    const curves = trained.map(({ config, losses }) => ({ label: config.type, values: smoothed(losses) }));
    return [
      {
        kind: 'curves',
        caption: `Loss, the mean of ${curveSteps} steps`,
        xLabel: 'step',
        x: curves[0]!.values.map((_, index) => (index + 1) * curveSteps),
        series: curves,
        isLogarithmic: true,
      },
      {
        kind: 'table',
        caption: `After ${epochs} ${epochs === 1 ? 'epoch' : 'epochs'}`,
        header: ['the line', 'test loss', 'test'],
        rows: trained.map(({ test }, run) => [
          JSON.stringify(lines[run]),
          decimal(test.loss, 4),
          percent(test.accuracy),
        ]),
      },
    ];
  },
});

function smoothed(losses: readonly number[]): number[] {
  return Array.from({ length: Math.floor(losses.length / curveSteps) }, (_, index) =>
    meanOf(losses.slice(index * curveSteps, (index + 1) * curveSteps)),
  );
}
