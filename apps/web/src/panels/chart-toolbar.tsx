/** Settings of the curves, and buttons that save them. */
import { axisTitles, type ChartSettings, chartSettings, memories } from '../watch/chart-settings.ts';
import type { CurveAxis } from '../watch/curves.ts';
import type { RunStore } from '../watch/run-store.ts';
import { saveCurvesCsv, saveCurvesPng } from './save-curves.ts';

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
      <SaveButtons store={store} />
    </div>
  );
}

function SaveButtons({ store }: { readonly store: RunStore }) {
  return (
    <span class="chart-files">
      <button type="button" class="small" onClick={() => saveCurvesCsv(store)}>
        CSV
      </button>
      <button type="button" class="small" onClick={() => void saveCurvesPng()}>
        PNG
      </button>
    </span>
  );
}
