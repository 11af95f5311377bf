/** A uPlot chart that follows the size of its frame and the color scheme. */
import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import { colorScheme, cssColor } from '../../look/theme.ts';

interface PlotProps {
  /** Accessible name of the chart. */
  readonly name: string;
  readonly data: uPlot.AlignedData;
  /** A new version creates the chart again, with new options. */
  readonly version: string;
  readonly options: (element: HTMLElement) => uPlot.Options;
}

export function Plot({ name, data, version, options }: PlotProps) {
  const frame = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot>(null);
  useEffect(() => {
    const element = frame.current!;
    const created = new uPlot(options(element), [[]], element);
    plot.current = created;
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
  useEffect(() => plot.current?.setData(data), [data, version]);
  return <div ref={frame} class="lesson-plot" role="img" aria-label={name} />;
}

/** Returns a line in a color of the theme. Its points are not rounded to whole pixels, which would cause kinks. */
export function lineOptions(color: string): uPlot.Series {
  return { stroke: () => cssColor(color), width: 2, pxAlign: 0, points: { show: false } };
}

/** Returns axes in the page's colors, without legend and cursor. The caller adds series and scales. */
export function plotOptions(element: HTMLElement): uPlot.Options {
  const axis: uPlot.Axis = {
    stroke: () => cssColor('--text-muted'),
    font: `12px ${getComputedStyle(element).fontFamily}`,
    grid: { stroke: () => cssColor('--border'), width: 1 },
    ticks: { show: false },
  };
  return {
    width: element.clientWidth,
    height: element.clientHeight,
    legend: { show: false },
    cursor: { show: false },
    padding: [8, 24, 0, 0],
    axes: [
      { ...axis, size: 28, gap: 6 },
      { ...axis, size: 56 },
    ],
    series: [],
  };
}
