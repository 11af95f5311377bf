/** The table of a server's runs, with their settings and results. */
import { useSignal } from '@preact/signals';
import type { RunStore } from '../watch/run-store.ts';
import type { RunSummary } from '../watch/run-summary.ts';
import { Card } from './card.tsx';
import { earlierColor } from './chart-options.ts';
import { ColumnTitles } from './column-titles.tsx';
import { runColumns } from './run-columns.ts';
import { type Columns, inOrder, type Order } from './table-order.ts';

export function Runs({ store }: { readonly store: RunStore }) {
  const order = useSignal<Order<string> | undefined>(undefined);
  const run = store.run.value;
  const runs = store.summaries();
  if (!run || runs.length < 2) return null;
  const columns = runColumns(run.targetType);
  return (
    <Card name="runs" title="Runs" aside={`${runs.length} on this server`}>
      <section
        class="scroll"
        // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reachable by keyboard
        tabIndex={0}
        aria-label="Table of runs"
      >
        <table class="workers runs-table">
          <thead>
            <tr>
              <ColumnTitles columns={columns} order={order} />
            </tr>
          </thead>
          <tbody>
            {inOrder(columns, runs, order.value).map((each) => (
              <Row key={each.place} run={each} isCurrent={each === runs[0]} columns={columns} />
            ))}
          </tbody>
        </table>
      </section>
    </Card>
  );
}

interface RowProps {
  readonly run: RunSummary;
  readonly isCurrent: boolean;
  readonly columns: Columns<string, RunSummary>;
}

function Row({ run, isCurrent, columns }: RowProps) {
  const color = isCurrent ? '--train' : earlierColor(run.place);
  const [first, ...rest] = Object.entries(columns);
  return (
    <tr>
      <th scope="row" title={run.label}>
        <span class="key" style={{ '--key': `var(${color})` }}>
          {first![1].text(run)}
        </span>{' '}
        {isCurrent && <span class="tag">now</span>}
      </th>
      {rest.map(([name, { text, isNumber }]) => (
        <td key={name} class={isNumber ? 'number' : ''}>
          {text(run)}
        </td>
      ))}
    </tr>
  );
}
