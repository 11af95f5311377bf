/** Lowers calls to launches of shaders. */
import type {
  ConvolutionCall,
  CrossEntropyCall,
  Epilogue,
  GatherCall,
  MapCall,
  MatmulBatch,
  MatmulCall,
  PoolCall,
  ReduceCall,
  ScatterAddCall,
  UnpoolCall,
} from '../../backend.ts';
import { contiguousStrides, type Shape, sizeOf, windowCount } from '../../shape.ts';
import { type ByKind, type Placed, reachOf } from '../calls.ts';
import { fillRandom } from '../reference.ts';
import type { DeviceArray, KernelSource } from './device.ts';
import { type MatmulSizes, matmulShader } from './product-shaders.ts';
import { type Operands, type Runner, SharedValues, type Stretch } from './runner.ts';
import {
  copyShader,
  elementAt,
  flatKernel,
  isNested,
  lanes,
  mapShader,
  plus,
  quotient,
  remainder,
  returnCell,
  type Source,
  stridedWriteShader,
  sumLoop,
  type Target,
  times,
  usesSpecials,
} from './shaders.ts';
import { partialSumShader, poolShader, selectShader, sumShader, unfoldShader, unpoolShader } from './window-shaders.ts';

function lowerMap(call: Placed<MapCall, Stretch>, runner: Runner): () => void {
  const { formula, shape, strides } = call;
  const write = writer(runner, call.output, shape, strides.at(-1)!);
  const compute = runner.over(
    call.inputs,
    (sources, inputs) => {
      const views = sources.map((source, index) => ({ ...source, strides: strides[index]! }));
      return mapShader({ formula, shape, views, inputs, specials: inputs - 1 }, runner.device);
    },
    usesSpecials(formula),
  );
  return () => write(compute());
}

type Writer = (values: DeviceArray) => void;

/** Returns a function that writes contiguous results in the given layout. */
function writer(runner: Runner, target: Stretch, shape: Shape, strides: readonly number[]): Writer {
  const contiguous = contiguousStrides(shape);
  if (shape.every((length, axis) => length === 1 || strides[axis] === contiguous[axis])) {
    return (values) => runner.write(target, values);
  }
  if (!isNested(shape, strides)) return rowsWriter(runner, target, shape, strides);
  const kernels = runner.kernels();
  return (values) => {
    const { arrays, sources } = runner.operands([target]);
    const { offset } = sources[0]!;
    const kernel = kernels(String(offset), () =>
      stridedWriteShader({ shape, strides, length: target.length, offset }, runner.device),
    );
    const result = runner.device.run(kernel, [values, arrays[0]!]);
    runner.device.release(values);
    runner.write(target, result);
  };
}

/** Writes one row after another, because elements of different rows interleave. */
function rowsWriter(
  runner: Runner,
  { tensor, offset }: Stretch,
  [rows = 1, ...shape]: Shape,
  [stride = 0, ...strides]: readonly number[],
): Writer {
  const length = sizeOf(shape);
  const writers = Array.from({ length: rows }, (_, row) => {
    const kernel = runner.device.compile(copyShader([length], { offset: row * length, strides: [1] }, runner.device));
    const target = { tensor, offset: offset + row * stride, length: reachOf(shape, strides) };
    const write = writer(runner, target, shape, strides);
    return (values: DeviceArray): void => write(runner.device.run(kernel, [values]));
  });
  return (values) => {
    for (const write of writers) write(values);
    runner.device.release(values);
  };
}

/** A sum longer than this takes two passes if it has few results. */
const longSum = 1024;
const manyResults = 2048;
/** A sum longer than this always takes two passes: a single chain would round too often. */
const longestRun = 65_536;

