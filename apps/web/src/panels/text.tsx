/** A run on text: what the model writes while it learns. */
import { Card } from '../look/controls.tsx';
import { Texts } from '../view/texts.tsx';
import type { RunStore } from '../watch/run-store.ts';

export function TextCards({ store }: { readonly store: RunStore }) {
  const samples = store.samples.value;
  return (
    <Card name="text" title="What it writes" aside="the same on every screen">
      {samples.length === 0 ? (
        <p class="empty">The model writes its first text after some steps.</p>
      ) : (
        <Texts label="What the model writes" samples={samples} />
      )}
    </Card>
  );
}
