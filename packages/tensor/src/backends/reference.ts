/** The reference backend: plain loops that specify what every backend computes. */
import type {
  ConvolutionCall,
  CrossEntropyCall,
  GatherCall,
  HostBackend,
  KernelCall,
  LayerNormCall,
  LayerNormGradientCall,
  Magnitude,
  MapCall,
  MatmulCall,
  PoolCall,
  Program,
  RandomCall,
  ReduceCall,
  ScatterAddCall,
  SoftmaxCall,
  SoftmaxGradientCall,
  Storage,
  UnpoolCall,
} from '../backend.ts';
import { exp32, type Formula, log32, primitives, topological } from '../formula.ts';
import { philox, unitFloat } from '../random.ts';
import { type Shape, sizeOf, type Windows } from '../shape.ts';
import { noteChange } from '../tensor.ts';
import {
  additionsAfter,
  type ByKind,
  checkCopy,
  dispatch,
  operandsOf,
  type Placed,
  placed,
  visibleColumns,
} from './calls.ts';
import { HostStorageBackend, inOrder } from './storage-backend.ts';

/** Truncates a float32 and clamps it to the range of unsigned 32-bit integers. */
function toUint32(value: number): number {
  return Math.trunc(Math.min(Math.max(Number.isNaN(value) ? 0 : value, 0), 0xffffffff)) >>> 0;
}

/** Computes a `RandomCall`. */
export function fillRandom({ rows, columns, stream, ...places }: Placed<RandomCall, Float32Array>): void {
  const { key, samples, output } = places;
  const part = (index: number): number => toUint32(key[index]!);
  const [seed, step] = [(part(0) | (part(1) << 16)) >>> 0, (part(2) | (part(3) << 16)) >>> 0];
  const words = new Uint32Array(4);
  for (let row = 0; row < rows; row++) {
    const sample = toUint32(samples[row]!);
    for (let column = 0; column < columns; column++) {
      if (column % 4 === 0) philox(words, [column / 4, sample, step, 0], [seed, stream]);
      output[row * columns + column] = unitFloat(words[column % 4]!);
    }
  }
}

const { fround } = Math;

/** Returns a function that evaluates a formula, each shared node once, on the current values of `inputs`. */
function evaluator(formula: Formula, inputs: readonly number[]): () => number {
  const nodes = topological(formula);
  const position = new Map(nodes.map((node, index) => [node, index]));
  const results = new Array<number>(nodes.length).fill(0);
  const steps = nodes.map((node): (() => number) => {
    switch (node.kind) {
      case 'constant':
        return () => node.value;
      case 'input':
        return () => inputs[node.index]!;
      case 'apply': {
        const [a = 0, b = 0, c = 0] = node.operands.map((operand) => position.get(operand)!);
        const scalar: (a: number, b: number, c: number) => number = primitives[node.primitive].js;
        return () => scalar(results[a]!, results[b]!, results[c]!);
      }
      default:
        return node satisfies never;
    }
  });
  return () => {
    for (let index = 0; index < steps.length; index++) results[index] = steps[index]!();
    return results[results.length - 1]!;
  };
}

function map({ formula, shape, inputs, output, strides }: Placed<MapCall, Float32Array>): void {
  const current = inputs.map(() => 0);
  const evaluate = evaluator(formula, current);
  const size = sizeOf(shape);
  const index = shape.map(() => 0);
  // The output's position moves like those of the inputs: it is the last one.
  const places = strides.map(() => 0);
  for (let element = 0; element < size; element++) {
    for (let which = 0; which < inputs.length; which++) current[which] = inputs[which]![places[which]!]!;
    output[places[inputs.length]!] = evaluate();
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      const wraps = ++index[axis]! === shape[axis];
      const steps = wraps ? 1 - shape[axis]! : 1;
      for (let which = 0; which < places.length; which++) places[which]! += steps * strides[which]![axis]!;
      if (!wraps) break;
      index[axis] = 0;
    }
  }
}

