/** Exhibits of a chapter as plain data and as text: a terminal prints the text, a page draws the data. */
import { percent, thousands } from '@lockstep/data/shown';
import type { Measured } from './values.ts';
import type { Verdict } from './verdict.ts';

export { percent, thousands } from '@lockstep/data/shown';

/** Named numbers. */
export interface Figures {
  readonly kind: 'figures';
  readonly figures: readonly { readonly label: string; readonly value: string }[];
}

export interface Table {
  readonly kind: 'table';
  readonly caption: string;
  readonly header: readonly string[];
  /** Numeric columns are aligned to the right. */
  readonly rows: readonly (readonly (string | number)[])[];
}

/** Whether every cell of a column is a number, with or without a unit, or empty. */
export function isNumericColumn({ rows }: Table, column: number): boolean {
  return rows.every((row) => typeof row[column] === 'number' || /^(-?\d|NaN|infinity|$)/.test(row[column]!));
}

export interface Bars {
  readonly kind: 'bars';
  readonly caption: string;
  /** Whether the values are probabilities, whose axis ends at 100 %. */
  readonly areProbabilities?: boolean;
  readonly bars: readonly Bar[];
  /** Meanings of the bars' colors. */
  readonly keys?: readonly { readonly color: string; readonly label: string }[];
}

export interface Bar {
  readonly label: string;
  /** May be negative; if it is not finite, there is no bar. */
  readonly value: number;
  /** Shown next to the bar. */
  readonly text: string;
  /** Color token; by default, the color depends on the sign. */
  readonly color?: string;
  /** Parts that add up to the value, from left to right. */
  readonly parts?: readonly { readonly value: number; readonly color: string; readonly label: string }[];
  /** Lowest and highest of the measurements that the value summarizes. */
  readonly range?: readonly [low: number, high: number];
}

export interface Curves {
  readonly kind: 'curves';
  readonly caption: string;
  readonly xLabel: string;
  readonly x: readonly number[];
  /** A value for each of `x`; one that is not finite is not drawn. */
  readonly series: readonly { readonly label: string; readonly values: readonly number[] }[];
  /** Whether the value axis is logarithmic, for values that span powers of ten. */
  readonly isLogarithmic?: boolean;
}

/** Training curves that grow while the user changes settings; the last one is still training. */
export interface LiveCurves {
  readonly kind: 'live-curves';
  readonly caption: string;
  /** Number of steps after which a curve ends. */
  readonly length: number;
  readonly curves: readonly LiveCurve[];
}

export interface LiveCurve {
  readonly label: string;
  /** Number of steps taken at each point of the curve. */
  readonly steps: readonly number[];
  /** Mean loss of the batches since the previous point. */
  readonly losses: readonly number[];
  /** Accuracies on the test samples, 0 to 1. */
  readonly accuracies: readonly number[];
  /** Changes of settings, with the number of steps taken before each. */
  readonly changes: readonly { readonly step: number; readonly text: string }[];
  /** Test loss and test accuracy before the first step. */
  readonly untrained: Measured;
  /** Present once the curve has ended. */
  readonly verdict?: Verdict;
}

/** Lines of the chapter's own source code, with a note on each. */
export interface Code {
  readonly kind: 'code';
  readonly caption: string;
  readonly lines: readonly { readonly code: string; readonly note: string }[];
}

/** Gray pictures of one size, each with a text. */
export interface Pictures {
  readonly kind: 'pictures';
  readonly caption: string;
  readonly rows: number;
  readonly columns: number;
  /** Values from 0 to 1. */
  readonly pictures: readonly { readonly values: Float32Array; readonly text: string }[];
}

/** A matrix as shades, optionally with its numbers. */
export interface Grid {
  readonly kind: 'grid';
  readonly caption: string;
  readonly rows: number;
  readonly columns: number;
  /** [rows, columns] */
  readonly values: readonly number[];
  readonly showsNumbers?: boolean;
}

/** Texts that a model writes at several steps of its training. */
export interface Texts {
  readonly kind: 'texts';
  readonly caption: string;
  /** In the order of their steps. */
  readonly samples: readonly { readonly step: number; readonly text: string }[];
}

/** Weights with which tokens look at tokens, a map for each attention head. */
export interface Attention {
  readonly kind: 'attention';
  readonly caption: string;
  /** The tokens of the text, as people read them. */
  readonly tokens: readonly string[];
  /** [tokens, tokens] each: a row for each query, whose weights add up to 1. */
  readonly maps: readonly { readonly label: string; readonly weights: ArrayLike<number> }[];
}

