/** The timeline of one step: one row per worker, time from left to right. */
import type { SpanKind } from '@lockstep/protocol';
import { Card, Key, ScrollRegion } from '../look/controls.tsx';
import { millisecondsText, thousands } from '../look/format.ts';
import { RunTerm } from '../look/term.tsx';
import type { RunStore, Timeline } from '../watch/run-store.ts';
import type { ShownWorker } from '../watch/status.ts';

const spanKinds: readonly SpanKind[] = ['receive', 'compute', 'send', 'wait'];

export function StepTimeline({ store }: { readonly store: RunStore }) {
  const timeline = store.timeline.value;
  const names = new Map(store.workers.value.map(({ id, name }) => [id, name]));
  return (
    <Card name="step" title={<RunTerm term="step">Step timeline</RunTerm>} aside={<Legend />}>
      <ScrollRegion class="step-rows" label="What each worker did in one step">
        {timeline &&
          rowsOf(timeline, store.workers.value).map((row) => (
            <StepRow
              key={row.workerId}
              row={row}
              name={names.get(row.workerId) ?? ''}
              durationMs={timeline.durationMs}
            />
          ))}
        {!timeline && <p class="empty">Nothing has been computed yet.</p>}
      </ScrollRegion>
      <footer class="step-axis">
        <span>0</span>
        <span>{timeline ? `step ${thousands(timeline.step + 1)}` : ''}</span>
        <span>{timeline ? `${millisecondsText(timeline.durationMs)} ms` : ''}</span>
      </footer>
    </Card>
  );
}

function Legend() {
  return (
    <p class="row legend">
      {spanKinds.map((kind) => (
        <Key key={kind} color={`--${kind}`} class={`key-${kind}`}>
          {kind}
        </Key>
      ))}
    </p>
  );
}

type TimelineRow = Timeline['rows'][number];

/** Maximum number of rows in a message. */
const mostRows = 64;

/**
 * Returns a row for each connected worker in the order of the table, so that no row moves if a worker has no share in a
 * step. With too many workers, returns the rows of the message.
 */
function rowsOf({ rows }: Timeline, workers: readonly ShownWorker[]): readonly TimelineRow[] {
  const present = workers.filter(({ health }) => health !== 'gone').map(({ id }) => id);
  if (present.length > mostRows) return rows;
  const spans = new Map(rows.map((row) => [row.workerId, row.spans]));
  return [...new Set([...present, ...spans.keys()])].map((workerId) => ({
    workerId,
    spans: spans.get(workerId) ?? [],
  }));
}

function StepRow({ row, name, durationMs }: { row: TimelineRow; name: string; durationMs: number }) {
  const { workerId, spans } = row;
  const position = (ms: number): string => `${(100 * ms) / Math.max(durationMs, 1e-6)}%`;
  return (
    <div class="stack step-row">
      <span class="step-name">
        <b>{workerId}</b> {name}
      </span>
      <svg class="step-track" role="img" aria-label={`${workerId} ${name}: ${spansText(spans)}`}>
        {spans.map(({ kind, fromMs, toMs }, index) => (
          <rect
            key={index}
            style={{ fill: `var(--${kind})` }}
            x={position(fromMs)}
            width={position(Math.max(0, toMs - fromMs))}
            y={kind === 'wait' ? '42%' : '0'}
            height={kind === 'wait' ? '16%' : '100%'}
          />
        ))}
      </svg>
    </div>
  );
}

/** Returns the total of each kind, such as "receive 0.42 ms, compute 12.3 ms". */
function spansText(spans: TimelineRow['spans']): string {
  const texts = spanKinds.flatMap((kind) => {
    const ms = spans.reduce((sum, span) => (span.kind === kind ? sum + (span.toMs - span.fromMs) : sum), 0);
    return ms > 0 ? [`${kind} ${millisecondsText(ms)} ms`] : [];
  });
  return texts.join(', ') || 'nothing';
}