/** Number of interleaved chains in the sum over a contiguous axis. */
const chains = 16;

function sumContiguous(values: Float32Array, start: number, length: number): number {
  const sums = new Float32Array(chains);
  for (let index = 0; index < length; index++) sums[index % chains]! += values[start + index]!;
  for (let half = chains / 2; half >= 1; half /= 2) {
    for (let chain = 0; chain < half; chain++) sums[chain]! += sums[chain + half]!;
  }
  return sums[0]!;
}

function sumStrided(values: Float32Array, start: number, length: number, stride: number): number {
  let total = 0;
  for (let index = 0; index < length; index++) total = fround(total + values[start + index * stride]!);
  return total;
}

/** Sums of more terms are split into runs of `runLength`. */
const longestRun = 65_536;
const runLength = 128;

function sum(values: Float32Array, start: number, length: number, stride: number): number {
  const sumRun = stride === 1 ? sumContiguous : sumStrided;
  if (length <= longestRun) return sumRun(values, start, length, stride);
  const runs = Math.ceil(length / runLength);
  const stack: number[] = [];
  for (let run = 0; run < runs; run++) {
    const first = run * runLength;
    stack.push(sumRun(values, start + first * stride, Math.min(runLength, length - first), stride));
    for (let additions = additionsAfter(run, runs); additions > 0; additions--) {
      const right = stack.pop()!;
      stack.push(fround(stack.pop()! + right));
    }
  }
  return stack[0]!;
}

function indexOfLargest(values: Float32Array, start: number, length: number, stride: number): number {
  let best = 0;
  let largest = values[start]!;
  for (let index = 1; index < length && !Number.isNaN(largest); index++) {
    const value = values[start + index * stride]!;
    if (value > largest || Number.isNaN(value)) [best, largest] = [index, value];
  }
  return best;
}

function extreme(choose: (left: number, right: number) => number): Reducer {
  return (values, start, length, stride) => {
    let value = values[start]!;
    for (let index = 1; index < length; index++) value = choose(value, values[start + index * stride]!);
    return value;
  };
}

type Reducer = (values: Float32Array, start: number, length: number, stride: number) => number;

const reducers = { sum, argmax: indexOfLargest, max: extreme(Math.max), min: extreme(Math.min) };

function reduce(call: Placed<ReduceCall, Float32Array>): void {
  const { reduction, outer, length, inner, factor, output } = call;
  const reducer = reducers[reduction];
  const input = factor === undefined ? call.input : call.input.map((value, index) => value * factor[index]!);
  for (let row = 0; row < outer; row++) {
    for (let column = 0; column < inner; column++) {
      output[row * inner + column] = reducer(input, row * length * inner + column, length, inner);
    }
  }
}

/**
 * Visits the picked elements in order: their position among the picked, and in the long array if the index is valid.
 */
function forEachPicked(
  { outer, length, inner, count, ownIndices, indices }: Placed<GatherCall | ScatterAddCall, Float32Array>,
  visit: (picked: number, long: number | undefined) => void,
): void {
  for (let row = 0; row < outer; row++) {
    for (let position = 0; position < count; position++) {
      for (let column = 0; column < inner; column++) {
        const picked = (row * count + position) * inner + column;
        const index = indices[ownIndices ? picked : position]!;
        const valid = Number.isInteger(index) && index >= 0 && index < length;
        visit(picked, valid ? (row * length + index) * inner + column : undefined);
      }
    }
  }
}

function gather(call: Placed<GatherCall, Float32Array>): void {
  const { input, output } = call;
  forEachPicked(call, (picked, long) => {
    output[picked] = long === undefined ? Number.NaN : input[long]!;
  });
}

function scatterAdd(call: Placed<ScatterAddCall, Float32Array>): void {
  const { input, output } = call;
  output.fill(0);
  forEachPicked(call, (picked, long) => {
    if (long !== undefined) output[long]! += input[picked]!;
  });
}

