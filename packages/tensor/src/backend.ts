/** The interface between tensors and a device: float32 storages, and programs of calls that read and write them. */
import type { Formula } from './formula.ts';
import type { Shape } from './shape.ts';

/** A run of float32 values on a device. What it holds after `allocate` is unspecified until written. */
export interface Storage {
  /** Number of float32 values. */
  readonly length: number;
}

/** How one input of a map is read: element (i, j, …) of the call's shape lies at `i * strides[0] + j * strides[1] + …`. */
export interface StridedView {
  readonly storage: Storage;
  /** In elements, one per axis of the call's shape; 0 repeats the input along that axis. */
  readonly strides: readonly number[];
}

/** `output[e] = formula(inputs at e)` for every element of `shape`; the output is contiguous. */
export interface MapCall {
  readonly kind: 'map';
  readonly formula: Formula;
  readonly shape: Shape;
  readonly inputs: readonly StridedView[];
  /** May be the very storage of an input that is read contiguously: the map then works in place. */
  readonly output: Storage;
}

/**
 * Reduces the middle axis: `[outer, length, inner] -> [outer, inner]`.
 * - `sum`, inner > 1: one chain in increasing order from +0. inner = 1: sixteen chains, element i in chain i mod 16,
 *   chains j and j + 8 added, then j and j + 4, j + 2, j + 1.
 * - `argmax`: index of the first largest value; a NaN counts as largest. Needs length >= 1.
 */
export interface ReduceCall {
  readonly kind: 'reduce';
  readonly reduction: 'sum' | 'argmax';
  readonly outer: number;
  readonly length: number;
  readonly inner: number;
  readonly input: Storage;
  readonly output: Storage;
}

/**
 * `output[m, n] = left[m, k] x right[k, n]`, all contiguous; a transposed operand is stored as [k, m] or [n, k].
 * Every output element is one chain over k in increasing order from +0, a product rounded and then added,
 * so that a row's bits do not depend on the other rows. The output must not overlap an operand.
 */
export interface MatmulCall {
  readonly kind: 'matmul';
  readonly m: number;
  readonly k: number;
  readonly n: number;
  readonly left: Storage;
  readonly right: Storage;
  readonly transposeLeft: boolean;
  readonly transposeRight: boolean;
  readonly output: Storage;
}

/**
 * Softmax cross-entropy of each row with its gradient, in one pass over `logits` [rows, classes].
 * With `z = logits - max(row)` and `s = sum(exp(z))` (a chain in increasing order from +0):
 * `losses[row] = log(s) - z[label]` and `gradient[row, c] = exp(z[c]) / s - (c == label)`.
 * `labels` [rows] holds class indices; a label that is not a whole number in [0, classes) makes its row NaN.
 */
export interface CrossEntropyCall {
  readonly kind: 'crossEntropy';
  readonly rows: number;
  readonly classes: number;
  readonly logits: Storage;
  readonly labels: Storage;
  readonly losses: Storage;
  /** [rows, classes]; left out where nobody needs it. */
  readonly gradient?: Storage;
}

/** One unit of work that a backend knows. Its storages must be long enough; a backend checks that when it prepares. */
export type Call = MapCall | ReduceCall | MatmulCall | CrossEntropyCall;

/** Calls made ready. It must not run once a storage of its calls was freed. */
export interface Program {
  /** Runs the calls in order on what the storages hold now; allocates nothing. */
  run(): void;
  /** Gives back what preparing took; the storages belong to the caller. */
  dispose(): void;
}

/** A device that computes in float32. Only `download` is asynchronous. */
export interface Backend {
  /** What a person types after `--backend`. */
  readonly name: string;
  /** Name of the arithmetic: two backends with equal names give equal bits for equal calls. */
  readonly arithmetic: string;
  /** New storage for `length` values. */
  allocate(length: number): Storage;
  /** A view of `length` values from `offset` on; it shares the memory and dies with the whole. */
  slice(storage: Storage, offset: number, length: number): Storage;
  /** Copies values in; lengths must be equal. */
  upload(storage: Storage, values: Float32Array): void;
  /** Writes `bytes[i] / divisor`, a float32 division; lengths must be equal. */
  uploadBytes(storage: Storage, bytes: Uint8Array, divisor: number): void;
  /** Copies values out. */
  download(storage: Storage): Promise<Float32Array>;
  /** Gives back what `allocate` returned (not a slice); using it or its slices afterwards throws. */
  free(storage: Storage): void;
  /** Checks calls and makes them ready to run any number of times. */
  prepare(calls: readonly Call[]): Program;
}

/** A backend whose storages JavaScript can see. */
export interface HostBackend extends Backend {
  /** The storage's own memory, not a copy. Valid until the next `allocate` or `prepare`. */
  view(storage: Storage): Float32Array;
  /** Whether no value is NaN or infinite. */
  allFinite(storage: Storage): boolean;
}

export function isHostBackend(backend: Backend): backend is HostBackend {
  return 'view' in backend && 'allFinite' in backend;
}