/** A part of the plane with a value at each place, and the points, arrows and path in it. */
export interface Plane {
  readonly kind: 'plane';
  readonly caption: string;
  readonly x: readonly [from: number, to: number];
  readonly y: readonly [from: number, to: number];
  /** Values at the centers of equal cells, from the row of the largest y on. `low` and `high` end the color scale. */
  readonly field?: {
    readonly rows: number;
    readonly columns: number;
    readonly values: readonly number[];
    readonly low: number;
    readonly high: number;
  };
  /** `isOn` distinguishes two classes. */
  readonly points?: readonly {
    readonly x: number;
    readonly y: number;
    readonly label: string;
    readonly isOn: boolean;
  }[];
  /** Whether the labels stand in the plane in place of dots. */
  readonly showsLabels?: boolean;
  /** Arrows from the origin. */
  readonly arrows?: readonly { readonly x: number; readonly y: number; readonly label: string }[];
  /** Successive places; the path leaves the plane at places outside it. */
  readonly path?: readonly (readonly [x: number, y: number])[];
}

/** Output of each hidden neuron over a part of the plane. */
export interface Neurons {
  readonly kind: 'neurons';
  readonly caption: string;
  /** Equal cells of a neuron's picture, starting with the row of the largest y. */
  readonly rows: number;
  readonly columns: number;
  readonly layers: readonly NeuronLayer[];
}

export interface NeuronLayer {
  readonly neurons: number;
  /**
   * Outputs of the first neurons, [shown, rows, columns]. Each picture is divided by its largest absolute value, so it
   * ranges from -1 to 1, or is 0 everywhere.
   */
  readonly values: Float32Array;
}

/** A computation from left to right: the value of each node, and the gradient of the last node with respect to it. */
export interface Graph {
  readonly kind: 'graph';
  readonly caption: string;
  readonly nodes: readonly GraphNode[];
}

export interface GraphNode {
  readonly id: string;
  /** Formula of the node, such as `w1 x1`. */
  readonly formula: string;
  /** Ids of the nodes that this node reads; none for an input. */
  readonly from: readonly string[];
  readonly value: number;
  readonly gradient: number;
}

/** Named numbers, by their labels. */
export function figures(values: Readonly<Record<string, string>>): Figures {
  return { kind: 'figures', figures: Object.entries(values).map(([label, value]) => ({ label, value })) };
}

export function table(caption: string, header: Table['header'], rows: Table['rows']): Table {
  return { kind: 'table', caption, header, rows };
}

export function bars(caption: string, all: Bars['bars'], areProbabilities = false): Bars {
  return { kind: 'bars', caption, bars: all, areProbabilities };
}

/** @param series values at each of `x`, by their label */
export function curves(
  caption: string,
  xLabel: string,
  x: readonly number[],
  series: Readonly<Record<string, readonly number[]>>,
  isLogarithmic = false,
): Curves {
  const all = Object.entries(series).map(([label, values]) => ({ label, values }));
  return { kind: 'curves', caption, xLabel, x, series: all, isLogarithmic };
}

/** The loss before each step, next to constant levels. */
export function lossCurves(
  caption: string,
  losses: readonly number[],
  levels: Readonly<Record<string, number>> = {},
): Curves {
  const constant = Object.entries(levels).map(([label, level]) => [label, losses.map(() => level)] as const);
  return curves(caption, 'step', [...losses.keys()], { loss: losses, ...Object.fromEntries(constant) });
}

/** Lines of cells, to be padded to their column's width. */
export interface TextTable {
  readonly columns: readonly { readonly header?: string; readonly align?: 'left' | 'right' }[];
  readonly rows: readonly (readonly string[])[];
  readonly indent?: string;
}

/** Lines, and tables for the terminal to align. */
type Text = readonly (string | TextTable)[];

/** Each kind of exhibit, with its text; the page has a view for each. */
const texts = {
  figures: figuresText,
  table: tableText,
  bars: barsText,
  curves: curvesText,
  'live-curves': liveCurvesText,
  code: codeText,
  pictures: picturesText,
  grid: gridText,
  texts: textsText,
  attention: attentionText,
  plane: planeText,
  neurons: neuronsText,
  graph: graphText,
} as const;

export type Exhibit = Parameters<(typeof texts)[keyof typeof texts]>[0];

