/** The interface between tensors and a device: float32 storages, calls that read and write them, and prepared programs. */
import type { Formula } from './formula.ts';
import type { Shape, Windows } from './shape.ts';

/** A buffer of `length` float32 values on a device, unspecified until they are written. */
export interface Storage {
  readonly length: number;
}

/** Position of element (i, j, …) of a call's shape: `offset + i * strides[0] + j * strides[1] + …`, in elements. */
export interface Layout {
  /** 0 by default. */
  readonly offset?: number;
  readonly strides: readonly number[];
}

/** One input of a map, and its layout; a stride of 0 repeats the input along that axis. */
export interface StridedView extends Layout {
  readonly storage: Storage;
}

/** `output[e] = formula(inputs at e)` for every element of `shape`. */
export interface MapCall {
  readonly kind: 'map';
  readonly formula: Formula;
  readonly shape: Shape;
  readonly inputs: readonly StridedView[];
  /** May be the storage of an input if both are contiguous: the map then runs in place. */
  readonly output: Storage;
  /** Positions of the results, all distinct; contiguous by default. The rest of the output keeps its values. */
  readonly outputLayout?: Layout;
}

export type Reduction = 'sum' | 'argmax' | 'max' | 'min';

/**
 * Reduces the middle axis: `[outer, length, inner] -> [outer, inner]`.
 * - `sum`, inner > 1: one chain in increasing order from +0. inner = 1: sixteen chains, element i in chain i mod 16,
 *   chains j and j + 8 added, then j and j + 4, j + 2, j + 1. More than 65,536 terms are split into runs of 128, the
 *   last possibly shorter: each run is summed in this order, and the sums are added in pairs like `Microbatches`. A
 *   chain of millions of terms would stop growing; shorter sums are not split, so that training keeps its bits.
 * - `argmax`: index of the first largest value; a NaN counts as largest. Needs length >= 1.
 * - `max`, `min`: the largest or smallest value, with 0 above -0; NaN if any value is NaN. Need length >= 1.
 * Only a `sum` with outer = 1 takes microbatches. Only a `sum` with inner = 1 takes `factor`: its terms are the products
 * `input * factor`, each rounded before it is added.
 */
export interface ReduceCall extends MicrobatchSums {
  readonly kind: 'reduce';
  readonly reduction: Reduction;
  readonly outer: number;
  readonly length: number;
  readonly inner: number;
  readonly input: Storage;
  readonly factor?: Storage;
  readonly output: Storage;
}

/**
 * Number of equal runs that the terms of a sum are split into, 1 by default.
 * Each run is summed separately, in the order of the call. The sums are then added in pairs of neighbors, left + right,
 * the results again in pairs, and so on; a sum without a neighbor passes unchanged. The sum over a batch therefore has
 * the bits of its microbatches, each computed separately and added by a fixed binary tree. A backend without
 * `microbatchSums` adds in an order of its own.
 */
export type Microbatches = number;

/** How a call sums over samples. */
export interface MicrobatchSums {
  readonly microbatches?: Microbatches;
  /** Leaves the sums of the runs apart: the output is [microbatches, ...sum]. */
  readonly stacked?: boolean;
}

/**
 * `output[...batch, m, n] = left[...batch, m, k] x right[...batch, k, n]`: one product for each element of the batch.
 * The layout of an operand transposes it, repeats a matrix of it, or picks a part of a larger tensor.
 * Every output element is one chain over k in increasing order from +0. Each product is rounded before it is added,
 * so that a row's bits do not depend on the other rows. The output must not overlap an operand.
 * Microbatches split the sums over k, only for a left operand that is stored as [k, m], without batch and epilogue.
 */
export interface MatmulCall extends MicrobatchSums {
  readonly kind: 'matmul';
  readonly m: number;
  readonly k: number;
  readonly n: number;
  readonly left: Storage;
  readonly right: Storage;
  /** Contiguous. */
  readonly output: Storage;
  /** No axes by default. */
  readonly batch?: Shape;
  /** Positions of [...batch, m, k]; contiguous by default. */
  readonly leftLayout?: Layout;
  /** Positions of [...batch, k, n]; contiguous by default. */
  readonly rightLayout?: Layout;
  readonly epilogue?: Epilogue;
}