function crossEntropy({ rows, classes, ...places }: Placed<CrossEntropyCall, Float32Array>): void {
  const { logits, labels, losses, gradient = new Float32Array(rows * classes) } = places;
  for (let row = 0; row < rows; row++) {
    const start = row * classes;
    const label = labels[row]!;
    if (!Number.isInteger(label) || label < 0 || label >= classes) {
      losses[row] = Number.NaN;
      gradient.fill(Number.NaN, start, start + classes);
      continue;
    }
    let largest = Number.NEGATIVE_INFINITY;
    for (let index = start; index < start + classes; index++) largest = Math.max(largest, logits[index]!);
    const atLabel = fround(logits[start + label]! - largest);
    let total = 0;
    for (let index = start; index < start + classes; index++) {
      const power = exp32(fround(logits[index]! - largest));
      gradient[index] = power;
      total = fround(total + power);
    }
    losses[row] = log32(total) - atLabel;
    for (let index = start; index < start + classes; index++) gradient[index]! /= total;
    gradient[start + label]! -= 1;
  }
}

/** Sum of the first `count` terms, in the order of a sum over the last axis. */
function rowSum(count: number, term: (index: number) => number): number {
  return sum(
    Float32Array.from({ length: count }, (_, index) => term(index)),
    0,
    count,
    1,
  );
}

function softmax(call: Placed<SoftmaxCall, Float32Array>): void {
  const { rows, columns, temperature, input, output } = call;
  output.fill(0);
  for (let row = 0; row < rows; row++) {
    const start = row * columns;
    const count = visibleColumns(call, row);
    const largest = input.subarray(start, start + count).reduce((best, value) => Math.max(best, value));
    const power = (index: number): number =>
      exp32(fround(fround(input[start + index]! - largest) / fround(temperature)));
    const total = rowSum(count, power);
    for (let index = 0; index < count; index++) output[start + index] = power(index) / total;
  }
}

function softmaxGradient(call: Placed<SoftmaxGradientCall, Float32Array>): void {
  const { rows, columns, temperature, gradient, probabilities, output } = call;
  output.fill(0);
  for (let row = 0; row < rows; row++) {
    const start = row * columns;
    const count = visibleColumns(call, row);
    const total = rowSum(count, (index) => gradient[start + index]! * probabilities[start + index]!);
    for (let at = start; at < start + count; at++) {
      output[at] = fround(probabilities[at]! * fround(gradient[at]! - total)) / fround(temperature);
    }
  }
}

function layerNorm(call: Placed<LayerNormCall, Float32Array>): void {
  const { rows, columns, epsilon, input, output, inverseDeviations } = call;
  for (let row = 0; row < rows; row++) {
    const start = row * columns;
    const mean = fround(rowSum(columns, (index) => input[start + index]!) / columns);
    for (let at = start; at < start + columns; at++) output[at] = input[at]! - mean;
    const squares = rowSum(columns, (index) => output[start + index]! ** 2);
    const deviation = fround(Math.sqrt(fround(fround(squares / columns) + fround(epsilon))));
    inverseDeviations[row] = 1 / deviation;
    for (let at = start; at < start + columns; at++) output[at]! *= inverseDeviations[row]!;
  }
}

function layerNormGradient(call: Placed<LayerNormGradientCall, Float32Array>): void {
  const { rows, columns, gradient, normalized, inverseDeviations, output } = call;
  for (let row = 0; row < rows; row++) {
    const start = row * columns;
    const mean = fround(rowSum(columns, (index) => gradient[start + index]!) / columns);
    const products = rowSum(columns, (index) => gradient[start + index]! * normalized[start + index]!);
    const slope = fround(products / columns);
    for (let at = start; at < start + columns; at++) {
      const difference = fround(fround(gradient[at]! - mean) - fround(normalized[at]! * slope));
      output[at] = inverseDeviations[row]! * difference;
    }
  }
}

