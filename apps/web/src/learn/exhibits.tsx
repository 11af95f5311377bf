/** Exhibits of the lesson: a view for each kind. */
import { curveText, type Exhibit, isNumericColumn, type LiveCurve, silentNeurons } from '@lockstep/lesson';
import { useSignal } from '@preact/signals';
import type { ComponentChildren, ComponentType } from 'preact';
import type uPlot from 'uplot';
import { Choice, Figure, ScrollRegion } from '../look/controls.tsx';
import { percent, significant, thousands } from '../look/format.ts';
import { cssColor } from '../look/theme.ts';
import { BarChart } from '../view/bars.tsx';
import { CurvePlot } from '../view/curves.tsx';
import { Raster, Tiles } from '../view/raster.tsx';
import { DataTable } from '../view/table.tsx';
import { Texts } from '../view/texts.tsx';
import { GraphView } from './graph.tsx';
import './lesson.css';

export type ExhibitOf<Kind extends Exhibit['kind']> = Extract<Exhibit, { kind: Kind }>;

export interface Shown<Kind extends Exhibit['kind']> {
  readonly exhibit: ExhibitOf<Kind>;
}

const views: { readonly [Kind in Exhibit['kind']]: ComponentType<Shown<Kind>> } = {
  figures: FiguresView,
  table: TableView,
  bars: ({ exhibit }) => <BarChart {...exhibit} />,
  curves: CurvesView,
  'live-curves': LiveCurvesView,
  code: CodeView,
  pictures: PicturesView,
  grid: GridView,
  texts: ({ exhibit: { caption, samples } }) => <Texts label={caption} samples={samples} />,
  attention: AttentionView,
  plane: PlaneView,
  neurons: NeuronsView,
  graph: GraphView,
};

/** An exhibit in a card of its own. */
export function ExhibitCard({ exhibit }: { readonly exhibit: Exhibit }) {
  const caption = 'caption' in exhibit ? exhibit.caption : undefined;
  return (
    <section class={`card exhibit exhibit-${exhibit.kind}`} aria-label={caption ?? 'Figures'}>
      {caption && <h3>{caption}</h3>}
      <ExhibitView exhibit={exhibit} />
    </section>
  );
}

export function ExhibitView({ exhibit }: { readonly exhibit: Exhibit }) {
  const View = views[exhibit.kind] as ComponentType<{ readonly exhibit: Exhibit }>;
  return <View exhibit={exhibit} />;
}

function FiguresView({ exhibit }: Shown<'figures'>) {
  return (
    <dl class="lesson-figures">
      {exhibit.figures.map(({ label, value }) => (
        <Figure key={label} label={label} value={withPercents(value)} />
      ))}
    </dl>
  );
}

/** Keeps each number and its percent sign on one line, in parentheses too. */
function withPercents(text: string): ComponentChildren {
  const parts = text.split(/(\(?[\d.,]+ %\)?)/);
  return parts.map((part, index) => (index % 2 === 0 ? part : <span class="unbroken">{part}</span>));
}

function TableView({ exhibit }: Shown<'table'>) {
  const columns = exhibit.header.map((title, column) => ({
    title,
    isNumber: isNumericColumn(exhibit, column),
    text: (row: (typeof exhibit.rows)[number]) => String(row[column]),
  }));
  return <DataTable label={exhibit.caption} columns={columns} rows={exhibit.rows} />;
}

/** Color tokens by the index of the curve. */
const colors = ['--train', '--test', '--good', '--bad', '--run-2', '--run-1', '--run-6', '--run-5'] as const;
/** Maximum number of values for a curve to mark its points. */
const mostMarks = 25;

