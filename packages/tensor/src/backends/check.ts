/** Checks that a call's storages are long enough and apart, so that a kernel never leaves its memory. */
import type {
  ConvolutionCall,
  CrossEntropyCall,
  Epilogue,
  GatherCall,
  KernelCall,
  Layout,
  MapCall,
  MatmulCall,
  PoolCall,
  RandomCall,
  ReduceCall,
  ScatterAddCall,
  Storage,
  UnpoolCall,
} from '../backend.ts';
import { topological } from '../formula.ts';
import { contiguousStrides, formatShape, sizeOf } from '../shape.ts';
import { isWholeNumber } from '../whole-number.ts';
import { imageSize, windowCount } from '../windows.ts';
import { operandLength } from './batches.ts';
import { type ByKind, dispatch } from './by-kind.ts';

function checkLength(kind: string, role: string, storage: Storage, needed: number): void {
  if (storage.length < needed) {
    throw new RangeError(`${kind}: ${role} needs ${needed} values, but its storage has ${storage.length}`);
  }
}

/** Whether a map crosses a storage element by element in order, from its start. */
export function readsContiguously(call: MapCall, { offset = 0, strides }: Layout): boolean {
  if (offset !== 0) return false;
  let expected = 1;
  for (let axis = call.shape.length - 1; axis >= 0; axis--) {
    const length = call.shape[axis]!;
    if (length !== 1 && strides[axis] !== expected) return false;
    expected *= length;
  }
  return true;
}

function checkMap(call: MapCall): void {
  const written = call.outputLayout ?? { strides: contiguousStrides(call.shape) };
  checkLayout(call, 'the output', call.output, written);
  for (const node of topological(call.formula)) {
    if (node.kind === 'input' && (node.index < 0 || node.index >= call.inputs.length)) {
      throw new RangeError(`map: the formula reads input ${node.index}, but there are ${call.inputs.length}`);
    }
  }
  call.inputs.forEach((view, index) => {
    checkLayout(call, `input ${index}`, view.storage, view);
  });
}

function checkLayout({ shape }: MapCall, role: string, storage: Storage, { offset = 0, strides }: Layout): void {
  if (strides.length !== shape.length || strides.some((stride) => stride < 0) || offset < 0) {
    throw new RangeError(
      `map: ${role} needs an offset and one stride of at least 0 per axis of ${formatShape(shape)}, got ${offset} and ${formatShape(strides)}`,
    );
  }
  if (sizeOf(shape) === 0) return;
  const last = strides.reduce((sum, stride, axis) => sum + stride * (shape[axis]! - 1), offset);
  checkLength('map', role, storage, last + 1);
}

function checkEpilogue(kind: string, epilogue: Epilogue | undefined, columns: number): void {
  if (epilogue?.bias !== undefined) checkLength(kind, 'the bias', epilogue.bias, columns);
}

function checkMicrobatches(kind: string, microbatches: number | undefined, terms: number, fits: boolean): void {
  if (microbatches === undefined) return;
  if (!isWholeNumber(microbatches, 1) || terms % microbatches !== 0) {
    throw new RangeError(`${kind}: ${terms} terms cannot be cut into ${microbatches} equal microbatches`);
  }
  if (!fits) throw new RangeError(`${kind}: a call of this form takes no microbatches`);
}

function checkReduce(call: ReduceCall): void {
  const { reduction, outer, length, inner, microbatches } = call;
  if (reduction !== 'sum' && length === 0) throw new RangeError(`${reduction}: needs at least one value`);
  checkMicrobatches(reduction, microbatches, length, reduction === 'sum' && outer === 1);
  checkLength(reduction, 'the input', call.input, outer * length * inner);
  checkLength(reduction, 'the output', call.output, outer * inner);
}

function checkMatmul(call: MatmulCall): void {
  const { m, k, n, batch = { shape: [], leftStrides: [], rightStrides: [] } } = call;
  const count = sizeOf(batch.shape);
  if (batch.leftStrides.length !== batch.shape.length || batch.rightStrides.length !== batch.shape.length) {
    throw new RangeError(`matmul: a batch ${formatShape(batch.shape)} needs one stride per axis and operand`);
  }
  const plain = call.batch === undefined && call.epilogue === undefined;
  checkMicrobatches('matmul', call.microbatches, k, plain && call.transposeLeft && !call.transposeRight);
  checkEpilogue('matmul', call.epilogue, n);
  checkLength('matmul', 'the output', call.output, count * m * n);
  if (count === 0) return;
  checkLength('matmul', 'the left operand', call.left, operandLength(batch, 'left', m * k));
  checkLength('matmul', 'the right operand', call.right, operandLength(batch, 'right', k * n));
}