/**
 * Visits the places of every window that lie inside its image; windows and places in row-major order. `window` and
 * `pixel` count over all images; `place` is `row * windowWidth + column` in the window.
 */
function forEachPlace(windows: Windows, visit: (window: number, place: number, pixel: number) => void): void {
  const { height, width, windowHeight, windowWidth } = windows;
  let window = 0;
  for (let image = 0; image < windows.images; image++) {
    for (let outputRow = 0; outputRow < windows.outputHeight; outputRow++) {
      for (let outputColumn = 0; outputColumn < windows.outputWidth; outputColumn++, window++) {
        const top = outputRow * windows.strideHeight - windows.paddingHeight;
        const start = outputColumn * windows.strideWidth - windows.paddingWidth;
        for (let place = 0; place < windowHeight * windowWidth; place++) {
          const row = top + Math.floor(place / windowWidth);
          const column = start + (place % windowWidth);
          if (row < 0 || row >= height || column < 0 || column >= width) continue;
          visit(window, place, (image * height + row) * width + column);
        }
      }
    }
  }
}

/** Matrices one after another: element (i, j) of one is at `start + i * rowStride + j * columnStride`. */
interface Matrices {
  readonly values: Float32Array;
  readonly starts: readonly number[];
  readonly rowStride: number;
  readonly columnStride: number;
}

/** Returns the matrices of an operand of shape [...batch, rows, columns], the last batch axis fastest. */
function matricesOf(values: Float32Array, { shape, strides }: { shape: Shape; strides: readonly number[] }): Matrices {
  let starts = [0];
  for (let axis = 0; axis < shape.length - 2; axis++) {
    const steps = Array.from({ length: shape[axis]! }, (_, index) => index * strides[axis]!);
    starts = starts.flatMap((start) => steps.map((step) => start + step));
  }
  return { values, starts, rowStride: strides.at(-2)!, columnStride: strides.at(-1)! };
}

/** Adds the product of matrices number `matrix` to its place in `output`. */
function multiply(
  { m, k, n, output }: Placed<MatmulCall, Float32Array>,
  matrix: number,
  left: Matrices,
  right: Matrices,
): void {
  const start = matrix * m * n;
  for (let row = 0; row < m; row++) {
    for (let inner = 0; inner < k; inner++) {
      const factor = left.values[left.starts[matrix]! + row * left.rowStride + inner * left.columnStride]!;
      const rightRow = right.starts[matrix]! + inner * right.rowStride;
      for (let column = 0; column < n; column++) {
        const term = fround(factor * right.values[rightRow + column * right.columnStride]!);
        output[start + row * n + column]! += term;
      }
    }
  }
}

/** Applies the epilogue of a call to its output, in rows of `n` or `filters` values. */
function finishProduct(call: Placed<MatmulCall | ConvolutionCall, Float32Array>): void {
  const { epilogue, bias, output } = call;
  if (epilogue === undefined) return;
  const columns = call.kind === 'matmul' ? call.n : call.filters;
  output.forEach((sum, index) => {
    const value = bias === undefined ? sum : fround(sum + bias[index % columns]!);
    output[index] = epilogue.relu ? Math.max(value, 0) : value;
  });
}

function matmul(call: Placed<MatmulCall, Float32Array>): void {
  const operands = operandsOf(call);
  const [left, right] = [matricesOf(call.left, operands.left), matricesOf(call.right, operands.right)];
  call.output.fill(0);
  for (let matrix = 0; matrix < left.starts.length; matrix++) multiply(call, matrix, left, right);
  finishProduct(call);
}

/** Indices of the sum and of its two factors among output, image and kernel. */
const roles = { output: [0, 1, 2], inputGradient: [1, 0, 2], kernelGradient: [2, 1, 0] } as const;

