/** The table of a server's runs, with their settings and results. */
import { Card, Key } from '../look/controls.tsx';
import { durationText, lossText, percent, significant, thousands } from '../look/format.ts';
import { DataTable, type ViewColumn } from '../view/table.tsx';
import type { RunStore, RunSummary } from '../watch/run-store.ts';
import { earlierColor } from './curves.tsx';

function number(
  title: string,
  value: (run: RunSummary) => number | undefined,
  format: (value: number) => string,
): ViewColumn<RunSummary> {
  const text = (known: number | undefined): string => (known === undefined ? '–' : format(known));
  const sortKey = (run: RunSummary): number => value(run) ?? Number.NEGATIVE_INFINITY;
  return { title, isNumber: true, value: sortKey, text: (run) => text(value(run)) };
}

function word(title: string, text: (run: RunSummary) => string): ViewColumn<RunSummary> {
  return { title, value: text, text };
}

/** Columns that distinguish runs on a narrow screen come first. */
const columns: readonly ViewColumn<RunSummary>[] = [
  number('Test loss', (run) => run.testLoss, lossText),
  number('Time', (run) => run.seconds, durationText),
  word('Model', (run) => run.settings.model),
  word('Optimizer', (run) => run.settings.optimizer),
  number('Learning rate', (run) => run.settings.learningRate, significant),
  number('Batch', (run) => run.settings.batch, thousands),
  number('Epochs', (run) => run.settings.epochs, thousands),
  word('Schedule', (run) => run.settings.schedule),
  number('Seed', (run) => run.settings.seed, String),
  number('Workers', (run) => run.settings.workers, thousands),
];

const qualities = {
  index: number('Test accuracy', (run) => run.testAccuracy, percent),
  value: number('Test RMSE', (run) => run.testRmse, significant),
  next: number(
    'Test perplexity',
    ({ testLoss }) => (testLoss === undefined ? undefined : Math.exp(testLoss)),
    significant,
  ),
} as const;

export function Runs({ store }: { readonly store: RunStore }) {
  const run = store.run.value;
  const runs = store.summaries();
  if (!run || runs.length < 2) return null;
  const named: ViewColumn<RunSummary> = {
    title: 'Run',
    value: ({ place }) => -place,
    text: ({ label }) => label,
    cell({ place, label }) {
      const isCurrent = place === runs[0]!.place;
      return (
        <>
          <Key color={isCurrent ? '--train' : earlierColor(place)}>{label}</Key>{' '}
          {isCurrent && <span class="tag">now</span>}
        </>
      );
    },
  };
  return (
    <Card name="runs" title="Runs" aside={`${runs.length} on this server`}>
      <DataTable
        label="Table of runs"
        class="runs-table"
        columns={[named, qualities[run.targetField.role], ...columns]}
        rows={runs}
        keyOf={({ place }) => place}
        hasRowHeadings
      />
    </Card>
  );
}
