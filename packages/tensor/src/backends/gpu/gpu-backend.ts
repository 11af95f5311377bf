/** The gpu backend: storages hold values on the device, and each call becomes launches of shaders. */
import type {
  ConvolutionCall,
  DeviceLostError,
  Epilogue,
  GatherCall,
  KernelCall,
  MapCall,
  MatmulCall,
  PoolCall,
  Program,
  ReduceCall,
  ScatterAddCall,
  Storage,
  UnpoolCall,
} from '../../backend.ts';
import { contiguousStrides, type Shape, sizeOf, windowCount } from '../../shape.ts';
import { type ByKind, checkCopy, dispatch, isContiguous, operandsOf, type Placed, placed, reachOf } from '../calls.ts';
import { fillRandom } from '../reference.ts';
import { inOrder, StorageBackend } from '../storage-backend.ts';
import { type Device, type DeviceArray, loadGpuJs } from './device.ts';
import { matmulShader, matrixStrides, type Product } from './product-shaders.ts';
import {
  gatherShader,
  partialSumShader,
  poolShader,
  scatterAddShader,
  selectShader,
  sumShader,
  unfoldShader,
  unpoolShader,
} from './reduction-shaders.ts';
import { lowerRows } from './row-shaders.ts';
import { CopyOnWriteTensor, type Operands, Runner, SharedValues, type Stretch } from './runner.ts';
import { copyShader, flatKernel, isNested, mapShader, stridedWriteShader, usesSpecials } from './shaders.ts';
import { openWebGlDevice } from './webgl.ts';
import { openWebGpuDevice } from './webgpu.ts';

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
  if (isContiguous(shape, { strides })) return (values) => runner.write(target, values);
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
  const { outer, length, inner, reduction, input, factor, output } = call;
  if (length === 0) return runner.fill(output, 0);
  const sizes = { outer, length, inner };
  const inputs = factor === undefined ? [input] : [input, factor];
  const onePass = length <= longSum || (output.length >= manyResults && length <= longestRun);
  if (reduction !== 'sum' || onePass) {
    const compute = runner.over(inputs, ([source, by]) => {
      const read = { ...sizes, source: source!, factor: by };
      return reduction === 'sum' ? sumShader(read, runner.device) : selectShader(read, reduction, runner.device);
    });
    return () => runner.write(output, compute());
  }
  const parts = Math.ceil(Math.sqrt(length));
  const partial = runner.over(inputs, ([source, by]) =>
    partialSumShader({ ...sizes, source: source!, factor: by }, parts, Math.ceil(length / parts), runner.device),
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

interface FinishedProduct extends Product {
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

function createProduct(runner: Runner, product: FinishedProduct): Multiply {
  const { m, k, n, batch, epilogue } = product;
  const { leftRow, leftInner, rightColumn, rightIsTransposed } = matrixStrides(product);
  const leftIsTransposed = leftRow === 1 && leftInner !== 1;
  const few = batch === undefined && epilogue === undefined && m * n <= fewResults && k >= longProduct;
  // If k is outermost in both operands, runs of k are separate matrices.
  const parts = few && leftRow === 1 && rightColumn === 1 ? partsOf(k) : undefined;
  if (parts !== undefined) return cutProduct(runner, product, parts);
  const isLarge = sizeOf(batch ?? []) * m * k * n >= transposedFrom;
  // Transposing can give a right operand rows of whole cells.
  const [along, across] = rightIsTransposed ? [k, n] : [n, k];
  if (isLarge && along % 4 !== 0 && across % 4 === 0) return transposedProduct(runner, product, 'right');
  if (isLarge && leftIsTransposed && k % 4 === 0) return transposedProduct(runner, product, 'left');
  const kernels = runner.kernels();
  const relu = epilogue?.relu ?? false;
  return ({ arrays, sources: [left, right, bias], key }) => {
    const kernel = kernels(key, () =>
      matmulShader({ ...product, left: left!, right: right!, bias, relu, inputs: arrays.length }, runner.device),
    );
    return runner.device.run(kernel, arrays);
  };
}

function cutProduct(runner: Runner, product: Product, parts: number): Multiply {
  const { m, k, n, leftStrides, rightStrides } = product;
  const length = k / parts;
  const partial = createProduct(runner, {
    ...{ m, k: length, n, batch: [parts] },
    leftStrides: [length * leftStrides[1]!, ...leftStrides],
    rightStrides: [length * rightStrides[0]!, ...rightStrides],
  });
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
function transposedProduct(runner: Runner, product: FinishedProduct, side: 'left' | 'right'): Multiply {
  const { m, k, n, batch = [] } = product;
  const isLeft = side === 'left';
  // A copy of the left operand is [m, k]. One of the right is [n, k] if the old one is read along n, else [k, n].
  const isTurned = !isLeft && !matrixStrides(product).rightIsTransposed;
  const [rows, columns] = isLeft ? [m, k] : isTurned ? [n, k] : [k, n];
  const shape = [...batch, rows, columns];
  const turned = (strides: readonly number[]) =>
    isTurned ? [...strides.slice(0, -2), ...strides.slice(-2).reverse()] : strides;
  const strides = turned(product[`${side}Strides`]);
  const straight = createProduct(runner, { ...product, [`${side}Strides`]: turned(contiguousStrides(shape)) });
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
  const { m, n, batch } = call;
  const strides = operandsOf(call);
  const product = createProduct(runner, {
    ...{ m, k, n, batch, epilogue },
    leftStrides: strides.left.strides,
    rightStrides: strides.right.strides,
  });
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
  const product = createProduct(runner, {
    ...{ m, k, n: call.filters, epilogue },
    leftStrides: forward ? [k, 1] : [1, m],
    rightStrides: [call.filters, 1],
  });
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
  const product = createProduct(runner, { ...sizes, leftStrides: [filters, 1], rightStrides: [1, filters] });
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

type MoveCall = Placed<GatherCall | ScatterAddCall, Stretch>;

function lowerGather(call: MoveCall, runner: Runner): () => void {
  const { kind, input, output } = call;
  if (input.length === 0) return runner.fill(output, kind === 'gather' ? Number.NaN : 0);
  const shader = kind === 'gather' ? gatherShader : scatterAddShader;
  const compute = runner.over(
    [input, call.indices],
    ([values, indices], inputs) =>
      flatKernel(inputs, output.length, shader(call, values!, indices!, runner.device, inputs - 1)),
    true,
  );
  return () => runner.write(output, compute());
}

/** For each kind of call, a function that runs it on the current values of its storages. */
const lowerings: ByKind<Stretch, [runner: Runner], () => void> = {
  map: lowerMap,
  reduce: lowerReduce,
  matmul: lowerMatmul,
  crossEntropy: lowerRows,
  gather: lowerGather,
  scatterAdd: lowerGather,
  convolution: lowerConvolution,
  pool: lowerPool,
  unpool: lowerUnpool,
  softmax: lowerRows,
  softmaxGradient: lowerRows,
  layerNorm: lowerRows,
  layerNormGradient: lowerRows,
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

/** A backend over one mode of gpu.js. */
export class GpuBackend extends StorageBackend<CopyOnWriteTensor> {
  readonly name: string;
  readonly numericMode: string;
  readonly mode: string;
  readonly adapter: string;
  readonly lost: Promise<DeviceLostError>;
  readonly #device: Device;
  readonly #runner: Runner;

  constructor(name: string, device: Device) {
    super();
    this.name = name;
    this.mode = device.mode;
    this.adapter = device.adapter;
    this.lost = device.lost;
    // exp, log and the order of sums depend on the device, so equal names promise equal bits only on one adapter.
    this.numericMode = `gpu.js ${device.mode} on ${device.adapter}`;
    this.#device = device;
    this.#runner = new Runner(device);
  }

  upload(storage: Storage, values: Float32Array): void {
    checkCopy(storage, values.length);
    this.#write(storage, values.slice());
  }

  uploadBytes(storage: Storage, bytes: Uint8Array, divisor: number): void {
    checkCopy(storage, bytes.length);
    const quotients = Float32Array.from({ length: 256 }, (_, byte) => byte / Math.fround(divisor));
    const values = new Float32Array(bytes.length);
    for (let index = 0; index < bytes.length; index++) values[index] = quotients[bytes[index]!]!;
    this.#write(storage, values);
  }

  #write(storage: Storage, values: Float32Array): void {
    const { memory, offset, length } = this.own(storage);
    memory.write(offset, length, new SharedValues(this.#device, length, values));
  }

  /** @throws DeviceLostError if the device was lost */
  async download(storage: Storage): Promise<Float32Array> {
    const { memory, offset, length } = this.own(storage);
    const extents = memory.read(offset, length);
    const onDevice = extents.filter(({ values }) => values.host === undefined);
    // Requested before the first await, so that later writes and releases come after the read.
    const reading = this.#device.read(
      onDevice.map((extent) => ({ array: extent.values.array, offset: extent.start, length: extent.length })),
    );
    const result = new Float32Array(length);
    for (const { values, start, ...extent } of extents) {
      if (values.host !== undefined) {
        result.set(values.host.subarray(start, start + extent.length), extent.offset - offset);
      }
    }
    (await reading).forEach((values, index) => {
      result.set(values, onDevice[index]!.offset - offset);
    });
    return result;
  }

  /**
   * Releases the device, once; this backend cannot be used afterwards. A pending download rejects or still returns its
   * values. Never rejects, even if the device was lost.
   */
  close(): Promise<void> {
    this.#runner.dispose();
    return this.#device.close();
  }

  protected createMemory(length: number): CopyOnWriteTensor {
    if (length > this.#device.maxLength) {
      throw new RangeError(`${this.name}: one storage holds at most ${this.#device.maxLength} values, not ${length}`);
    }
    return new CopyOnWriteTensor(this.#device, length);
  }

  protected releaseMemory(memory: CopyOnWriteTensor): void {
    memory.free();
  }

  protected prepareCalls(calls: readonly KernelCall[]): Pick<Program, 'run'> {
    return inOrder(
      calls.map((call) => {
        const onStretches = placed(call, (storage, length, from) => {
          const { memory, offset } = this.own(storage);
          return { tensor: memory, offset: offset + from, length };
        });
        return dispatch(lowerings, onStretches, this.#runner);
      }),
    );
  }
}

export type GpuMode = 'webgpu' | 'webgl2';

/** @throws Error with one sentence if this mode is unavailable */
export async function openDevice(mode: GpuMode): Promise<Device> {
  const gpuJs = await loadGpuJs();
  return mode === 'webgpu' ? openWebGpuDevice(gpuJs) : openWebGlDevice(gpuJs);
}
