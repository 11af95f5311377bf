/** The columns of the table of runs: settings and results. */
import { durationText, lossText, percent, significant, whole } from '../look/format.ts';
import type { RunSummary } from '../watch/run-summary.ts';
import type { Column, Columns } from './table-order.ts';

const { NEGATIVE_INFINITY } = Number;

function number(
  title: string,
  value: (run: RunSummary) => number | undefined,
  text: (value: number) => string,
): Column<RunSummary> {
  return {
    title,
    isNumber: true,
    value: (run) => value(run) ?? NEGATIVE_INFINITY,
    text(run) {
      const known = value(run);
      return known === undefined ? '–' : text(known);
    },
  };
}

const given = {
  run: { title: 'Run', value: ({ place }) => -place, text: ({ label }) => label },
} as const satisfies Columns<string, RunSummary>;

const settings = {
  model: { title: 'Model', value: ({ settings: { model } }) => model, text: ({ settings: { model } }) => model },
  optimizer: {
    title: 'Optimizer',
    value: ({ settings: { optimizer } }) => optimizer,
    text: ({ settings: { optimizer } }) => optimizer,
  },
  learningRate: number('Learning rate', (run) => run.settings.learningRate, significant),
  batch: number('Batch', (run) => run.settings.batch, whole),
  epochs: number('Epochs', (run) => run.settings.epochs, whole),
  schedule: {
    title: 'Schedule',
    value: ({ settings: { schedule } }) => schedule,
    text: ({ settings: { schedule } }) => schedule,
  },
  seed: number('Seed', (run) => run.settings.seed, String),
  workers: number('Workers', (run) => run.settings.workers, whole),
} as const satisfies Columns<string, RunSummary>;

const ofClasses = { accuracy: number('Test accuracy', (run) => run.testAccuracy, percent) };
const ofValues = { rmse: number('Test RMSE', (run) => run.testRmse, significant) };
const results = {
  loss: number('Test loss', (run) => run.testLoss, lossText),
  time: number('Time', (run) => run.seconds, durationText),
};

/** Columns that distinguish runs on a narrow screen come first. */
export function runColumns(targetType: 'classes' | 'values'): Columns<string, RunSummary> {
  const quality: Columns<string, RunSummary> = targetType === 'values' ? ofValues : ofClasses;
  return { ...given, ...quality, ...results, ...settings };
}
