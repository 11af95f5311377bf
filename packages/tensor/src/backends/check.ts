/** Checks that a call is well-formed and its storages are long enough, so that a kernel never leaves its memory. */

import { isWholeNumber } from '../arguments.ts';
import type { KernelCall, Layout, MapCall, Storage } from '../backend.ts';
import { topological } from '../formula.ts';
import { contiguousStrides, formatShape } from '../shape.ts';
import { forEachStorage, type Role, reachOf, viewsOf } from './operands.ts';

function checkLength(kind: string, role: string, storage: Storage, needed: number): void {
  if (storage.length < needed) {
    throw new RangeError(`${kind}: ${role} needs ${needed} values, but its storage has ${storage.length}`);
  }
}

/** Whether a map visits a storage element by element, in order, from its start. */
export function readsContiguously({ shape }: MapCall, { offset = 0, strides }: Layout): boolean {
  const contiguous = contiguousStrides(shape);
  return offset === 0 && shape.every((length, axis) => length === 1 || strides[axis] === contiguous[axis]);
}

function checkMap(call: MapCall): void {
  const { formula, shape, inputs } = call;
  for (const node of topological(formula)) {
    if (node.kind === 'input' && (node.index < 0 || node.index >= inputs.length)) {
      throw new RangeError(`map: the formula reads input ${node.index}, but there are ${inputs.length}`);
    }
  }
  viewsOf(call).forEach(({ storage, offset = 0, strides }, index) => {
    const role = index < inputs.length ? `input ${index}` : 'the output';
    if (strides.length !== shape.length || strides.some((stride) => stride < 0) || offset < 0) {
      throw new RangeError(
        `map: ${role} needs an offset and one stride of at least 0 per axis of ${formatShape(shape)}, got ${offset} and ${formatShape(strides)}`,
      );
    }
    const reach = reachOf(shape, strides);
    if (reach > 0) checkLength('map', role, storage, offset + reach);
  });
}

function checkMicrobatches(kind: string, microbatches: number | undefined, terms: number, fits: boolean): void {
  if (microbatches === undefined) return;
  if (!isWholeNumber(microbatches, 1) || terms % microbatches !== 0) {
    throw new RangeError(`${kind}: ${terms} terms cannot be cut into ${microbatches} equal microbatches`);
  }
  if (!fits) throw new RangeError(`${kind}: a call of this form takes no microbatches`);
}

/** Checks everything about a call except the lengths of its storages. */
function checkForm(call: Exclude<KernelCall, MapCall>): void {
  switch (call.kind) {
    case 'reduce': {
      const { reduction, outer, length, microbatches } = call;
      if (reduction !== 'sum' && length === 0) throw new RangeError(`${reduction}: needs at least one value`);
      checkMicrobatches(reduction, microbatches, length, reduction === 'sum' && outer === 1);
      return;
    }
    case 'matmul': {
      const { k, batch, epilogue, transposeLeft, transposeRight, microbatches } = call;
      if (batch && [batch.leftStrides, batch.rightStrides].some(({ length }) => length !== batch.shape.length)) {
        throw new RangeError(`matmul: a batch ${formatShape(batch.shape)} needs one stride per axis and operand`);
      }
      const plain = batch === undefined && epilogue === undefined;
      checkMicrobatches('matmul', microbatches, k, plain && transposeLeft && !transposeRight);
      return;
    }
    case 'convolution': {
      const { result, windows, epilogue, microbatches } = call;
      if (epilogue !== undefined && result !== 'output') {
        throw new RangeError(`convolution: only the output takes an epilogue, not the ${result}`);
      }
      checkMicrobatches('convolution', microbatches, windows.images, result === 'kernelGradient');
      return;
    }
    case 'pool':
    case 'unpool': {
      const { windowHeight, windowWidth, paddingHeight, paddingWidth } = call.windows;
      if (2 * paddingHeight > windowHeight || 2 * paddingWidth > windowWidth) {
        throw new RangeError(`${call.kind}: a window of ${windowHeight} x ${windowWidth} could cover padding alone`);
      }
    }
  }
}

const roleNames: { readonly [Key in Role]?: string } = {
  left: 'the left operand',
  right: 'the right operand',
  argmaxIndices: 'the storage of argmax indices',
};

/** Checks a call. A RangeError for a short storage names it, the length it needs and the length it has. */
export function checkCall(call: KernelCall): void {
  if (call.kind === 'map') {
    checkMap(call);
    return;
  }
  checkForm(call);
  const name = call.kind === 'reduce' ? call.reduction : call.kind;
  forEachStorage(call, (role, storage, needed) => {
    checkLength(name, roleNames[role] ?? `the ${role}`, storage, needed);
  });
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