function CurvesView({ exhibit: { series, x, isLogarithmic = false, caption, xLabel } }: Shown<'curves'>) {
  const curves = series.map(({ label, values }, index) => ({
    label,
    color: colors[index % colors.length]!,
    dash: dashes[Math.floor(index / colors.length) % dashes.length]!,
    values: values.map(drawable),
    hasMarks: x.length <= mostMarks,
  }));
  const ends = series.map(({ label, values }) => {
    const [first, last] = [values.find(Number.isFinite), values.findLast(Number.isFinite)];
    return `${label} from ${short(first)} to ${short(last)}`;
  });
  return (
    <CurvePlot
      x={x}
      curves={curves}
      y={isLogarithmic ? 'logarithmic' : 'plain'}
      format={significant}
      placeText={(at) => (at === undefined ? `by ${xLabel}` : `${xLabel} ${significant(at)}`)}
      name={() => `${caption}: ${ends.join(', ')}`}
    />
  );
}

/** The largest float32 value would leave no room for the others. */
function drawable(value: number): number | null {
  return Number.isFinite(value) && Math.abs(value) < 1e5 ? value : null;
}

function short(value: number | undefined): string {
  return value === undefined ? 'nothing' : value.toPrecision(3);
}

const measures = {
  loss: {
    title: 'batch loss',
    y: 'fromZero',
    range: lossRange,
    valuesOf: ({ untrained, losses }: LiveCurve) => [untrained.loss, ...losses],
    format: significant,
  },
  accuracy: {
    title: 'accuracy on test samples',
    y: 'percent',
    range: (): [number, number] => [0, 100],
    valuesOf: ({ untrained, accuracies }: LiveCurve) =>
      [untrained.accuracy, ...accuracies].map((accuracy) => 100 * accuracy),
    format: (value: number) => percent(value / 100),
  },
} as const;

/** Dash patterns by the index of the curve, so that curves do not differ by color alone. */
const dashes = [[], [8, 4], [2, 3], [12, 3, 2, 3]];

/** Curves that grow while a person changes settings, and a list of the changes. */
export function LiveCurvesView({ exhibit: { caption, curves, length } }: Shown<'live-curves'>) {
  const measure = useSignal<keyof typeof measures>('loss');
  const { y, range, valuesOf, format } = measures[measure.value];
  const x = [
    0,
    ...curves.reduce<readonly number[]>((most, { steps }) => (steps.length > most.length ? steps : most), []),
  ];
  const drawn = curves.map((curve, index) => ({
    label: curve.label,
    color: colors[index]!,
    dash: dashes[index]!,
    values: valuesOf(curve).map((value) => (Number.isFinite(value) ? value : null)),
    legend: 'none' as const,
  }));
  const textAt = (place: number): string =>
    drawn
      .map(({ values }) => values[place])
      .map((value) => (typeof value === 'number' ? format(value) : '–'))
      .join(' · ');
  return (
    <>
      <Choice
        label="Curve"
        value={measure.value}
        options={Object.entries(measures).map(([name, { title }]) => [name, title])}
        onChoose={(name) => (measure.value = name as keyof typeof measures)}
      />
      <CurvePlot
        x={x}
        curves={drawn}
        y={y}
        yRange={range}
        // Leaves room for the last label.
        xEnd={() => 1.02 * length}
        format={format}
        placeText={(at) => (at === undefined ? 'by step' : `step ${thousands(at)}: ${textAt(x.indexOf(at))}`)}
        name={() => `${caption}: ${curves.map((curve) => `curve ${curve.label}, ${curveText(curve)}`).join('; ')}`}
        onDraw={(plot) => drawChanges(plot, curves)}
      />
      <Notes curves={curves} />
    </>
  );
}

/** Has a fixed height, so that a new curve causes no layout shift. */
function Notes({ curves }: { readonly curves: readonly LiveCurve[] }) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reachable by keyboard
    <section class="live-notes" tabIndex={0} aria-label="Curves and changes">
      <ul>
        {curves.map((curve, index) => (
          <li key={index} class="key" style={{ '--key': `var(${colors[index]})` }}>
            {curve.label} <span class="live-figures">{curveText(curve)}</span>
          </li>
        ))}
      </ul>
      <ol class="live-changes">
        {curves.flatMap(({ changes }, index) =>
          changes.map(({ step, text }) => (
            <li key={`${index} ${step} ${text}`}>
              Curve {index + 1}, step {thousands(step)}: {text}
            </li>
          )),
        )}
      </ol>
    </section>
  );
}

