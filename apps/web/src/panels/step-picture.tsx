/** The picture of a step: one row a worker, time from left to right, what each spent on what. */
import type { SpanKind } from '@lockstep/protocol';
import { millisecondsText } from '../look/format.ts';
import type { Room, Timeline } from '../watch/room.ts';

const kinds: readonly { readonly kind: SpanKind; readonly label: string }[] = [
  { kind: 'receive', label: 'receive' },
  { kind: 'compute', label: 'compute' },
  { kind: 'send', label: 'send' },
  { kind: 'wait', label: 'wait' },
];

export function StepPicture({ room }: { readonly room: Room }) {
  const timeline = room.timeline.value;
  const names = new Map(room.workers.value.map(({ id, name }) => [id, name]));
  return (
    <section class="card step-card" aria-labelledby="step-title">
      <header class="card-head">
        <h2 id="step-title">A step</h2>
        <p class="legend">
          {kinds.map(({ kind, label }) => (
            <span key={kind} class={`key key-${kind}`}>
              {label}
            </span>
          ))}
        </p>
      </header>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reachable by keyboard */}
      <section class="scroll step-rows" tabIndex={0} aria-label="What each worker did in one step">
        {timeline ? (
          timeline.rows.map((row) => (
            <StepRow
              key={row.workerId}
              row={row}
              name={names.get(row.workerId) ?? ''}
              durationMs={timeline.durationMs}
            />
          ))
        ) : (
          <p class="empty">Nothing has been computed yet.</p>
        )}
      </section>
      <footer class="step-axis">
        <span>0</span>
        <span>{timeline ? `step ${timeline.step + 1}` : ''}</span>
        <span>{timeline ? `${millisecondsText(timeline.durationMs)} ms` : ''}</span>
      </footer>
    </section>
  );
}

interface StepRowProps {
  readonly row: Timeline['rows'][number];
  readonly name: string;
  readonly durationMs: number;
}

function StepRow({ row, name, durationMs }: StepRowProps) {
  const total = Math.max(durationMs, 1e-6);
  const spent = kinds
    .map(({ kind, label }) => {
      const ms = row.spans
        .filter((span) => span.kind === kind)
        .reduce((sum, { fromMs, toMs }) => sum + (toMs - fromMs), 0);
      return ms > 0 ? `${label} ${millisecondsText(ms)} ms` : '';
    })
    .filter((part) => part !== '')
    .join(', ');
  return (
    <div class="step-row">
      <span class="step-name">
        <b>{row.workerId}</b> {name}
      </span>
      <svg class="step-track" role="img" aria-label={`${row.workerId} ${name}: ${spent || 'nothing'}`}>
        {row.spans.map(({ kind, fromMs, toMs }, index) => (
          <rect
            key={index}
            class={`span-${kind}`}
            x={`${(100 * fromMs) / total}%`}
            width={`${Math.max(0, (100 * (toMs - fromMs)) / total)}%`}
            y={kind === 'wait' ? '42%' : '0'}
            height={kind === 'wait' ? '16%' : '100%'}
          />
        ))}
      </svg>
    </div>
  );
}