export function textOf(exhibit: Exhibit): Text {
  return (texts[exhibit.kind] as (exhibit: Exhibit) => Text)(exhibit);
}

/** Widths in characters of bars, of curves, and of shaded planes. */
const [barWidth, curveWidth, planeWidth] = [40, 40, 48];
/** A character is about twice as high as it is wide. */
const aspect = 2;
const indent = '  ';
const right = { align: 'right' } as const;

/** A terminal has no room for pictures of many neurons: says how many there are, and how many give 0 everywhere. */
function neuronsText({ caption, layers, rows, columns }: Neurons): Text {
  const lines = layers.map(({ neurons, values }, layer) => {
    const shown = values.length / (rows * columns);
    const silent = silentNeurons(values, rows * columns);
    return [`  layer ${layer + 1}`, `${neurons} neurons`, `${silent} of the first ${shown} give 0 everywhere`];
  });
  return [`${caption}:`, { columns: [{}, {}, {}], rows: lines }];
}

function figuresText({ figures }: Figures): Text {
  return [{ columns: [{}, {}], rows: figures.map(({ label, value }) => [label, value]) }];
}

function tableText(table: Table): Text {
  const { caption, header, rows } = table;
  const columns = header.map((text, column) => ({
    header: text,
    align: isNumericColumn(table, column) ? ('right' as const) : ('left' as const),
  }));
  return [`${caption}:`, { columns, rows: rows.map((row) => row.map(String)), indent }];
}

/** Bars on one axis, with its ends labeled below; negative bars end at 0. */
function barsText(exhibit: Bars): Text {
  const axis = barAxis(exhibit);
  const rows = exhibit.bars.map(({ label, value, text }) => {
    const { start, length } = barOn(axis, value);
    return [label, text, ' '.repeat(Math.round(barWidth * start)) + barText(barWidth * length)];
  });
  const ends = `${axis.fromText.padEnd(barWidth - axis.toText.length)}${axis.toText}`;
  return [`${exhibit.caption}:`, { columns: [right, right, {}], rows: [...rows, ['', '', ends]], indent }];
}

function curvesText({ caption, xLabel, x, series, isLogarithmic = false }: Curves): Text {
  const scale = isLogarithmic ? Math.log : (value: number): number => value;
  const drawn = series.map(({ label, values }) => ({ label, values, heights: values.map(scale) }));
  const range = rangeOf(drawn.flatMap(({ heights }) => heights));
  const rows = drawn.map(({ label, values, heights }) => curveRow(label, values, heights, range));
  return [`${caption} (${xLabel} ${short(x[0]!)} to ${short(x.at(-1)!)}):`, { columns: curveColumns, rows, indent }];
}

const curveColumns = [{}, right, {}, right];

function rangeOf(heights: readonly number[]): readonly [low: number, high: number] {
  const finite = heights.filter(Number.isFinite);
  return [Math.min(...finite), Math.max(...finite)];
}

/** A curve's name, its first value, its heights as a line of characters, and its last value. */
function curveRow(
  label: string,
  values: readonly number[],
  heights: readonly number[],
  [low, high]: readonly number[],
) {
  const width = Math.min(curveWidth, heights.length);
  const at = (place: number): number =>
    heights[width === 1 ? 0 : Math.round((place * (heights.length - 1)) / (width - 1))]!;
  const line = Array.from({ length: width }, (_, place) => levelText(at(place), low!, high!)).join('');
  return [label, short(values[0]!), line, short(values.at(-1)!)];
}

function liveCurvesText({ caption, curves }: LiveCurves): Text {
  const parts = curves.flatMap((curve): Text => {
    const { label, steps, losses, accuracies, changes } = curve;
    if (steps.length === 0) return [`  Curve ${label}: ${curveText(curve)}`];
    const percents = accuracies.map((accuracy) => 100 * accuracy);
    const rows = [
      curveRow('batch loss', losses, losses, rangeOf(losses)),
      curveRow('test accuracy, %', percents, percents, rangeOf(percents)),
    ];
    const changed = changes.map(({ step, text }) => `  after step ${step}: ${text}`);
    const title = `  Curve ${label} (step ${steps[0]} to ${steps.at(-1)}):`;
    return [title, { columns: curveColumns, rows, indent: '    ' }, ...changed, `    ${curveText(curve)}`];
  });
  return [`${caption}:`, ...parts];
}

function codeText({ caption, lines }: Code): Text {
  return [`${caption}:`, ...lines.flatMap(({ code, note }) => [`${indent}// ${note}`, `${indent}${code}`])];
}

