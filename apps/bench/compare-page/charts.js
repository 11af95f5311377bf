/** The charts of a comparison's page, drawn by uPlot from the report that the page holds. */

/**
 * @typedef {import('../src/compare/results.ts').TrainingResult} TrainingResult
 * @typedef {import('../src/compare/results.ts').LockstepRow} LockstepRow
 * @typedef {import('../src/compare/results.ts').PeerRow} PeerRow
 * @typedef {import('uplot')} Plot
 * @typedef {(element: HTMLElement, result: TrainingResult) => void} Chart
 * @typedef {{ x: number, y: number, text: string, dot?: string, align?: CanvasTextAlign }} Label in canvas pixels; `dot`
 *   is the color of a dot behind the text
 */

const uPlot = /** @type {typeof import('uplot')} */ (Reflect.get(globalThis, 'uPlot'));
/** @type {import('../src/compare/compare.ts').CompareReport} */
const { results } = JSON.parse(document.getElementById('report')?.textContent ?? '');

const narrowWidth = 420;
/** @type {(keyof NonNullable<LockstepRow['parts']>)[]} */
const parts = ['compute', 'pack', 'send', 'wait', 'reduce', 'optimizer'];

/** @param {string} name of a custom property of the style sheet, which differs in light and dark */
const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`);

/** @param {LockstepRow | PeerRow} row */
const colorOf = (row) => (row.kind === 'peer' ? 'peer' : row.workers.kind);

/** @param {TrainingResult} result @returns {LockstepRow[]} */
const lockstepRows = ({ rows }) => rows.filter((row) => row.kind === 'lockstep');

/** The number of threads, processes, workers or tabs. @param {LockstepRow} row */
const dotText = ({ workers: { count } }) => `${count}`;

/** @param {Plot} plot @param {readonly Label[]} labels */
function drawLabels({ ctx }, labels) {
  ctx.save();
  ctx.font = `${12 * devicePixelRatio}px system-ui, sans-serif`;
  ctx.textBaseline = 'middle';
  ctx.lineWidth = 1.5 * devicePixelRatio;
  for (const { x, y, text, dot, align = 'center' } of labels) {
    if (dot !== undefined) {
      ctx.beginPath();
      ctx.arc(x, y, 9 * devicePixelRatio, 0, 2 * Math.PI);
      ctx.fillStyle = color(dot);
      ctx.fill();
      ctx.strokeStyle = color('card');
      ctx.stroke();
    }
    ctx.fillStyle = color(dot === undefined ? 'ink' : 'card');
    ctx.textAlign = align;
    ctx.fillText(text, x, y);
  }
  ctx.restore();
}

const axisStyle = {
  font: '12px system-ui, sans-serif',
  stroke: () => color('quiet'),
  grid: { stroke: () => color('line'), width: 1 },
  ticks: { show: false },
};

const padding = /** @type {[number, number, number, number]} */ ([6, 18, 0, 0]);
const base = { legend: { show: false }, cursor: { show: false }, padding };

/**
 * Draws a chart, and draws it again when its width or the color scheme changes.
 * @param {HTMLElement} element
 * @param {(width: number) => number} heightAt
 * @param {Omit<import('uplot').Options, 'width' | 'height' | 'hooks'>} options
 * @param {import('uplot').AlignedData} data
 * @param {(plot: Plot) => readonly Label[]} labels
 */
function show(element, heightAt, options, data, labels) {
  const size = () => ({ width: element.clientWidth, height: heightAt(element.clientWidth) });
  /** @param {Plot} plot */
  const draw = (plot) => drawLabels(plot, labels(plot));
  const plot = new uPlot({ ...options, ...size(), hooks: { draw: [draw] } }, data, element);
  new ResizeObserver(() => plot.setSize(size())).observe(element);
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => plot.redraw());
}

/**
 * Draws a chart with one row for each name, from top to bottom, and values to the right.
 * @param {HTMLElement} element
 * @param {readonly string[]} names
 * @param {{ scale: import('uplot').Scale, axis: import('uplot').Axis, labels: (plot: Plot) => readonly Label[],
 *   series: readonly (import('uplot').Series & { column: readonly (number | null)[] })[] }} content
 */
function showRows(element, names, { scale, axis, series, labels }) {
  const indices = names.map((_, index) => index);
  const isNarrow = () => element.clientWidth < narrowWidth;
  const nameAxis = {
    ...axisStyle,
    stroke: () => color('ink'),
    side: 3,
    grid: { show: false },
    size: () => (isNarrow() ? 20 : 176),
    splits: () => indices,
    values: () => (isNarrow() ? [] : [...names]),
  };
  /** Row names, placed above the rows if there is no room next to them. @param {Plot} plot @returns {Label[]} */
  const nameLabels = (plot) =>
    names.map((text, index) => {
      const y = plot.valToPos(index, 'x', true) - 18 * devicePixelRatio;
      return { x: plot.bbox.left, y, text, align: 'left' };
    });
  const options = {
    ...base,
    scales: {
      x: { time: false, ori: /** @type {const} */ (1), dir: /** @type {const} */ (-1), range: rowRange },
      y: { ori: /** @type {const} */ (0), dir: /** @type {const} */ (1), ...scale },
    },
    axes: [nameAxis, { ...axisStyle, side: 2, size: 28, ...axis }],
    series: [{}, ...series.map(({ column: _, ...style }) => style)],
  };
  const heightAt = (/** @type {number} */ width) => names.length * (width < narrowWidth ? 44 : 26) + 40;
  const data = /** @type {import('uplot').AlignedData} */ ([indices, ...series.map(({ column }) => [...column])]);
  show(element, heightAt, options, data, (plot) => [...(isNarrow() ? nameLabels(plot) : []), ...labels(plot)]);
}

/** Leaves half a row of margin at both ends. @param {Plot} plot @returns {[number, number]} */
const rowRange = (plot) => [-0.6, (plot.data[0]?.length ?? 0) - 0.4];

/** @param {string} kind a color @param {number} width of the line between bars */
const barStyle = (kind, width) => ({
  width,
  points: { show: false },
  fill: () => color(kind),
  stroke: () => color('card'),
  paths: uPlot.paths.bars?.({ size: [0.75, 18] }) ?? (() => null),
});

/** @param {number} most the greatest labeled value @param {string} unit @returns {import('uplot').Axis} */
const axisTo = (most, unit) => ({
  space: 60,
  values: (_, splits) => splits.map((split) => (split > most ? '' : `${split.toLocaleString('en-US')}${unit}`)),
});

/**
 * A label to the right of a bar.
 * @param {Plot} plot
 * @param {number} value
 * @param {number} row
 * @param {string} text
 * @returns {Label}
 */
const labelBeside = (plot, value, row, text) => {
  const x = plot.valToPos(value, 'y', true) + 6 * devicePixelRatio;
  return { x, y: plot.valToPos(row, 'x', true), text, align: 'left' };
};

/**
 * Bars of images per second, each with a line that spans the rounds and the ratio to one thread on the right.
 * @type {Chart}
 */
const showThroughput = (element, { rows }) => {
  const timed = rows.filter((row) => row.kind !== 'missing');
  const most = Math.max(...timed.map(({ imagesPerSecond }) => imagesPerSecond.max));
  const names = timed.map(({ name }) => name);
  showRows(element, names, {
    scale: { range: () => [0, most * 1.5] },
    axis: axisTo(most, ''),
    series: [...new Set(timed.map(colorOf))].map((kind) => ({
      ...barStyle(kind, 0),
      column: timed.map((row) => (colorOf(row) === kind ? row.imagesPerSecond.median : null)),
    })),
    labels: (plot) =>
      timed.map(({ imagesPerSecond: { min, median, max }, timesOneThread }, index) => {
        const [left, right] = [plot.valToPos(min, 'y', true), plot.valToPos(max, 'y', true)];
        const y = plot.valToPos(index, 'x', true);
        plot.ctx.fillStyle = color('ink');
        plot.ctx.fillRect(left, y - devicePixelRatio, right - left, 2 * devicePixelRatio);
        const text = `${Math.round(median).toLocaleString('en-US')}  ${timesOneThread.median.toFixed(2)}x`;
        return labelBeside(plot, max, index, text);
      }),
  });
};

/** Each row's median step, split into its parts from left to right. @type {Chart} */
const showStep = (element, result) => {
  const rows = lockstepRows(result).flatMap(({ name, parts: ms }) => (ms ? [{ name, ms }] : []));
  // Bars of running sums, drawn longest first: each one covers the beginning of the previous one.
  const sums = parts.map((_, last) =>
    rows.map(({ ms }) => parts.slice(0, last + 1).reduce((sum, part) => sum + ms[part], 0)),
  );
  const totals = sums.at(-1) ?? [];
  const most = Math.max(...totals);
  const names = rows.map(({ name }) => name);
  showRows(element, names, {
    scale: { range: () => [0, most * 1.25] },
    axis: axisTo(most, ' ms'),
    series: parts.map((part, index) => ({ ...barStyle(part, 1), column: sums[index] ?? [] })).reverse(),
    labels: (plot) => totals.map((total, index) => labelBeside(plot, total, index, `${total.toPrecision(3)} ms`)),
  });
};

const lineStyle = { width: 2, spanGaps: true, points: { show: false } };
/** Indexed by the number of threads, processes, workers or tabs. */
const dashes = [
  [6, 3],
  [12, 4],
  [2, 3],
  [10, 3, 2, 3],
];

/**
 * Loss over seconds: one line with a dot at its end for each row of Lockstep. Losses are running means.
 * @type {Chart}
 */
const showCurves = (element, result) => {
  const rows = lockstepRows(result);
  const curves = rows.map(({ curve }) => smoothed(curve));
  /** @param {LockstepRow} row */
  const dashOf = ({ workers, efficiency }) => (efficiency === null ? [] : dashes[(workers.count - 1) % dashes.length]);
  const options = {
    ...base,
    scales: { x: { time: false, range: fromZero }, y: { range: fromZero } },
    axes: [
      { ...axisStyle, size: 28, values: inSeconds },
      { ...axisStyle, size: 40 },
    ],
    series: [{}, ...rows.map((row) => ({ ...lineStyle, stroke: () => color(colorOf(row)), dash: dashOf(row) }))],
  };
  show(
    element,
    () => 240,
    options,
    uPlot.join(curves),
    (plot) =>
      curves.map(([seconds, losses], index) => {
        const row = /** @type {LockstepRow} */ (rows[index]);
        const [x, y] = [plot.valToPos(seconds.at(-1) ?? 0, 'x', true), plot.valToPos(losses.at(-1) ?? 0, 'y', true)];
        return { x, y, text: dotText(row), dot: colorOf(row) };
      }),
  );
};

/** @param {Plot} _ @param {number[]} splits */
const inSeconds = (_, splits) => splits.map((split) => `${split} s`);

/**
 * Leaves a little space above the data.
 * @param {Plot} _
 * @param {number} _low
 * @param {number} high
 * @returns {[number, number]}
 */
const fromZero = (_, _low, high) => [0, high * 1.05];

/**
 * Seconds, and running means of the loss over a thirtieth of the run, to keep the lines distinguishable.
 * @param {LockstepRow['curve']} curve
 * @returns {[number[], number[]]}
 */
function smoothed(curve) {
  const reach = Math.floor(curve.length / 60);
  const losses = curve.map((_, index) => {
    const near = curve.slice(Math.max(0, index - reach), index + reach + 1);
    return near.reduce((sum, { loss }) => sum + loss, 0) / near.length;
  });
  return [curve.map(({ seconds }) => seconds), losses];
}

/** @type {Record<string, Chart>} */
const charts = { throughput: showThroughput, step: showStep, curves: showCurves };
for (const element of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll('.plot'))) {
  const { chart = '', training = '0' } = element.dataset;
  charts[chart]?.(element, /** @type {TrainingResult} */ (results[Number(training)]));
}