function convolution(call: Placed<ConvolutionCall, Float32Array>): void {
  const { result, windows, filters, left, right, output } = call;
  const { channels } = windows;
  const [sum, one, other] = roles[result];
  const at = [0, 0, 0] as [number, number, number];
  output.fill(0);
  forEachPlace(windows, (window, place, pixel) => {
    for (let channel = 0; channel < channels; channel++) {
      at[1] = pixel * channels + channel;
      for (let filter = 0; filter < filters; filter++) {
        at[0] = window * filters + filter;
        at[2] = (place * channels + channel) * filters + filter;
        output[at[sum]]! += fround(left[at[one]]! * right[at[other]]!);
      }
    }
  });
  finishProduct(call);
}

function pool(call: Placed<PoolCall, Float32Array>): void {
  const { windows, input, output } = call;
  const { channels } = windows;
  const argmaxIndices = call.reduction === 'max' ? call.argmaxIndices : undefined;
  if (argmaxIndices === undefined) output.fill(0);
  else argmaxIndices.fill(-1);
  forEachPlace(windows, (window, place, pixel) => {
    for (let channel = 0; channel < channels; channel++) {
      const at = window * channels + channel;
      const [best, value] = [output[at]!, input[pixel * channels + channel]!];
      if (argmaxIndices === undefined) output[at] = fround(best + value);
      else if (argmaxIndices[at] === -1 || (!Number.isNaN(best) && (value > best || Number.isNaN(value)))) {
        [output[at], argmaxIndices[at]] = [value, place];
      }
    }
  });
}

function unpool({ windows, input, argmaxIndices, output }: Placed<UnpoolCall, Float32Array>): void {
  const { channels } = windows;
  output.fill(0);
  forEachPlace(windows, (window, place, pixel) => {
    for (let channel = 0; channel < channels; channel++) {
      const [from, to] = [window * channels + channel, pixel * channels + channel];
      if (argmaxIndices !== undefined && argmaxIndices[from] !== place) continue;
      output[to] = fround(output[to]! + input[from]!);
    }
  });
}

/** Separate multiplications and additions, each rounded to float32, in the orders given in backend.ts. */
export const separateNumericMode = 'f32-mul-add.v1';

const kernels: ByKind<Float32Array, [], void> = {
  map,
  reduce,
  matmul,
  crossEntropy,
  convolution,
  pool,
  unpool,
  gather,
  scatterAdd,
  random: fillRandom,
  softmax,
  softmaxGradient,
  layerNorm,
  layerNormGradient,
};

class ReferenceBackend extends HostStorageBackend<Float32Array> {
  readonly name = 'reference';
  readonly numericMode = separateNumericMode;

  uploadBytes(storage: Storage, bytes: Uint8Array, divisor: number): void {
    checkCopy(storage, bytes.length);
    const values = this.view(storage);
    const rounded = Math.fround(divisor);
    for (let index = 0; index < bytes.length; index++) values[index] = bytes[index]! / rounded;
    noteChange(storage);
  }

  view(storage: Storage): Float32Array {
    const { memory, offset, length } = this.own(storage);
    return memory.subarray(offset, offset + length);
  }

  magnitudeOf(storage: Storage): Magnitude {
    let value = 0;
    const run = (): void => {
      value = this.view(storage).reduce((largest, each) => Math.max(largest, Math.abs(each)), 0);
    };
    return { program: { run, dispose: () => {} }, value: () => value };
  }

  protected createMemory(length: number): Float32Array {
    return new Float32Array(length);
  }

  protected releaseMemory(): void {}

  protected prepareCalls(calls: readonly KernelCall[]): Pick<Program, 'run'> {
    return inOrder(
      calls.map((call) => {
        const onValues = placed(call, (storage, length, from) => this.view(storage).subarray(from, from + length));
        return () => dispatch(kernels, onValues);
      }),
    );
  }
}

/** Opens the reference backend, which every engine has. */
export function createReferenceBackend(): HostBackend {
  return new ReferenceBackend();
}
