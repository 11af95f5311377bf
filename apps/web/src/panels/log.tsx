/** What happened, as it happens. */
import { useEffect, useRef } from 'preact/hooks';
import { clockText } from '../look/format.ts';
import type { Room } from '../watch/room.ts';

export function Log({ room }: { readonly room: Room }) {
  const lines = room.log.value;
  const list = useRef<HTMLDivElement>(null);
  const atEnd = useRef(true);
  useEffect(() => {
    const element = list.current;
    if (element && atEnd.current) element.scrollTop = element.scrollHeight;
  }, [lines]);
  return (
    <section class="card log-card" aria-labelledby="log-title">
      <header class="card-head">
        <h2 id="log-title">Log</h2>
      </header>
      <div
        ref={list}
        class="scroll log"
        role="log"
        aria-label="What happened"
        // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reachable by keyboard
        tabIndex={0}
        onScroll={(event) => {
          const { scrollTop, clientHeight, scrollHeight } = event.currentTarget;
          atEnd.current = scrollTop + clientHeight > scrollHeight - 24;
        }}
      >
        {lines.length === 0 && <p class="empty">Nothing yet.</p>}
        <ol>
          {lines.map(({ key, at, message }) => (
            <li key={key}>
              <time dateTime={at?.toISOString() ?? ''}>{at ? clockText(at) : 'earlier'}</time>
              <span>{message}</span>
            </li>
          ))}
        </ol>
      </div>
    </section>
  );
}
