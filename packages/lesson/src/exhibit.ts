/** Exhibits of a chapter as plain data, and the text of their numbers: a terminal prints them, a page draws them. */
import { percent } from '@lockstep/data/shown';
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
  readonly untrained: { readonly loss: number; readonly accuracy: number };
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

export type Exhibit = Figures | Table | Bars | Curves | LiveCurves | Code | Pictures | Grid | Plane | Neurons | Graph;

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