function lowerReduce(call: Placed<ReduceCall, Stretch>, runner: Runner): () => void {
  const { outer, length, inner, reduction, input, output } = call;
  if (length === 0) return runner.fill(output, 0);
  const sizes = { outer, length, inner };
  const onePass = length <= longSum || (output.length >= manyResults && length <= longestRun);
  if (reduction !== 'sum' || onePass) {
    const compute = runner.over([input], ([source]) => {
      const read = { ...sizes, source: source! };
      return reduction === 'sum' ? sumShader(read, runner.device) : selectShader(read, reduction, runner.device);
    });
    return () => runner.write(output, compute());
  }
  const parts = Math.ceil(Math.sqrt(length));
  const partial = runner.over([input], ([source]) =>
    partialSumShader({ ...sizes, source: source! }, parts, Math.ceil(length / parts), runner.device),
  );
  const sum = runner.device.compile(
    sumShader({ outer, length: parts, inner, source: { input: 0, offset: 0 } }, runner.device),
  );
  return () => runner.write(output, runner.consume(sum, partial()));
}

/** Fewest multiplications for which transposing an operand pays off. */
const transposedFrom = 2 ** 16;
/** A product with few results and a long k leaves most of a device idle unless k is split. */
const longProduct = 512;
const fewResults = 4096;

interface Product extends MatmulSizes {
  readonly batch?: MatmulBatch | undefined;
  readonly epilogue?: Epilogue | undefined;
}

/** Computes a product from its operands: left, right, and the bias if it has one. */
type Multiply = (operands: Operands) => DeviceArray;

/** Returns the smallest divisor of a length from its square root on, if it is at most four times the root. */
function partsOf(length: number): number | undefined {
  const root = Math.ceil(Math.sqrt(length));
  for (let parts = root; parts <= 4 * root; parts++) if (length % parts === 0) return parts;
  return undefined;
}

function createProduct(runner: Runner, product: Product): Multiply {
  const { m, k, n, transposeLeft, transposeRight, batch, epilogue } = product;
  const few = batch === undefined && epilogue === undefined && m * n <= fewResults && k >= longProduct;
  // If k is outermost in both operands, runs of k are separate matrices.
  const parts = few && transposeLeft && !transposeRight ? partsOf(k) : undefined;
  if (parts !== undefined) return cutProduct(runner, product, parts);
  const isLarge = sizeOf(batch?.shape ?? []) * m * k * n >= transposedFrom;
  // Transposing can give a right operand rows of whole cells.
  const [along, across] = transposeRight ? [k, n] : [n, k];
  if (isLarge && along % 4 !== 0 && across % 4 === 0) return transposedProduct(runner, product, 'right');
  if (isLarge && transposeLeft && k % 4 === 0) return transposedProduct(runner, product, 'left');
  const kernels = runner.kernels();
  const relu = epilogue?.relu ?? false;
  return ({ arrays, sources: [left, right, bias], key }) => {
    const kernel = kernels(key, () =>
      matmulShader({ ...product, left: left!, right: right!, bias, relu, inputs: arrays.length }, runner.device),
    );
    return runner.device.run(kernel, arrays);
  };
}

function cutProduct(runner: Runner, { m, k, n }: Product, parts: number): Multiply {
  const length = k / parts;
  const batch = { shape: [parts], leftStrides: [length * m], rightStrides: [length * n] };
  const partial = createProduct(runner, { m, k: length, n, transposeLeft: true, transposeRight: false, batch });
  const start = { input: 0, offset: 0 };
  const sum = runner.device.compile(sumShader({ outer: 1, length: parts, inner: m * n, source: start }, runner.device));
  return (operands) => runner.consume(sum, partial(operands));
}

/** Replaces one operand with `array`, which takes the place of the old array unless another operand reads that. */
function withOperand({ arrays, sources, key }: Operands, which: number, array: DeviceArray): Operands {
  const { input } = sources[which]!;
  const isShared = sources.some((source, index) => index !== which && source.input === input);
  const place = isShared ? arrays.length : input;
  const replaced = isShared ? [...arrays, array] : arrays.with(input, array);
  return { arrays: replaced, sources: sources.with(which, { input: place, offset: 0 }), key };
}