/** Ends the axis at three times the largest first loss, so that a diverging curve does not flatten the others. */
function lossRange(plot: uPlot, _low: number | null, high: number | null): [number, number] {
  const first = plot.data.slice(1).map((values) => Array.from(values).find((value) => typeof value === 'number') ?? 0);
  return [0, Math.min(high ?? 1, 3 * Math.max(0.1, ...first)) * 1.05];
}

/** Draws a vertical line at each change of a control, in the color of the curve. */
function drawChanges(plot: uPlot, curves: readonly LiveCurve[]): void {
  const { ctx, bbox } = plot;
  ctx.save();
  for (const [index, { changes }] of curves.entries()) {
    ctx.strokeStyle = cssColor(colors[index]!);
    ctx.setLineDash([3 * devicePixelRatio, 3 * devicePixelRatio]);
    for (const { step } of changes) {
      const x = plot.valToPos(step, 'x', true);
      ctx.beginPath();
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.stroke();
    }
  }
  ctx.restore();
}

function CodeView({ exhibit: { lines, caption } }: Shown<'code'>) {
  return (
    <ScrollRegion label={caption}>
      <ol class="lesson-code">
        {lines.map(({ code, note }) => (
          <li key={code}>
            <span class="aside">{note}</span>
            <code>{code}</code>
          </li>
        ))}
      </ol>
    </ScrollRegion>
  );
}

function PicturesView({ exhibit: { rows, columns, pictures } }: Shown<'pictures'>) {
  const palette = { type: 'shades', color: '--accent', low: 0, high: 1 } as const;
  return (
    <ul class="lesson-pictures">
      {pictures.map(({ values, text }, index) => (
        <li key={index}>
          <Raster {...{ values, rows, columns, palette }} label={text} />
          <span aria-hidden="true">{text}</span>
        </li>
      ))}
    </ul>
  );
}

