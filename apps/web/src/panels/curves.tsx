/** The training curves side by side. */
import type { RunStore } from '../watch/run-store.ts';
import { Chart } from './chart.tsx';

export function Curves({ store }: { readonly store: RunStore }) {
  return (
    <section class="card curves-card" style={{ gridArea: 'curves' }} aria-labelledby="curves-title">
      <h2 id="curves-title" class="sr-only">
        Curves
      </h2>
      <Chart store={store} kind="loss" />
      <Chart store={store} kind="accuracy" />
    </section>
  );
}
