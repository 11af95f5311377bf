/** The run's events as they happen. */
import { useEffect, useRef } from 'preact/hooks';
import type { LogLine } from '../watch/run-store.ts';
import { Card } from './card.tsx';

/** The log follows new lines unless the person has scrolled up by more than this. */
const slackPixels = 24;

export function Log({ lines }: { readonly lines: readonly LogLine[] }) {
  const list = useRef<HTMLDivElement>(null);
  const isAtEnd = useRef(true);
  useEffect(() => {
    if (list.current && isAtEnd.current) list.current.scrollTop = list.current.scrollHeight;
  }, [lines]);
  return (
    <Card name="log" title="Log">
      <div
        ref={list}
        class="scroll log"
        role="log"
        aria-label="Events of the run"
        // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reachable by keyboard
        tabIndex={0}
        onScroll={({ currentTarget: { scrollTop, clientHeight, scrollHeight } }) => {
          isAtEnd.current = scrollTop + clientHeight > scrollHeight - slackPixels;
        }}
      >
        {lines.length === 0 && <p class="empty">Nothing yet.</p>}
        <ol>
          {lines.map(({ key, at, text }) => (
            <li key={key}>
              <time dateTime={at?.toISOString() ?? ''}>{at?.toLocaleTimeString('en-GB') ?? 'earlier'}</time>
              <span>{text}</span>
            </li>
          ))}
        </ol>
      </div>
    </Card>
  );
}
