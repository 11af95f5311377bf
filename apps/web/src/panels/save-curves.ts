/** Saves the curves as a table or as a picture. */
import { download } from '../look/download.ts';
import { axisTitles, chartSettings } from '../watch/chart-settings.ts';
import type { RunStore } from '../watch/run-store.ts';
import { curvesCsv } from './curves-csv.ts';
import { curvesPng } from './curves-png.ts';

export function saveCurvesCsv(store: RunStore): void {
  const { value: view } = chartSettings;
  const [loss, accuracy] = (['loss', 'accuracy'] as const).map((kind) => store.curves(kind, view)[0]!.table);
  const hasClasses = store.run.value?.targetType !== 'values';
  const text = curvesCsv(axisTitles[view.axis], loss!, hasClasses ? accuracy : undefined);
  download('lockstep-curves.csv', new Blob([text], { type: 'text/csv' }));
}

export async function saveCurvesPng(): Promise<void> {
  const image = await curvesPng([...document.querySelectorAll<HTMLElement>('.chart')]);
  if (image) download('lockstep-curves.png', image);
}