/** Transposes one operand, then multiplies. */
function transposedProduct(runner: Runner, product: Product, side: 'left' | 'right'): Multiply {
  const { m, k, n, transposeRight, batch } = product;
  const isLeft = side === 'left';
  const rows = isLeft ? m : transposeRight ? k : n;
  const columns = isLeft || !transposeRight ? k : n;
  const shape = [...(batch?.shape ?? []), rows, columns];
  const straight = createProduct(runner, {
    ...product,
    ...(isLeft ? { transposeLeft: false } : { transposeRight: !transposeRight }),
    batch: batch && { ...batch, [`${side}Strides`]: contiguousStrides(shape).slice(0, -2) },
  });
  const strides = [...(batch?.[`${side}Strides`] ?? []), 1, rows];
  const which = isLeft ? 0 : 1;
  const kernels = runner.kernels();
  return (operands) => {
    const { input, offset } = operands.sources[which]!;
    const transpose = kernels(String(offset), () => copyShader(shape, { offset, strides }, runner.device));
    const transposed = runner.device.run(transpose, [operands.arrays[input]!]);
    const result = straight(withOperand(operands, which, transposed));
    runner.device.release(transposed);
    return result;
  };
}

function lowerMatmul(call: Placed<MatmulCall, Stretch>, runner: Runner): () => void {
  const { k, left, right, bias, output, epilogue } = call;
  if (k === 0 && epilogue === undefined) return runner.fill(output, 0);
  const operands = bias === undefined ? [left, right] : [left, right, bias];
  const product = createProduct(runner, call);
  return () => runner.write(output, product(runner.operands(operands)));
}

function lowerConvolution(call: Placed<ConvolutionCall, Stretch>, runner: Runner): () => void {
  const { left, right, output, epilogue } = call;
  if ((left.length === 0 || right.length === 0) && epilogue === undefined) return runner.fill(output, 0);
  return call.result === 'inputGradient' ? lowerFolded(call, runner) : lowerUnfolded(call, runner);
}

/** Number of windows, and number of values in each. */
function sizesOf({ windows }: Pick<ConvolutionCall, 'windows'>): { readonly count: number; readonly patch: number } {
  return { count: windowCount(windows), patch: windows.windowHeight * windows.windowWidth * windows.channels };
}

/** Computes `unfolded x kernel`, or `transposed unfolded x gradient`. */
function lowerUnfolded(call: Placed<ConvolutionCall, Stretch>, runner: Runner): () => void {
  const { windows, epilogue, left, right, bias, output } = call;
  const { count, patch } = sizesOf(call);
  const forward = call.result === 'output';
  const [m, k] = forward ? [count, patch] : [patch, count];
  const sizes = { m, k, n: call.filters };
  const product = createProduct(runner, { ...sizes, transposeLeft: !forward, transposeRight: false, epilogue });
  const stretches = bias === undefined ? [left, right] : [left, right, bias];
  const kernels = runner.kernels();
  return () => {
    const operands = runner.operands(stretches);
    const { input, offset } = operands.sources[0]!;
    const unfold = kernels(String(offset), () => unfoldShader(windows, { input: 0, offset }, runner.device));
    const unfolded = runner.device.run(unfold, [operands.arrays[input]!]);
    const values = product(withOperand(operands, 0, unfolded));
    runner.device.release(unfolded);
    runner.write(output, values);
  };
}

/** Computes `gradient x transposed kernel` and folds it back onto the pixels. */
function lowerFolded(call: Placed<ConvolutionCall, Stretch>, runner: Runner): () => void {
  const { windows, filters, left, right, output } = call;
  const { count, patch } = sizesOf(call);
  const sizes = { m: count, k: filters, n: patch };
  const product = createProduct(runner, { ...sizes, transposeLeft: false, transposeRight: true });
  const fold = runner.device.compile(unpoolShader(windows, [{ input: 0, offset: 0 }], 1, runner.device, true));
  return () => runner.write(output, runner.consume(fold, product(runner.operands([left, right]))));
}

function lowerPool(call: Placed<PoolCall, Stretch>, runner: Runner): () => void {
  const { windows, input, output } = call;
  const over = (result: 'sum' | 'max' | 'argmaxIndices') =>
    runner.over([input], ([source]) => poolShader(windows, result, source!, runner.device));
  const values = over(call.reduction);
  if (call.reduction === 'sum') return () => runner.write(output, values());
  const { argmaxIndices } = call;
  const indices = over('argmaxIndices');
  return () => {
    // Computes both before writing either: an output may overwrite the input.
    const results = [values(), indices()] as const;
    runner.write(output, results[0]);
    runner.write(argmaxIndices, results[1]);
  };
}

