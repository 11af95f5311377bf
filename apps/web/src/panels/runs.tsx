/** The table of a server's runs, with their settings and results. */
import type { RunMessage } from '@lockstep/protocol';
import { Card, Key } from '../look/controls.tsx';
import { durationText, lossText, percent, significant, thousands } from '../look/format.ts';
import { DataTable, numberColumn, textColumn, type ViewColumn } from '../view/table.tsx';
import type { RunStore, RunSummary } from '../watch/run-store.ts';
import { earlierColor } from './curves.tsx';

/** Columns that distinguish runs on a narrow screen come first. */
const columns: readonly ViewColumn<RunSummary>[] = [
  numberColumn('Test loss', (run) => run.testLoss, lossText),
  numberColumn('Time', (run) => run.seconds, durationText),
  textColumn('Model', (run) => run.settings.model),
  textColumn('Optimizer', (run) => run.settings.optimizer),
  numberColumn('Learning rate', (run) => run.settings.learningRate, significant),
  numberColumn('Batch', (run) => run.settings.batch, thousands),
  numberColumn('Epochs', (run) => run.settings.epochs, thousands),
  textColumn('Schedule', (run) => run.settings.schedule),
  numberColumn('Seed', (run) => run.settings.seed, String),
  numberColumn('Workers', (run) => run.settings.workers, thousands),
];

const qualities: Readonly<Record<RunMessage['targetField']['role'], ViewColumn<RunSummary>>> = {
  index: numberColumn('Test accuracy', (run) => run.testAccuracy, percent),
  value: numberColumn('Test RMSE', (run) => run.testRmse, significant),
  next: numberColumn(
    'Test perplexity',
    ({ testLoss }) => (testLoss === undefined ? undefined : Math.exp(testLoss)),
    significant,
  ),
};

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