function checkGather(call: GatherCall | ScatterAddCall): void {
  const { kind, outer, length, inner, count } = call;
  const [long, picked] = [outer * length * inner, outer * count * inner];
  checkLength(kind, 'the input', call.input, kind === 'gather' ? long : picked);
  checkLength(kind, 'the output', call.output, kind === 'gather' ? picked : long);
  checkLength(kind, 'the indices', call.indices, call.ownIndices ? picked : count);
}

function checkConvolution({ result, windows, filters, ...call }: ConvolutionCall): void {
  const images = imageSize(windows);
  const kernel = windows.windowHeight * windows.windowWidth * windows.channels * filters;
  const outputs = windowCount(windows) * filters;
  const lengths = {
    output: { left: images, right: kernel, output: outputs },
    inputGradient: { left: outputs, right: kernel, output: images },
    kernelGradient: { left: images, right: outputs, output: kernel },
  }[result];
  if (call.epilogue !== undefined && result !== 'output') {
    throw new RangeError(`convolution: only the output takes an epilogue, not the ${result}`);
  }
  checkMicrobatches('convolution', call.microbatches, windows.images, result === 'kernelGradient');
  checkEpilogue('convolution', call.epilogue, filters);
  checkLength('convolution', 'the left operand', call.left, lengths.left);
  checkLength('convolution', 'the right operand', call.right, lengths.right);
  checkLength('convolution', 'the output', call.output, lengths.output);
}

function checkPooling(call: PoolCall | UnpoolCall): void {
  const { kind, windows, input, output } = call;
  const { windowHeight, windowWidth, paddingHeight, paddingWidth } = windows;
  if (2 * paddingHeight > windowHeight || 2 * paddingWidth > windowWidth) {
    throw new RangeError(`${kind}: a window of ${windowHeight} x ${windowWidth} could cover padding alone`);
  }
  const images = imageSize(windows);
  const outputs = windowCount(windows) * windows.channels;
  checkLength(kind, 'the input', input, kind === 'pool' ? images : outputs);
  checkLength(kind, 'the output', output, kind === 'pool' ? outputs : images);
  if ('argmaxIndices' in call) checkLength(kind, 'the storage of argmax indices', call.argmaxIndices, outputs);
}

function checkCrossEntropy(call: CrossEntropyCall): void {
  const { kind, rows, classes } = call;
  checkLength(kind, 'the logits', call.logits, rows * classes);
  checkLength(kind, 'the labels', call.labels, rows);
  checkLength(kind, 'the losses', call.losses, rows);
  if (call.gradient) checkLength(kind, 'the gradient', call.gradient, rows * classes);
}

function checkRandom({ rows, columns, ...call }: RandomCall): void {
  checkLength('random', 'the key', call.key, 4);
  checkLength('random', 'the samples', call.samples, rows);
  checkLength('random', 'the output', call.output, rows * columns);
}

const checks: ByKind<[], void> = {
  map: checkMap,
  reduce: checkReduce,
  matmul: checkMatmul,
  convolution: checkConvolution,
  pool: checkPooling,
  unpool: checkPooling,
  crossEntropy: checkCrossEntropy,
  gather: checkGather,
  scatterAdd: checkGather,
  random: checkRandom,
};

/** Throws a RangeError that names the storage, the length it needs and the length it has. */
export function checkCall(call: KernelCall): void {
  dispatch(checks, call);
}

/** Throws unless `offset` and `length` lie inside the storage. */
export function checkSlice(storage: Storage, offset: number, length: number): void {
  if (!isWholeNumber(offset) || !isWholeNumber(length) || offset + length > storage.length) {
    throw new RangeError(`slice: ${length} values from ${offset} on do not lie inside a storage of ${storage.length}`);
  }
}

/** Throws unless exactly as many values are copied as the storage holds. */
export function checkCopy(storage: Storage, given: number): void {
  if (given !== storage.length) {
    throw new RangeError(`upload: the storage holds ${storage.length} values, but ${given} were given`);
  }
}

/** Throws unless `length` is a whole number of at least 0. */
export function checkAllocation(length: number): void {
  if (!isWholeNumber(length)) {
    throw new RangeError(`allocate: the length must be a whole number of at least 0, got ${length}`);
  }
}