function lowerUnpool(call: Placed<UnpoolCall, Stretch>, runner: Runner): () => void {
  const { windows, input, argmaxIndices, output } = call;
  if (input.length === 0) return runner.fill(output, 0);
  const operands = argmaxIndices === undefined ? [input] : [input, argmaxIndices];
  const compute = runner.over(operands, (sources, inputs) => unpoolShader(windows, sources, inputs, runner.device));
  return () => runner.write(output, compute());
}

type LossCall = Placed<CrossEntropyCall, Stretch>;

function lowerCrossEntropy(call: LossCall, runner: Runner): () => void {
  const { rows, logits, labels, losses, gradient } = call;
  const kernels = runner.kernels();
  return () => {
    const operands = runner.operands([logits, labels], [runner.specials]);
    const { arrays, key } = operands;
    const statisticsKernel = kernels(`statistics ${key}`, () => rowStatisticsShader(call, operands, runner.device));
    const statistics = runner.device.run(statisticsKernel, arrays);
    const lossesKernel = kernels('losses', () => lossesShader(rows, runner.device));
    const lossValues = runner.device.run(lossesKernel, [statistics]);
    const gradientKernel = gradient && kernels(`gradient ${key}`, () => gradientShader(call, operands, runner.device));
    const gradientValues = gradientKernel && runner.device.run(gradientKernel, arrays.with(-1, statistics));
    runner.device.release(statistics);
    runner.write(losses, lossValues);
    if (gradient && gradientValues) runner.write(gradient, gradientValues);
  };
}

/**
 * One cell per row: its largest logit, the sum of exponentials, its loss. If the label is no class, the last two are
 * NaN, which the last array begins with.
 */
function rowStatisticsShader(
  { rows, classes }: LossCall,
  { arrays, sources }: Operands,
  { dialect }: Target,
): KernelSource {
  const [logits, labels] = [sources[0]!, sources[1]!];
  const logit = (position: string): string =>
    dialect.value(logits.input, plus(`${classes} * this.thread.x`, position, logits.offset));
  return flatKernel(arrays.length, rows * 4, [
    `let largest = ${logit('0')};
for (let i = 0; i < ${classes}; i++) {
  const z = ${logit('i')};
  largest = (z > largest ? z : (largest >= z ? largest : z + largest));
}
const label = ${dialect.value(labels.input, plus('this.thread.x', labels.offset))};
let total = 0.0;
let atLabel = 0.0;
let found = 0.0;
for (let i = 0; i < ${classes}; i++) {
  const shifted = ${logit('i')} - largest;
  total += Math.exp(shifted);
  if (label === i) { atLabel = shifted; found = 1.0; }
}
if (found === 0.0) { total = ${dialect.value(arrays.length - 1, '0')}; atLabel = total; }
return [largest, total, Math.log(total) - atLabel, 0.0];`,
  ]);
}

/** Losses [rows], from the statistics. */
function lossesShader(rows: number, { dialect }: Target): KernelSource {
  return flatKernel(1, rows, [returnCell(lanes.map((lane) => dialect.value(0, `4 * (${elementAt(lane)}) + 2`)))]);
}

/** `exp(z) / sum - (class == label)` [rows, classes]; the last array holds the statistics. */
function gradientShader({ rows, classes }: LossCall, { arrays, sources }: Operands, { dialect }: Target): KernelSource {
  const [logits, labels] = [sources[0]!, sources[1]!];
  const lines = lanes.flatMap((lane) => {
    const element = elementAt(lane);
    const row = quotient(element, classes);
    const logit = dialect.value(logits.input, plus(element, logits.offset));
    const label = dialect.value(labels.input, plus(row, labels.offset));
    return [
      `const c${lane} = ${dialect.cell(arrays.length - 1, row)};`,
      `const p${lane} = Math.exp(${logit} - c${lane}[0]) / c${lane}[1];`,
      `const g${lane} = (${label} === ${remainder(element, classes)} ? p${lane} - 1.0 : p${lane});`,
    ];
  });
  return flatKernel(arrays.length, rows * classes, [...lines, returnCell(['g0', 'g1', 'g2', 'g3'])]);
}