/** Applied to a product: adds `bias` [columns] to each row, then takes `max(value, 0)` if `relu` is set. */
export interface Epilogue {
  readonly bias?: Storage;
  readonly relu: boolean;
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
  /** [rows, classes]; omitted if no call reads it. */
  readonly gradient?: Storage;
}

/**
 * Picks along the middle axis of `input` [outer, length, inner]: `output[o, c, i] = input[o, index, i]`.
 * `indices` is one list [count] for all, or [outer, count, inner]. An index that is not a whole number in [0, length)
 * picks NaN.
 */
export interface GatherCall {
  readonly kind: 'gather';
  readonly outer: number;
  readonly length: number;
  readonly inner: number;
  readonly count: number;
  /** Whether `indices` has one index for every element of the output. */
  readonly ownIndices: boolean;
  readonly input: Storage;
  readonly indices: Storage;
  readonly output: Storage;
}

/**
 * The adjoint of gather: adds each value of `input` [outer, count, inner] to `output` [outer, length, inner] at its
 * index. Each sum is a chain over count in increasing order from +0. A value without a valid index is skipped.
 * Microbatches split count, only if outer = 1.
 */
export interface ScatterAddCall extends Omit<GatherCall, 'kind'>, MicrobatchSums {
  readonly kind: 'scatterAdd';
}

/**
 * Uniform values in [0, 1), multiples of 2^-24; each depends only on its position and the keys.
 * `output` [rows, columns] holds word `column mod 4` of Philox 4x32-10 (random.ts), shifted right by 8, for the counter
 * `[floor(column / 4), sample of the row, step, 0]` and the key `[seed, stream]`.
 */
export interface RandomCall {
  readonly kind: 'random';
  readonly rows: number;
  readonly columns: number;
  /** Makes several uses within one step independent; an unsigned 32-bit integer. */
  readonly stream: number;
  /** Four values: the lower and the upper 16 bits of the seed, then the same for the step. */
  readonly key: Storage;
  /** [rows]: whole numbers below 2^24. */
  readonly samples: Storage;
  readonly output: Storage;
}

/**
 * Convolution of images with a kernel, or one of its two gradients.
 * `images` are [images, height, width, channels], the kernel [windowHeight, windowWidth, channels, filters], and the
 * output, like its gradient, [images, outputHeight, outputWidth, filters]. If position p of window w lies on a pixel,
 * - `output`[w, f] gets images[pixel, c] * kernel[p, c, f], from left = images, right = kernel;
 * - `kernelGradient`[p, c, f] gets images[pixel, c] * gradient[w, f], from left = images, right = gradient;
 * - `inputGradient`[pixel, c] gets gradient[w, f] * kernel[p, c, f], from left = gradient, right = kernel.
 * Each value is one chain from +0. Each product, zeros included, is rounded before it is added: in row-major order of
 * the windows, then of the positions, then of channels and filters. Positions on padding are skipped, so that an
 * infinite value affects only the results that it touches. GPU languages need not support infinities: there, an
 * infinite value may also affect windows that cover padding.
 * Microbatches split the images, only if `result` is `kernelGradient`.
 */
export interface ConvolutionCall extends MicrobatchSums {
  readonly kind: 'convolution';
  readonly result: 'output' | 'inputGradient' | 'kernelGradient';
  readonly windows: Windows;
  readonly filters: number;
  readonly left: Storage;
  readonly right: Storage;
  readonly output: Storage;
  /** Only if `result` is `output`. */
  readonly epilogue?: Epilogue;
}

/**
 * Combines the values under each window, channel by channel: `[images, height, width, channels] ->
 * [images, outputHeight, outputWidth, channels]`. Padding is skipped; every window must cover at least one pixel.
 * - `sum`: one chain in row-major order from +0.
 * - `max`: the largest value, 0 and -0 being equal; a NaN counts as largest. `argmaxIndices` gets the position of the
 *   first largest value in its window, `row * windowWidth + column`.
 */
export type PoolCall = {
  readonly kind: 'pool';
  readonly windows: Windows;
  readonly input: Storage;
  readonly output: Storage;
} & ({ readonly reduction: 'sum' } | { readonly reduction: 'max'; readonly argmaxIndices: Storage });

/**
 * The adjoint of pooling: distributes the values of windows to the pixels.
 * `[images, outputHeight, outputWidth, channels] -> [images, height, width, channels]`. Each pixel is the sum over the
 * windows that cover it or, with `argmaxIndices`, over the windows whose largest value it is. The sum is a chain in
 * row-major order of the windows from +0.
 */
