/** The curve behind the figure: training accuracy from 0 to 100 %, or training loss if targets are values. */
import { chartSettings } from '../watch/chart-settings.ts';
import type { RunStore } from '../watch/run-store.ts';

const [width, height] = [100, 100];
/** Maximum number of points drawn; a projector cannot resolve more. */
const mostPoints = 200;

/** Names of the curves, since the large figure may show another quantity. */
const curveNames = { accuracy: 'Curve: training accuracy, from 0 to 100 %', loss: 'Curve: training loss' } as const;

export function RoomCurve({ store }: { readonly store: RunStore }) {
  store.curvesVersion.value;
  const kind = store.run.value?.targetType === 'values' ? 'loss' : 'accuracy';
  const { memory } = chartSettings.value;
  const [curve] = store.curves(kind, { axis: 'step', memory });
  const { at = [], smoothTrain = [] } = curve?.table ?? {};
  const points = at.flatMap((step, index) => {
    const value = smoothTrain[index];
    return typeof value === 'number' && Number.isFinite(value) ? [{ step, value }] : [];
  });
  // A model that has diverged has no meaningful accuracy.
  if (points.length < 2 || store.status.value.name === 'failed') return null;
  const top = kind === 'accuracy' ? 100 : Math.max(...points.map(({ value }) => value));
  const last = points.at(-1)!.step;
  const every = Math.ceil(points.length / mostPoints);
  const line = points
    .filter((_, index) => index % every === 0 || index === points.length - 1)
    .map(({ step, value }) => `${(width * step) / last},${height * (1 - value / (top || 1))}`);
  return (
    <>
      <svg class="room-curve" viewBox={`0 0 ${width} ${height}`} preserveAspectRatio="none" aria-hidden="true">
        <polygon points={`0,${height} ${line.join(' ')} ${width},${height}`} />
        <polyline points={line.join(' ')} />
      </svg>
      <p class="room-curve-name">{curveNames[kind]}</p>
    </>
  );
}
