/** Checks that a call's storages are long enough and apart, so that a kernel never leaves its memory. */
import type { Call, MapCall, Storage } from '../backend.ts';
import { topological } from '../formula.ts';
import { formatShape, sizeOf } from '../shape.ts';

function checkLength(kind: string, role: string, storage: Storage, needed: number): void {
  if (storage.length < needed) {
    throw new RangeError(`${kind}: ${role} needs ${needed} values, but its storage has ${storage.length}`);
  }
}

/** Whether a map reads this input element by element in storage order. */
export function readsContiguously(call: MapCall, strides: readonly number[]): boolean {
  let expected = 1;
  for (let axis = call.shape.length - 1; axis >= 0; axis--) {
    const length = call.shape[axis]!;
    if (length !== 1 && strides[axis] !== expected) return false;
    expected *= length;
  }
  return true;
}

function checkMap(call: MapCall): void {
  const size = sizeOf(call.shape);
  checkLength('map', 'the output', call.output, size);
  for (const node of topological(call.formula)) {
    if (node.kind === 'input' && (node.index < 0 || node.index >= call.inputs.length)) {
      throw new RangeError(`map: the formula reads input ${node.index}, but there are ${call.inputs.length}`);
    }
  }
  call.inputs.forEach((view, index) => {
    if (view.strides.length !== call.shape.length || view.strides.some((stride) => stride < 0)) {
      throw new RangeError(
        `map: input ${index} needs one stride of at least 0 per axis of ${formatShape(call.shape)}, got ${formatShape(view.strides)}`,
      );
    }
    if (size === 0) return;
    const last = view.strides.reduce((offset, stride, axis) => offset + stride * (call.shape[axis]! - 1), 0);
    checkLength('map', `input ${index}`, view.storage, last + 1);
  });
}

/** Throws a RangeError that names the storage, the length it needs and the length it has. */
export function checkCall(call: Call): void {
  switch (call.kind) {
    case 'map':
      checkMap(call);
      return;
    case 'reduce':
      if (call.reduction === 'argmax' && call.length === 0) {
        throw new RangeError('argmax: there is no largest of no values');
      }
      checkLength(call.reduction, 'the input', call.input, call.outer * call.length * call.inner);
      checkLength(call.reduction, 'the output', call.output, call.outer * call.inner);
      return;
    case 'matmul':
      checkLength('matmul', 'the left operand', call.left, call.m * call.k);
      checkLength('matmul', 'the right operand', call.right, call.k * call.n);
      checkLength('matmul', 'the output', call.output, call.m * call.n);
      return;
    case 'crossEntropy':
      checkLength('crossEntropy', 'the logits', call.logits, call.rows * call.classes);
      checkLength('crossEntropy', 'the labels', call.labels, call.rows);
      checkLength('crossEntropy', 'the losses', call.losses, call.rows);
      if (call.gradient) checkLength('crossEntropy', 'the gradient', call.gradient, call.rows * call.classes);
      return;
    default:
      call satisfies never;
  }
}

/** Throws unless `offset` and `length` lie inside the storage. */
export function checkSlice(storage: Storage, offset: number, length: number): void {
  const whole = Number.isSafeInteger(offset) && Number.isSafeInteger(length);
  if (!whole || offset < 0 || length < 0 || offset + length > storage.length) {
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
  if (!Number.isSafeInteger(length) || length < 0) {
    throw new RangeError(`allocate: the length must be a whole number of at least 0, got ${length}`);
  }
}