type MoveCall = Placed<GatherCall | ScatterAddCall, Stretch>;

function lowerGather(call: MoveCall, runner: Runner): () => void {
  const { kind, input, output } = call;
  if (input.length === 0) return runner.fill(output, kind === 'gather' ? Number.NaN : 0);
  const shader = kind === 'gather' ? gatherShader : scatterAddShader;
  const compute = runner.over(
    [input, call.indices],
    ([values, indices], inputs) =>
      flatKernel(inputs, output.length, shader(call, values!, indices!, inputs - 1, runner.device)),
    true,
  );
  return () => runner.write(output, compute());
}

/** `[outer, length, inner] -> [outer, count, inner]`; array `specials` begins with NaN. */
function gatherShader(
  call: MoveCall,
  values: Source,
  indices: Source,
  specials: number,
  { dialect }: Target,
): string[] {
  const { length, inner, count, ownIndices } = call;
  const lines = lanes.flatMap((lane) => {
    const element = elementAt(lane);
    const position = remainder(quotient(element, inner), count);
    const index = dialect.value(indices.input, plus(ownIndices ? element : position, indices.offset));
    const row = times(length * inner, quotient(element, count * inner));
    const value = plus(row, times(inner, `whole(i${lane})`), remainder(element, inner), values.offset);
    return [
      `const i${lane} = ${index};`,
      `let v${lane} = ${dialect.value(specials, '0')};`,
      `if (i${lane} >= 0.0 && i${lane} < ${length} && Math.floor(i${lane}) === i${lane}) {`,
      `v${lane} = ${dialect.value(values.input, value)};`,
      '}',
    ];
  });
  return [...lines, returnCell(['v0', 'v1', 'v2', 'v3'])];
}

/** `[outer, count, inner] -> [outer, length, inner]`: each place sums the values with its index. */
function scatterAddShader(
  call: MoveCall,
  values: Source,
  indices: Source,
  _specials: number,
  { dialect }: Target,
): string[] {
  const { length, inner, count, ownIndices } = call;
  const add = lanes.flatMap((lane) => {
    const element = elementAt(lane);
    const place = remainder(quotient(element, inner), length);
    const row = times(count * inner, quotient(element, length * inner));
    const picked = plus(row, times(inner, 'i'), remainder(element, inner));
    const index = dialect.value(indices.input, plus(ownIndices ? picked : 'i', indices.offset));
    const value = dialect.value(values.input, plus(picked, values.offset));
    return [
      `const i${lane} = ${index};`,
      `const p${lane} = ${place};`,
      `if (i${lane} === p${lane}) { s${lane} += ${value}; }`,
    ];
  });
  return sumLoop(count, add);
}

/** For each kind of call, a function that runs it on the current values of its storages. */
export const lowerings: ByKind<Stretch, [runner: Runner], () => void> = {
  map: lowerMap,
  reduce: lowerReduce,
  matmul: lowerMatmul,
  crossEntropy: lowerCrossEntropy,
  gather: lowerGather,
  scatterAdd: lowerGather,
  convolution: lowerConvolution,
  pool: lowerPool,
  unpool: lowerUnpool,
  // Computed on the host and uploaded: kernels of gpu.js have no 32-bit integers.
  random(call, { device }) {
    const { tensor, offset, length } = call.output;
    return () => {
      const key = uploaded(call.key, 'the seed and step');
      const samples = uploaded(call.samples, 'the samples');
      const output = new Float32Array(length);
      fillRandom({ ...call, key, samples, output });
      tensor.write(offset, length, new SharedValues(device, length, output));
    };
  },
};

/** Returns uploaded values; those that a kernel computed cannot be read without waiting. */
function uploaded({ tensor, offset, length }: Stretch, role: string): Float32Array {
  const result = new Float32Array(length);
  for (const { values, start, ...extent } of tensor.read(offset, length)) {
    if (values.host === undefined) throw new Error(`random: ${role} must be uploaded, not computed, on this backend`);
    result.set(values.host.subarray(start, start + extent.length), extent.offset - offset);
  }
  return result;
}
