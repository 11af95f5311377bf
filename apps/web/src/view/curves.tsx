/** Curves over a common axis, drawn by uPlot, with the values under the pointer in their legend. */
import { useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import { Key } from '../look/controls.tsx';
import { colorScheme, cssColor } from '../look/theme.ts';
import { labels, type VerticalAxis, verticalAxes } from './axes.ts';

export interface Curve {
  readonly label: string;
  /** Color token. */
  readonly color: string;
  /** A value for each position, or none. */
  readonly values: readonly (number | null | undefined)[];
  /** In pixels; 2 by default. */
  readonly width?: number;
  readonly dash?: number[];
  /** Color token of the area below the curve. */
  readonly fill?: string;
  /** Whether each point has a mark while marks fit side by side. A single point always has one. */
  readonly hasMarks?: boolean;
  /** Whether the vertical axis takes no account of it, so that it may be cut off. */
  readonly isOffScale?: boolean;
  /** Its place in the legend: next to the position, or in a list below, or none. */
  readonly legend?: 'line' | 'list' | 'none';
}

interface CurvesProps {
  /** Positions in ascending order. */
  readonly x: readonly number[];
  readonly curves: readonly Curve[];
  readonly y: VerticalAxis;
  /** Replaces the range that the vertical axis has by itself. */
  readonly yRange?: (plot: uPlot, low: number | null, high: number | null) => [number, number];
  /** Returns the end of the horizontal axis, which begins at 0, from the newest position; by default the data's range. */
  readonly xEnd?: (newest: number) => number;
  /** Possible distances of the labels on the horizontal axis. */
  readonly xSteps?: number[];
  readonly format: (value: number) => string;
  /** Describes the position under the pointer; undefined stands for the newest values. */
  readonly placeText: (at: number | undefined) => string;
  /** Describes the picture for screen readers by the values and the position in its legend. */
  readonly name: (values: readonly string[], place: string) => string;
  /** Whether charts point at the same position together. */
  readonly isSynced?: boolean;
  /** Whether the axes are omitted. */
  readonly isBare?: boolean;
  /** Draws over the curves. */
  readonly onDraw?: (plot: uPlot) => void;
}

export function CurvePlot(props: CurvesProps) {
  const { x, curves, format, placeText, name } = props;
  const frame = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot>(null);
  /** The position under the pointer. */
  const pointed = useSignal<number | undefined>(undefined);
  // The plot asks for ranges and drawings later, when newer ones may apply.
  const latest = useRef(props);
  latest.current = props;
  const look = curves.map(({ label: _, values: __, ...curve }) => curve);
  const version = JSON.stringify([look, props.y, props.isBare, props.xSteps, props.yRange !== undefined]);
  useEffect(() => {
    const element = frame.current!;
    const created = new uPlot(optionsOf(element, latest), [[], ...curves.map(() => [])], element);
    plot.current = created;
    created.hooks.setCursor = [
      ({ cursor: { idx } }) => {
        pointed.value = typeof idx === 'number' ? created.data[0][idx] : undefined;
      },
    ];
    const observer = new ResizeObserver(() => {
      created.setSize({ width: element.clientWidth, height: element.clientHeight });
    });
    observer.observe(element);
    const unsubscribe = colorScheme.subscribe(() => created.redraw());
    return () => {
      unsubscribe();
      observer.disconnect();
      created.destroy();
    };
  }, [version]);
  useEffect(
    () => plot.current?.setData([x, ...curves.map(({ values }) => values)] as uPlot.AlignedData),
    [version, x, ...curves.map(({ values }) => values)],
  );
  const at = pointed.value;
  const listed = curves.filter(({ legend }) => legend !== 'none');
  const texts = listed.map(({ values }) => {
    const value = valueAt(x, values, at);
    return value === undefined ? '–' : format(value);
  });
  const place = placeText(at);
  const keys = listed.map((curve, index) => ({ ...curve, index, text: texts[index]! }));
  const below = keys.filter(({ legend }) => legend === 'list');
  return (
    <>
      <p class="row legend">
        {keys
          .filter(({ legend }) => legend !== 'list')
          .map((curve) => (
            <Pair key={curve.index} {...curve} />
          ))}
        <span class="where">{place}</span>
      </p>
      {below.length > 0 && (
        <ul class="row legend runs" aria-label="Runs">
          {below.map((curve) => (
            <li key={curve.index}>
              <Pair {...curve} />
            </li>
          ))}
        </ul>
      )}
      <div ref={frame} class="plot" role="img" aria-label={name(texts, place)} />
    </>
  );
}

/** A curve's name and value, which stay on one line. */
function Pair({ label, color, text }: Pick<Curve, 'label' | 'color'> & { readonly text: string }) {
  return (
    <span class="pair">
      <Key color={color}>{label}</Key> <output>{text}</output>
    </span>
  );
}

/** Returns the last value at or before a position, by default the newest. */
function valueAt(x: readonly number[], values: Curve['values'], at: number | undefined): number | undefined {
  return (
    values.findLast((value, index) => typeof value === 'number' && (at === undefined || x[index]! <= at)) ?? undefined
  );
}

/** Diameter of a mark in pixels. */
const markSize = 7;

function optionsOf(element: HTMLElement, latest: { readonly current: CurvesProps }): uPlot.Options {
  const { curves, y, yRange, isBare = false, isSynced = false, xSteps } = latest.current;
  const color = (token: string) => () => cssColor(token);
  const axis: uPlot.Axis = {
    show: !isBare,
    stroke: color('--text-muted'),
    font: `12px ${getComputedStyle(element).fontFamily}`,
    grid: { stroke: color('--border'), width: 1 },
    ticks: { show: false },
    values: labels,
  };
  const xRange = (_plot: uPlot, low: number | null, high: number | null): [number, number] => {
    const { xEnd } = latest.current;
    return xEnd ? [0, xEnd(high ?? 0)] : [low ?? 0, high ?? 1];
  };
  const scale: uPlot.Scale = verticalAxes[y].scale;
  return {
    width: element.clientWidth,
    height: element.clientHeight,
    legend: { show: false },
    // On the right, half of the last label, such as 46,900, hangs over the axis.
    padding: isBare ? [0, 0, 0, 0] : [8, 20, 0, 0],
    cursor: {
      y: false,
      drag: { setScale: false },
      points: { show: false },
      ...(isSynced && { sync: { key: 'curves' } }),
    },
    scales: {
      x: { time: false, range: xRange },
      y: yRange ? { ...scale, range: (plot, low, high) => latest.current.yRange!(plot, low, high) } : scale,
    },
    axes: [
      { ...axis, space: 48, size: 28, gap: 6, ...(xSteps && { incrs: xSteps }) },
      { ...axis, space: 32, size: 56, gap: 8, ...verticalAxes[y].axis },
    ],
    series: [{}, ...curves.map(seriesOf)],
    hooks: { draw: [(plot) => latest.current.onDraw?.(plot)] },
  };
}

function seriesOf({ color, width = 2, dash = [], fill, hasMarks = false, isOffScale = false }: Curve): uPlot.Series {
  const stroke = () => cssColor(color);
  const marks = hasMarks
    ? { show: fitMarks, width: 2, stroke, fill: () => cssColor('--surface') }
    : { show: isAlone, width: 0, fill: stroke };
  // Points are not rounded to whole pixels, which would cause kinks.
  const line = { stroke, width, dash, pxAlign: 0, spanGaps: true, auto: !isOffScale };
  return { ...line, points: { ...marks, size: markSize }, ...(fill && { fill: () => cssColor(fill) }) };
}

/** Whether the points of a series fit side by side as marks; more points are drawn as a line. */
function fitMarks(plot: uPlot, series: number): boolean {
  return pointCount(plot, series) * markSize <= plot.over.clientWidth;
}

/** Whether a series has a single point, which a line would not show. */
function isAlone(plot: uPlot, series: number): boolean {
  return pointCount(plot, series) === 1;
}

function pointCount(plot: uPlot, series: number): number {
  return (plot.data[series] ?? []).filter((value) => typeof value === 'number').length;
}