export interface UnpoolCall {
  readonly kind: 'unpool';
  readonly windows: Windows;
  readonly input: Storage;
  readonly argmaxIndices?: Storage;
  readonly output: Storage;
}

/**
 * Softmax of each row of `input` [rows, columns]. With `m` the largest visible value and
 * `e = exp((input - m) / temperature)`, `output = e / sum(e)`. The sum has the order of a `ReduceCall` with inner = 1.
 * Rows are visible as a whole, unless `period` is given; then row r sees its first
 * `columns - period + 1 + r mod period` columns. Invisible values are not read, and become +0 in the output. So a row's
 * bits depend only on its visible values.
 */
export interface SoftmaxCall {
  readonly kind: 'softmax';
  readonly rows: number;
  readonly columns: number;
  readonly temperature: number;
  /** Rows of each causal matrix of attention, [period, columns] with period <= columns: its last row sees all. */
  readonly period?: number;
  readonly input: Storage;
  readonly output: Storage;
}

/**
 * Gradient of a softmax, whose output was `probabilities`, from the `gradient` of its output, all [rows, columns].
 * `output = probabilities * (gradient - sum(gradient * probabilities)) / temperature`, with the sum over the visible
 * columns as in `SoftmaxCall`; +0 in the others.
 */
export interface SoftmaxGradientCall extends Pick<SoftmaxCall, 'rows' | 'columns' | 'temperature' | 'period'> {
  readonly kind: 'softmaxGradient';
  readonly gradient: Storage;
  readonly probabilities: Storage;
  readonly output: Storage;
}

/**
 * Normalizes each row of `input` [rows, columns] to mean 0 and variance 1. With `d = input - sum(input) / columns`,
 * `inverseDeviations[row] = 1 / sqrt(sum(d * d) / columns + epsilon)` and `output = d * inverseDeviations[row]`. The sums
 * have the order of a `ReduceCall` with inner = 1.
 */
export interface LayerNormCall {
  readonly kind: 'layerNorm';
  readonly rows: number;
  readonly columns: number;
  readonly epsilon: number;
  readonly input: Storage;
  readonly output: Storage;
  /** [rows]. */
  readonly inverseDeviations: Storage;
}

/**
 * Gradient of a layer normalization, whose output was `normalized`, from the `gradient` of its output, both
 * [rows, columns]. With sums as in `LayerNormCall`, `output = inverseDeviations[row] *
 * ((gradient - sum(gradient) / columns) - normalized * (sum(gradient * normalized) / columns))`.
 */
export interface LayerNormGradientCall {
  readonly kind: 'layerNormGradient';
  readonly rows: number;
  readonly columns: number;
  readonly gradient: Storage;
  readonly normalized: Storage;
  readonly inverseDeviations: Storage;
  readonly output: Storage;
}

/** One unit of work for a backend. Preparing a call checks the lengths of its storages. */
export type KernelCall =
  | MapCall
  | ReduceCall
  | MatmulCall
  | CrossEntropyCall
  | GatherCall
  | ScatterAddCall
  | RandomCall
  | ConvolutionCall
  | PoolCall
  | UnpoolCall
  | SoftmaxCall
  | SoftmaxGradientCall
  | LayerNormCall
  | LayerNormGradientCall;