/** Only the texts: a row of pictures is wider than a terminal. */
function picturesText({ caption, pictures }: Pictures): Text {
  return [`${caption}:`, ...pictures.map(({ text }) => `  ${text}`)];
}

function gridText({ caption, rows, columns, values, showsNumbers = false }: Grid): Text {
  const line = (row: number): readonly number[] => values.slice(row * columns, (row + 1) * columns);
  const lines = Array.from({ length: rows }, (_, row) => line(row));
  if (showsNumbers) {
    return [`${caption}:`, { columns: line(0).map(() => right), rows: lines.map((row) => row.map(short)), indent }];
  }
  const [low, high] = [Math.min(0, ...values), Math.max(...values)];
  const shaded = lines.map((row) => `  ${row.map((value) => shadeOf(value, low, high).repeat(aspect)).join('')}`);
  return [`${caption}:`, ...shaded];
}

function textsText({ caption, samples }: Texts): Text {
  const rows = samples.map(({ step, text }) => [`step ${thousands(step)}`, text]);
  return [`${caption}:`, { columns: [right, {}], rows, indent }];
}

function attentionText({ caption, tokens, maps }: Attention): Text {
  const parts = maps.flatMap(({ label, weights }): Text => {
    const rows = tokens.map((token, row) => {
      const own = Array.from({ length: tokens.length }, (_, column) => weights[row * tokens.length + column]!);
      return [token, own.map((weight) => shadeOf(weight, 0, 1).repeat(aspect)).join('')];
    });
    return [`${indent}${label}:`, { columns: [right, {}], rows, indent: '    ' }];
  });
  return [`${caption}:`, ...parts];
}

function planeText({ caption, x, y, field, points = [], arrows = [], path = [], showsLabels = false }: Plane): Text {
  const height = planeWidth / aspect;
  const cells = Array.from({ length: height }, (_, row) =>
    Array.from({ length: planeWidth }, (_, column) => {
      if (!field) return ' ';
      const from = Math.floor(((row + 0.5) / height) * field.rows) * field.columns;
      const value = field.values[from + Math.floor(((column + 0.5) / planeWidth) * field.columns)]!;
      return shadeOf(value, field.low, field.high);
    }),
  );
  const mark = (atX: number, atY: number, text: string): void => {
    const column = Math.floor(((atX - x[0]) / (x[1] - x[0])) * planeWidth);
    const row = Math.floor(((y[1] - atY) / (y[1] - y[0])) * height);
    if (cells[row]?.[column] !== undefined) cells[row][column] = text;
  };
  for (const [step, [atX, atY]] of path.entries()) mark(atX, atY, step === 0 ? 'S' : 'o');
  const end = path.at(-1);
  if (end) mark(end[0], end[1], 'E');
  for (const arrow of arrows) {
    for (let part = 0; part < 1; part += 0.04) mark(arrow.x * part, arrow.y * part, '·');
    mark(arrow.x, arrow.y, arrow.label);
  }
  for (const point of points) {
    const text = showsLabels ? point.label : point.isOn ? '1' : '0';
    for (const [at, letter] of [...text].entries()) mark(point.x + (at * (x[1] - x[0])) / planeWidth, point.y, letter);
  }
  return [`${caption}:`, ...cells.map((row) => `  ${row.join('')}`.trimEnd())];
}

function graphText({ caption, nodes }: Graph): Text {
  const columns = [
    { header: 'node' },
    { header: 'is' },
    { header: 'value', ...right },
    { header: 'gradient', ...right },
  ];
  const rows = nodes.map(({ id, formula, from, value, gradient }) => [
    id,
    from.length === 0 ? 'an input' : formula,
    value.toFixed(4),
    gradient.toFixed(4),
  ]);
  return [`${caption}:`, { columns, rows, indent }];
}

function short(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  return Number.isInteger(value) ? String(value) : value.toPrecision(4);
}

const shades = [' ', '░', '▒', '▓', '█'];
const levels = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const eighths = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];

/** Index of the value among `count` equal parts of the range; values outside count as the first or last part. */
function partOf(value: number, low: number, high: number, count: number): number {
  const part = high > low ? Math.floor(((value - low) / (high - low)) * count) : 0;
  return Math.max(0, Math.min(count - 1, part));
}

function shadeOf(value: number, low: number, high: number): string {
  return shades[partOf(value, low, high, shades.length)]!;
}

