/** The interface between tensors and a device: float32 storages, and calls that read and write them. */
import type { Formula } from './formula.ts';
import type { ByteInput, ByteTable, Magnitude, Program } from './program.ts';
import type { Shape } from './shape.ts';
import type { Windows } from './windows.ts';

/** A run of `length` float32 values on a device, unspecified until they are written. */
export interface Storage {
  readonly length: number;
}

/** Where element (i, j, …) of a call's shape lies: `offset + i * strides[0] + j * strides[1] + …`, in elements. */
export interface Layout {
  /** 0 where left out. */
  readonly offset?: number;
  readonly strides: readonly number[];
}

/** How one input of a map is read; a stride of 0 repeats it along that axis. */
export interface StridedView extends Layout {
  readonly storage: Storage;
}

/** `output[e] = formula(inputs at e)` for every element of `shape`. */
export interface MapCall {
  readonly kind: 'map';
  readonly formula: Formula;
  readonly shape: Shape;
  readonly inputs: readonly StridedView[];
  /** May be the storage of an input if both are contiguous: the map then works in place. */
  readonly output: Storage;
  /** Where the results go, no two to one place; contiguous where left out. The rest of the output keeps its values. */
  readonly outputLayout?: Layout;
}

export type Reduction = 'sum' | 'argmax' | 'max' | 'min';

/**
 * Reduces the middle axis: `[outer, length, inner] -> [outer, inner]`.
 * - `sum`, inner > 1: one chain in increasing order from +0. inner = 1: sixteen chains, element i in chain i mod 16,
 *   chains j and j + 8 added, then j and j + 4, j + 2, j + 1. More than 65,536 terms are cut into runs of 128, the last of
 *   which may be shorter: each run is summed so, and the sums are added in pairs as those of `Microbatches`. A chain of
 *   millions of terms would stop growing; shorter sums stay whole, so that training keeps its bits.
 * - `argmax`: index of the first largest value; a NaN counts as largest. Needs length >= 1, as do the next two.
 * - `max`, `min`: the largest or smallest value, 0 above -0; NaN when any value is NaN.
 */
export interface ReduceCall {
  readonly kind: 'reduce';
  readonly reduction: Reduction;
  readonly outer: number;
  readonly length: number;
  readonly inner: number;
  readonly input: Storage;
  readonly output: Storage;
  /** Of a `sum` with outer = 1. */
  readonly microbatches?: Microbatches;
}

/**
 * The number of equal runs that the terms of a sum are cut into, 1 where left out.
 * Each run is summed alone, as the call says, and the sums are added in pairs of neighbors, left + right, these again
 * in pairs, and so on; a sum without a neighbor goes on unchanged. So a batch has the bits of its microbatches, each
 * computed alone, added by a fixed binary tree. A backend without `microbatchSums` adds in an order of its own.
 */
export type Microbatches = number;

/**
 * `output[m, n] = left[m, k] x right[k, n]`, all contiguous.
 * A transposed operand is stored as [k, m] or [n, k].
 * With a batch, one such product for each of its elements, the outputs one after another.
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
  readonly batch?: MatmulBatch;
  readonly epilogue?: Epilogue;
  /** Of the sums over k; for a transposed left operand alone, without batch and epilogue. */
  readonly microbatches?: Microbatches;
}

/** What follows a product: `bias` [columns] added to each row, then `max(value, 0)` where `relu`. */
export interface Epilogue {
  readonly bias?: Storage;
  readonly relu: boolean;
}

/** The products of one call: matrix (i, j, …) begins at element `i * strides[0] + j * strides[1] + …`. */
export interface MatmulBatch {
  readonly shape: Shape;
  /** 0 repeats the operand along that axis. */
  readonly leftStrides: readonly number[];
  readonly rightStrides: readonly number[];
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
  /** [rows, classes]; left out where no call reads it. */
  readonly gradient?: Storage;
}

/**
 * Picks along the middle axis of `input` [outer, length, inner]: `output[o, c, i] = input[o, index, i]`.
 * `indices` are one list [count] for all, or [outer, count, inner]. NaN where the index is not a whole number in
 * [0, length).
 */
export interface GatherCall {
  readonly kind: 'gather';
  readonly outer: number;
  readonly length: number;
  readonly inner: number;
  readonly count: number;
  /** Whether `indices` has one for every element of the output. */
  readonly ownIndices: boolean;
  readonly input: Storage;
  readonly indices: Storage;
  readonly output: Storage;
}

/**
 * The adjoint of gather: `output` [outer, length, inner] is the sum of the values of `input` [outer, count, inner] at their indices, each a
 * chain over count in increasing order from +0. A value without a valid index is left out.
 */
export interface ScatterAddCall extends Omit<GatherCall, 'kind'> {
  readonly kind: 'scatterAdd';
}

/**
 * Uniform values in [0, 1), multiples of 2^-24; each depends on its place and the keys alone.
 * `output` [rows, columns] holds word `column mod 4` of Philox 4x32-10 (philox.ts), shifted right by 8, for the counter
 * `[floor(column / 4), sample of the row, step, 0]` and the key `[seed, stream]`.
 */
export interface RandomCall {
  readonly kind: 'random';
  readonly rows: number;
  readonly columns: number;
  /** Keeps uses within one step apart; an unsigned 32-bit integer. */
  readonly stream: number;
  /** Four values: the lower and the upper 16 bits of the seed, then those of the step. */
  readonly key: Storage;
  /** [rows]: whole numbers below 2^24. */
  readonly samples: Storage;
  readonly output: Storage;
}

