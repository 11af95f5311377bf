/** Lines of source code, each with a note next to it. */
import type { Code } from '@lockstep/lesson';

export function CodeView({ exhibit: { lines, caption } }: { readonly exhibit: Code }) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a keyboard must reach what scrolls.
    <section class="scroll" tabIndex={0} aria-label={caption}>
      <ol class="lesson-code">
        {lines.map(({ code, note }) => (
          <li key={code}>
            <span class="aside">{note}</span>
            <code>{code}</code>
          </li>
        ))}
      </ol>
    </section>
  );
}