/** The character for one point of a curve; a blank if the value is not finite. */
function levelText(value: number, low: number, high: number): string {
  return Number.isFinite(value) ? levels[partOf(value, low, high, levels.length)]! : ' ';
}

/** A bar of this length in characters, to an eighth. */
function barText(length: number): string {
  const whole = Math.floor(length + 1 / 16);
  return '█'.repeat(whole) + eighths[Math.max(0, Math.round((length - whole) * 8)) % 8]!;
}

/** Describes the state of a curve, such as "step 2,000, loss 0.0123, accuracy 99.33 %: generalizes". */
export function curveText({ steps, losses, accuracies, untrained, verdict }: LiveCurve): string {
  const step = steps.at(-1);
  const [loss, accuracy] =
    step === undefined ? [untrained.loss, untrained.accuracy] : [losses.at(-1)!, accuracies.at(-1)!];
  const taken = step === undefined ? 'untrained' : `step ${thousands(step)}`;
  return `${taken}, loss ${decimal(loss, 4)}, accuracy ${percent(accuracy)}${verdict ? `: ${verdict}` : ''}`;
}

/** Counts the neurons that give 0 everywhere, in pictures [shown, cells]. */
export function silentNeurons(values: Float32Array, cells: number): number {
  let silent = 0;
  for (let at = 0; at < values.length; at += cells) {
    if (values.subarray(at, at + cells).every((value) => value === 0)) silent++;
  }
  return silent;
}

export interface BarAxis {
  /** At most 0. */
  readonly from: number;
  /** At least 0. */
  readonly to: number;
  /** Labels of the ends. */
  readonly fromText: string;
  readonly toText: string;
}

/** Leading digits that an end may have. */
const ends = [1, 1.5, 2, 3, 4, 5, 6, 8, 10];

/** Returns an axis from 0 to 100 % for probabilities, else one whose round ends enclose 0 and all values. */
export function barAxis({ bars, areProbabilities = false }: Pick<Bars, 'bars' | 'areProbabilities'>): BarAxis {
  if (areProbabilities) return { from: 0, to: 1, fromText: percent(0, 0), toText: percent(1, 0) };
  const values = bars.flatMap(({ value, range = [] }) => [value, ...range]).filter(Number.isFinite);
  const from = -roundedUp(Math.max(0, ...values.map((value) => -value)));
  const to = roundedUp(Math.max(0, ...values));
  // If all values are 0, the axis still needs a length.
  const axis = from === 0 && to === 0 ? { from: 0, to: 1 } : { from: from + 0, to };
  return { ...axis, fromText: sixDigits(axis.from), toText: sixDigits(axis.to) };
}

function roundedUp(size: number): number {
  if (size === 0) return 0;
  const power = 10 ** Math.floor(Math.log10(size));
  const end = ends.find((digits) => digits * power >= size);
  return end === undefined ? size : Number((end * power).toPrecision(3));
}

/** Returns the start of a bar, from the left end of the axis, and its length, both as fractions of the axis. */
export function barOn({ from, to }: BarAxis, value: number): { readonly start: number; readonly length: number } {
  const zero = -from / (to - from);
  if (!Number.isFinite(value)) return { start: zero, length: 0 };
  const length = Math.abs(value) / (to - from);
  return { start: value < 0 ? zero - length : zero, length };
}

/** Formats a large number with three digits: "13.1 million", "662 billion". */
export function inWords(value: number): string {
  const [unit, name] = value >= 1e9 ? [1e9, 'billion'] : [1e6, 'million'];
  return `${Number((value / unit).toPrecision(3))} ${name}`;
}

/** Formats with `digits` decimal places, or as a power of ten if the number is too small or too large for that. */
export function decimal(value: number, digits = 3): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? 'NaN' : value > 0 ? 'infinity' : '-infinity';
  const size = Math.abs(value);
  if (size !== 0 && (size < 0.5 * 10 ** -digits || size >= 1e6)) return value.toExponential(2);
  // Avoids "-0.000".
  return (value + 0).toFixed(digits);
}

/** Formats with six significant digits: 123456.7 -> "123457". */
export function sixDigits(value: number): string {
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-4 || size >= 1e9)) return value.toExponential(2);
  return `${Number(value.toPrecision(6))}`;
}

/** Formats a shape: "[32, 512, 768]", or "[]" for a scalar. */
export function shapeText(shape: readonly number[]): string {
  return `[${shape.join(', ')}]`;
}