/** A device that computes in float32. Only `download` is asynchronous. */
export interface Backend {
  /** The name that `--backend` takes. */
  readonly name: string;
  /** Two backends with equal numeric modes give equal bits for equal calls. */
  readonly numericMode: string;
  /** Whether sums per microbatch are added in the order of `Microbatches`; false by default. */
  readonly microbatchSums?: boolean;
  /** Number of threads that compute, including the calling thread; 1 by default. */
  readonly threads?: number;
  /** Length of the vectors that compute, if it is known; it changes no bit of a result. */
  readonly vectorBits?: number;
  /** Resolves when the device is lost, whether or not it is in use; never if the backend was closed before. */
  readonly lost?: Promise<DeviceLostError>;
  allocate(length: number): Storage;
  /** Returns a view of `length` values from `offset` on. It shares the memory until the whole storage is freed. */
  slice(storage: Storage, offset: number, length: number): Storage;
  /** Copies values in; lengths must be equal. */
  upload(storage: Storage, values: Float32Array): void;
  /** Writes `bytes[i] / divisor`, a float32 division; lengths must be equal. */
  uploadBytes(storage: Storage, bytes: Uint8Array, divisor: number): void;
  /** Creates a table in the backend's own memory. If omitted, `createByteTable` keeps tables outside the backend. */
  byteTable?(rows: number, columns: number): ByteTable;
  /** Creates the backend's own input. If omitted, `createByteInput` makes one that converts as it takes bytes. */
  byteInput?(storage: Storage, divisor: number): ByteInput;
  download(storage: Storage): Promise<Float32Array>;
  /** Frees a storage that `allocate` returned, not a slice; using it or its slices afterwards throws. */
  free(storage: Storage): void;
  /** Checks calls and prepares them to run any number of times. */
  prepare(calls: readonly KernelCall[]): Program;
  /**
   * Runs lists of programs in parallel, at most one list per thread; the first list runs on the calling thread. Returns
   * when all are done. A program must not write a storage that another list reads or writes. Omitted by backends with
   * one thread.
   * @throws Error with one sentence if a thread has died; nothing can run after that
   */
  runTogether?(lists: readonly (readonly Program[])[]): void;
}

/**
 * Kernels for the wire encoding of vectors; they work in place on vectors in the backend's memory.
 * Plain loops in `protocol/src` give the same results.
 */
export interface CodecKernels {
  /** Returns the lanes of protocol/src/bytes.ts, in memory that the next call of the backend overwrites. */
  lanes(bytes: Uint8Array): Int32Array;
  /** Returns a bitmap, in the format of protocol/src/vectors.ts, of the blocks of 64 values that are not all +0. */
  nonZeroBlocks(values: Float32Array): Uint8Array;
}

/** A backend whose storages JavaScript can read directly. */
export interface HostBackend extends Backend {
  /** Omitted if nothing is faster than plain loops. */
  readonly codec?: CodecKernels;
  /** Returns the storage's own memory, not a copy. Valid until the next `allocate` or `prepare`. */
  view(storage: Storage): Float32Array;
  magnitudeOf(storage: Storage): Magnitude;
  /** Ends all threads but the calling one; omitted if there are none. */
  close?(): Promise<void>;
}

/** Whether results can be read synchronously, in the memory of this process. */
export function isHostBackend(backend: Backend): backend is HostBackend {
  return 'view' in backend && 'magnitudeOf' in backend;
}

/** Prepared calls. A program must not run after a storage of its calls was freed. */
export interface Program {
  /** Runs the calls in order on the current values of the storages; allocates nothing. */
  run(): void;
  /** Frees the memory that preparing took; the storages belong to the caller. */
  dispose(): void;
}

/** Rows of bytes in a backend's memory, which an input can take by row number. */
export interface ByteTable {
  readonly rows: number;
  /** Bytes per row. */
  readonly columns: number;
  /** A view of all rows, row-major; valid until the backend's next allocation. */
  readonly bytes: Uint8Array;
  /** Writes a row; `bytes` [columns]. A row is unspecified until it is written. */
  write(row: number, bytes: Uint8Array): void;
  /** Returns a copy of a row. */
  read(row: number): Uint8Array;
  dispose(): void;
}

/**
 * Feeds bytes into a storage as `byte / divisor`, a float32 division.
 * Bytes are taken in immediately. The returned program belongs to the input, and may do the conversion on the thread
 * that runs it. Products may convert while they read, so programs that read the storage must not run in parallel.
 */
export interface ByteInput {
  /** Takes one byte for each value of the storage. @throws RangeError for any other number of bytes */
  take(bytes: Uint8Array): Program;
  /** Takes the rows of a table with these numbers, in order. @throws RangeError if a row does not exist */
  takeRows(table: ByteTable, numbers: Uint32Array): Program;
  dispose(): void;
}

/** Finds the largest absolute value of a storage. */
export interface Magnitude {
  readonly program: Program;
  /** Returns the result of the program's last run: 0 if there are no values, not finite if any is NaN or infinite. */
  value(): number;
}

/**
 * Thrown after the device was lost: a driver restarted, a card was removed, a tab lost its context.
 * Nothing on the device can be read any more.
 */
export class DeviceLostError extends Error {
  override name = 'DeviceLostError';
  readonly code = 'device-lost';
}