function GridView({ exhibit: { caption, rows, columns, values, showsNumbers = false } }: Shown<'grid'>) {
  if (!showsNumbers) {
    const [low, high] = [Math.min(0, ...values), Math.max(...values)];
    const palette = { type: 'shades', color: '--accent', low, high } as const;
    return <Raster {...{ values, rows, columns, palette }} label={caption} />;
  }
  return (
    <ScrollRegion label={caption}>
      <table class="matrix-numbers">
        <tbody>
          {Array.from({ length: rows }, (_, row) => (
            <tr key={row}>
              {values.slice(row * columns, (row + 1) * columns).map((value, column) => (
                <td key={column}>{value}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </ScrollRegion>
  );
}

/** The labels of more tokens would overlap. */
const mostLabels = 24;

/** A map for each head, with the tokens that look at its left and those that they look at above. */
function AttentionView({ exhibit: { tokens, maps } }: Shown<'attention'>) {
  const palette = { type: 'shades', color: '--accent', low: 0, high: 1 } as const;
  const names = (side: 'rows' | 'columns') => (
    <ol class={`attention-${side}`} aria-hidden="true">
      {tokens.map((token, index) => (
        <li key={index}>{token}</li>
      ))}
    </ol>
  );
  const areWords = tokens.some((token) => token.length > 1);
  const areShown = tokens.length <= mostLabels;
  return (
    <div class={areWords ? 'attention-maps of-words' : 'attention-maps'} style={{ '--tokens': tokens.length }}>
      {maps.map(({ label, weights }) => (
        <figure key={label} class="attention-map">
          {areShown && names('columns')}
          {areShown && names('rows')}
          <Raster values={weights} rows={tokens.length} columns={tokens.length} palette={palette} label={label} />
          <figcaption class="aside">{label}</figcaption>
        </figure>
      ))}
    </div>
  );
}

function NeuronsView({ exhibit: { rows, columns, layers, caption } }: Shown<'neurons'>) {
  const cells = rows * columns;
  return (
    <ScrollRegion class="neurons" label={caption}>
      {layers.map(({ neurons, values }, layer) => {
        const shown = values.length / cells;
        const text = `Layer ${layer + 1}${shown < neurons ? `, ${shown} of ${neurons}` : ''}`;
        const label = `${text}: ${silentNeurons(values, cells)} of ${shown} neurons give 0 everywhere`;
        return (
          <div key={layer} class="neuron-layer">
            <p class="aside">{text}</p>
            <Tiles {...{ rows, columns, values, label }} count={shown} scale={1} height={104} largestCell={3} gap={2} />
          </div>
        );
      })}
    </ScrollRegion>
  );
}

type Place = readonly [x: number, y: number];

/** Side of the plane, in its own units. */
const side = 400;

/** A field of shades with points, arrows and a path over it. */
function PlaneView({ exhibit }: Shown<'plane'>) {
  const { field, caption, points = [], arrows = [], path = [], showsLabels = false } = exhibit;
  const place = (x: number, y: number): Place => [
    (side * (x - exhibit.x[0])) / (exhibit.x[1] - exhibit.x[0]),
    (side * (exhibit.y[1] - y)) / (exhibit.y[1] - exhibit.y[0]),
  ];
  const origin = place(0, 0);
  const label = [caption, ...points.map((point) => point.label)].filter((text) => text !== '').join('; ');
  const radius = points.length > 20 ? 4 : 9;
  return (
    <div class="plane" role="img" aria-label={label}>
      {field && <Raster {...field} palette={{ type: 'shades', color: '--accent', ...field }} label={caption} />}
      <svg viewBox={`0 0 ${side} ${side}`} aria-hidden="true" focusable="false">
        <path class="axes" d={`M0 ${origin[1]}H${side}M${origin[0]} 0V${side}`} />
        <polyline class="path" points={path.map(([x, y]) => place(x, y).join()).join(' ')} />
        {path.map(([x, y], step) => {
          const name = step === 0 ? 'start' : step === path.length - 1 ? 'end' : 'step';
          return <Dot key={step} at={place(x, y)} name={name} radius={name === 'step' ? 2.5 : 6} />;
        })}
        {arrows.map(({ x, y, label: name }) => (
          <Arrow key={name} from={origin} to={place(x, y)} name={name} />
        ))}
        {points.map(({ x, y, isOn, label: name }, index) => {
          const [left, top] = place(x, y);
          const kind = isOn ? 'on' : 'off';
          if (!showsLabels) return <Dot key={`${x} ${y}`} at={[left, top]} name={kind} radius={radius} />;
          return (
            <text key={index} class={`point-label point-${kind}`} x={left} y={top}>
              {name}
            </text>
          );
        })}
      </svg>
    </div>
  );
}

interface DotProps {
  readonly at: Place;
  readonly name: string;
  readonly radius: number;
}

function Dot({ at: [x, y], name, radius }: DotProps) {
  return <circle class={`dot dot-${name}`} cx={x} cy={y} r={radius} />;
}

interface ArrowProps extends Record<'from' | 'to', Place> {
  readonly name: string;
}

function Arrow({ from: [fromX, fromY], to: [x, y], name }: ArrowProps) {
  const angle = Math.atan2(y - fromY, x - fromX);
  const wing = (turn: number): string => `${x - 14 * Math.cos(angle + turn)} ${y - 14 * Math.sin(angle + turn)}`;
  return (
    <g class={`arrow arrow-${name}`}>
      <path d={`M${fromX} ${fromY}L${x} ${y}M${wing(0.4)}L${x} ${y}L${wing(-0.4)}`} />
      <text x={x + 12 * Math.cos(angle)} y={y + 12 * Math.sin(angle)}>
        {name}
      </text>
    </g>
  );
}
