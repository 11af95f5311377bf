/** What a person can change about the curves, and how they are taken along. */
import { download } from '../look/download.ts';
import { axisTitles, type ChartSettings, chartSettings, memories } from '../watch/chart-settings.ts';
import type { CurveAxis } from '../watch/curves.ts';
import type { RunStore } from '../watch/run-store.ts';
import { curvesCsv } from './curves-csv.ts';
import { curvesPng } from './curves-png.ts';

export function ChartToolbar({ store }: { readonly store: RunStore }) {
  const { value: settings } = chartSettings;
  const change = (changes: Partial<ChartSettings>): void => {
    chartSettings.value = { ...settings, ...changes };
  };
  return (
    <div class="chart-toolbar" role="toolbar" aria-label="Curves">
      <label>
        Over
        <select
          value={settings.axis}
          onChange={({ currentTarget }) => change({ axis: currentTarget.value as CurveAxis })}
        >
          {Object.entries(axisTitles).map(([axis, title]) => (
            <option key={axis} value={axis}>
              {title}
            </option>
          ))}
        </select>
      </label>
      <label>
        Smoothing
        <select
          value={settings.memory}
          onChange={({ currentTarget }) => change({ memory: Number(currentTarget.value) })}
        >
          {memories.map((memory) => (
            <option key={memory} value={memory}>
              {memory === 1 ? 'none' : `${memory} points`}
            </option>
          ))}
        </select>
      </label>
      <label class="chart-switch">
        <input
          type="checkbox"
          checked={settings.isLogarithmic}
          onChange={({ currentTarget }) => change({ isLogarithmic: currentTarget.checked })}
        />
        Log loss
      </label>
      <button type="button" class="small" onClick={() => saveCsv(store)}>
        CSV
      </button>
      <button type="button" class="small" onClick={() => void savePng()}>
        PNG
      </button>
    </div>
  );
}

function saveCsv(store: RunStore): void {
  const { value: view } = chartSettings;
  const [loss, accuracy] = (['loss', 'accuracy'] as const).map((kind) => store.curves(kind, view)[0]!.table);
  const hasClasses = store.run.value?.targetType !== 'values';
  const text = curvesCsv(axisTitles[view.axis], loss!, hasClasses ? accuracy : undefined);
  download('lockstep-curves.csv', new Blob([text], { type: 'text/csv' }));
}

async function savePng(): Promise<void> {
  const image = await curvesPng([...document.querySelectorAll<HTMLElement>('.chart')]);
  if (image) download('lockstep-curves.png', image);
}