/**
 * Convolution of images with a kernel, or one of its two gradients.
 * `images` are [images, height, width, channels], the kernel [windowHeight, windowWidth, channels, filters], and the
 * output, like its gradient, [images, outputHeight, outputWidth, filters]. Where place p of window w lies on a pixel,
 * - `output`[w, f] gets images[pixel, c] * kernel[p, c, f], from left = images, right = kernel;
 * - `kernelGradient`[p, c, f] gets images[pixel, c] * gradient[w, f], from left = images, right = gradient;
 * - `inputGradient`[pixel, c] gets gradient[w, f] * kernel[p, c, f], from left = gradient, right = kernel.
 * Each value is one chain from +0, a product rounded and then added, zeros included: in row-major order of the windows,
 * then of the places, then of channels and filters. Places on padding take no part, so that an infinite value reaches
 * only what it touches; on a GPU, whose languages need not know infinities, it may reach windows that cover padding.
 */
export interface ConvolutionCall {
  readonly kind: 'convolution';
  readonly result: 'output' | 'inputGradient' | 'kernelGradient';
  readonly windows: Windows;
  readonly filters: number;
  readonly left: Storage;
  readonly right: Storage;
  readonly output: Storage;
  /** Of `output` alone. */
  readonly epilogue?: Epilogue;
  /** Of a `kernelGradient`, whose images are cut into runs. */
  readonly microbatches?: Microbatches;
}

/**
 * Combines the values under each window, channel by channel: `[images, height, width, channels] ->
 * [images, outputHeight, outputWidth, channels]`. Padding takes no part; a window needs a place outside it.
 * - `sum`: one chain in row-major order from +0.
 * - `max`: the largest value, 0 and -0 being equal; a NaN counts as largest. `argmaxIndices` gets the place of the
 *   first such value in its window, `row * windowWidth + column`.
 */
export type PoolCall = {
  readonly kind: 'pool';
  readonly windows: Windows;
  readonly input: Storage;
  readonly output: Storage;
} & ({ readonly reduction: 'sum' } | { readonly reduction: 'max'; readonly argmaxIndices: Storage });

/**
 * The adjoint of pooling: gives the values of windows back to the pixels.
 * `[images, outputHeight, outputWidth, channels] -> [images, height, width, channels]`. Each pixel is the sum over the
 * windows that cover it, or, with `argmaxIndices`, over those whose largest value it is: a chain in row-major order of
 * the windows from +0.
 */
export interface UnpoolCall {
  readonly kind: 'unpool';
  readonly windows: Windows;
  readonly input: Storage;
  readonly argmaxIndices?: Storage;
  readonly output: Storage;
}

/** One unit of work of a backend, which checks the lengths of its storages when it prepares. */
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
  | UnpoolCall;

/** A device that computes in float32. Only `download` is asynchronous. */
export interface Backend {
  /** As given to `--backend`. */
  readonly name: string;
  /** Two backends with equal numeric modes give equal bits for equal calls. */
  readonly numericMode: string;
  /** Whether products may have an epilogue; not where left out. */
  readonly epilogues?: boolean;
  /** Whether sums per microbatch are added in the order of `Microbatches`; not where left out. */
  readonly microbatchSums?: boolean;
  /** Threads that compute, the calling one among them; 1 where left out. */
  readonly threads?: number;
  allocate(length: number): Storage;
  /** A view of `length` values from `offset` on; it shares the memory and dies with the whole. */
  slice(storage: Storage, offset: number, length: number): Storage;
  /** Copies values in; lengths must be equal. */
  upload(storage: Storage, values: Float32Array): void;
  /** Writes `bytes[i] / divisor`, a float32 division; lengths must be equal. */
  uploadBytes(storage: Storage, bytes: Uint8Array, divisor: number): void;
  /** A table in the backend's own memory; where left out, `createByteTable` keeps it beside. */
  byteTable?(rows: number, columns: number): ByteTable;
  /** An input of its own; where left out, that of `createByteInput` converts as it takes. */
  byteInput?(storage: Storage, divisor: number): ByteInput;
  download(storage: Storage): Promise<Float32Array>;
  /** Frees what `allocate` returned (not a slice); using it or its slices afterwards throws. */
  free(storage: Storage): void;
  /** Checks calls and makes them ready to run any number of times. */
  prepare(calls: readonly KernelCall[]): Program;
  /**
   * Runs lists of programs side by side, at most one list for each thread: the first on the calling thread. Returns when
   * all are done. Programs of two lists must not write what the other reads or writes. Left out where there is one thread.
   * @throws Error with one sentence where a thread has died; nothing can run then any more
   */
  runTogether?(lists: readonly (readonly Program[])[]): void;
}

/**
 * Passes of a backend's kernels over vectors as they travel, in place where they lie in its memory.
 * Plain loops in `protocol/src` give the same.
 */
export interface CodecKernels {
  /** A 32-bit checksum, that of `checksum.ts`. */
  checksum(bytes: Uint8Array): number;
  /** Which blocks of 64 values hold anything but +0, as a bitmap of `vector-blocks.ts`. */
  nonZeroBlocks(values: Float32Array): Uint8Array;
}

/** A backend whose storages JavaScript can see. */
export interface HostBackend extends Backend {
  /** Left out where nothing is faster than plain loops. */
  readonly codec?: CodecKernels;
  /** The storage's own memory, not a copy. Valid until the next `allocate` or `prepare`. */
  view(storage: Storage): Float32Array;
  magnitudeOf(storage: Storage): Magnitude;
  /** Ends the threads beside the calling one; left out where there are none. */
  close?(): Promise<void>;
}

/** Whether results can be read at once, in the memory of this process. */
export function isHostBackend(backend: Backend): backend is HostBackend {
  return 'view' in backend && 'magnitudeOf' in backend;
}
