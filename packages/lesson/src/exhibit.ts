/** What a chapter shows, as plain data: a terminal prints it, a page draws it, a worker can send it. */
import type { Verdict } from './verdict.ts';

/** Numbers with their names. */
export interface Figures {
  readonly kind: 'figures';
  readonly figures: readonly { readonly label: string; readonly value: string }[];
}

export interface Table {
  readonly kind: 'table';
  readonly caption: string;
  readonly header: readonly string[];
  /** Columns of numbers are aligned to the right. */
  readonly rows: readonly (readonly (string | number)[])[];
}

/** Whether every cell of a column is a number, with or without a unit, or empty. */
export function isNumericColumn({ rows }: Table, column: number): boolean {
  return rows.every((row) => typeof row[column] === 'number' || /^(-?\d|NaN|infinity|$)/.test(row[column]!));
}

export interface Bars {
  readonly kind: 'bars';
  readonly caption: string;
  /** Whether the values are probabilities, whose bars end at 100 %. */
  readonly areProbabilities?: boolean;
  /** `value` may be negative, or not finite, which no bar shows; `text` is what stands beside it. */
  readonly bars: readonly { readonly label: string; readonly value: number; readonly text: string }[];
}

export interface Curves {
  readonly kind: 'curves';
  readonly caption: string;
  readonly xLabel: string;
  readonly x: readonly number[];
  readonly series: readonly { readonly label: string; readonly values: readonly number[] }[];
  /** A logarithmic axis for the values, where they span powers of ten. */
  readonly isLogarithmic?: boolean;
}

/** Curves of training that grow while a person changes its settings; the last one trains. */
export interface LiveCurves {
  readonly kind: 'live-curves';
  readonly caption: string;
  /** Steps after which a curve ends. */
  readonly length: number;
  readonly curves: readonly LiveCurve[];
}

export interface LiveCurve {
  readonly label: string;
  /** Steps taken at each place of the curve. */
  readonly steps: readonly number[];
  /** Mean losses of the batches since the place before. */
  readonly losses: readonly number[];
  /** Of the test samples, 0 to 1. */
  readonly accuracies: readonly number[];
  /** What was changed after so many steps. */
  readonly changes: readonly { readonly step: number; readonly text: string }[];
  /** Test loss and test accuracy before the first step. */
  readonly untrained: { readonly loss: number; readonly accuracy: number };
  /** Once the curve has ended. */
  readonly verdict?: Verdict;
}

/** Lines of the chapter's own source code, and what each one does. */
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

/** A matrix as shades, with its numbers where it is small. */
export interface Grid {
  readonly kind: 'grid';
  readonly caption: string;
  readonly rows: number;
  readonly columns: number;
  /** [rows, columns] */
  readonly values: readonly number[];
  readonly showsNumbers?: boolean;
}

/** A part of the plane with a value at each place, and what lies in it. */
export interface Plane {
  readonly kind: 'plane';
  readonly caption: string;
  readonly x: readonly [from: number, to: number];
  readonly y: readonly [from: number, to: number];
  /** Values at the centers of equal cells, the row of the largest y first; `low` and `high` are the ends of the shades. */
  readonly field?: {
    readonly rows: number;
    readonly columns: number;
    readonly values: readonly number[];
    readonly low: number;
    readonly high: number;
  };
  /** `isOn` tells two classes apart. */
  readonly points?: readonly {
    readonly x: number;
    readonly y: number;
    readonly label: string;
    readonly isOn: boolean;
  }[];
  /** From the origin. */
  readonly arrows?: readonly { readonly x: number; readonly y: number; readonly label: string }[];
  /** Places one after another; those outside of the plane are where it leaves it. */
  readonly path?: readonly (readonly [x: number, y: number])[];
}

/** What each neuron of the hidden layers gives over a part of the plane. */
export interface Neurons {
  readonly kind: 'neurons';
  readonly caption: string;
  /** Of a neuron's picture: equal cells, the row of the largest y first. */
  readonly rows: number;
  readonly columns: number;
  readonly layers: readonly NeuronLayer[];
}

export interface NeuronLayer {
  readonly neurons: number;
  /** Of the first neurons, [shown, rows, columns]: each over its largest size, so from -1 to 1, or 0 everywhere. */
  readonly values: Float32Array;
}

/** A computation, from left to right: what each node computed, and the gradient of the last one by it. */
export interface Graph {
  readonly kind: 'graph';
  readonly caption: string;
  readonly nodes: readonly GraphNode[];
}

export interface GraphNode {
  readonly id: string;
  /** How it is computed, such as `w1 x1`. */
  readonly formula: string;
  /** Ids of the nodes that it reads; none for an input. */
  readonly from: readonly string[];
  readonly value: number;
  readonly gradient: number;
}

export type Exhibit = Figures | Table | Bars | Curves | LiveCurves | Code | Pictures | Grid | Plane | Neurons | Graph;
