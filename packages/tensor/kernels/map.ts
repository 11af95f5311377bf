/** Map programs: all instructions of a formula run on one chunk of elements, then on the next. */
import { chunkLength, momentumStepCode, runInstruction } from './generated/programs';
import { storeLanes } from './shared';

/** Address of the values of operand `index` of an instruction; 0 is its target. */
// @ts-ignore: decorator
@inline function operand(instruction: usize, slots: usize, index: usize): usize {
  return <usize>load<u32>(slots + (<usize>load<u32>(instruction + (index << 2), 4) << 2));
}

// @ts-ignore: decorator
@inline function momentumSum(x: usize, a: v128, y: usize, b: v128): v128 {
  return f32x4.add(f32x4.mul(v128.load(x), a), f32x4.mul(v128.load(y), b));
}

/** Computes two vectors of `momentumStep`; stores the sums before it reads the differences. */
// @ts-ignore: decorator
@inline function stepVectors(x: usize, a: v128, y: usize, b: v128, sum: usize, z: usize, c: v128, difference: usize): void {
  const value0 = momentumSum(x, a, y, b), value1 = momentumSum(x + 16, a, y + 16, b);
  v128.store(sum, value0);
  v128.store(sum, value1, 16);
  const difference0 = f32x4.sub(v128.load(z), f32x4.mul(c, value0));
  const difference1 = f32x4.sub(v128.load(z, 16), f32x4.mul(c, value1));
  v128.store(difference, difference0);
  v128.store(difference, difference1, 16);
}

/** Runs three instructions at once: `sum = x * a + y * b`, `difference = z - c * sum`; a, b and c are scalars. */
function momentumStep(mul: usize, slots: usize, count: i32): void {
  let x = operand(mul, slots, 1), y = operand(mul + 20, slots, 2), sum = operand(mul + 20, slots, 0);
  let z = operand(mul + 40, slots, 1), difference = operand(mul + 40, slots, 0);
  const a = v128.load(operand(mul, slots, 2));
  const b = v128.load(operand(mul + 20, slots, 3));
  const c = v128.load(operand(mul + 40, slots, 2));
  for (; count >= 16; count -= 16) {
    stepVectors(x, a, y, b, sum, z, c, difference);
    stepVectors(x + 32, a, y + 32, b, sum + 32, z + 32, c, difference + 32);
    x += 64; y += 64; sum += 64; z += 64; difference += 64;
  }
  for (; count > 0; count -= 4, x += 16, y += 16, sum += 16, z += 16, difference += 16) {
    const value = momentumSum(x, a, y, b);
    storeLanes(sum, value, count);
    storeLanes(difference, f32x4.sub(v128.load(z), f32x4.mul(c, value)), count);
  }
}

/**
 * Copies rows of `length` values, `rowBytes` apart, one after another; values of a row are `stride` bytes apart. Up to 12
 * bytes more are read and written.
 */
function gather(target: usize, source: usize, rowBytes: usize, stride: usize, rows: i32, length: i32): void {
  const bytes = <usize>length << 2;
  for (; rows > 0; rows--, source += rowBytes, target += bytes) {
    if (stride == 0) {
      const value = v128.load32_splat(source);
      for (let at: usize = 0; at < bytes; at += 16) v128.store(target + at, value);
    } else if (stride == 4) {
      for (let at: usize = 0; at < bytes; at += 16) v128.store(target + at, v128.load(source + at));
    } else {
      for (let at: usize = 0, from = source; at < bytes; at += 4, from += stride) store<f32>(target + at, load<f32>(from));
    }
  }
}

/** The inverse of `gather`, which writes no more than the values. */
function scatter(target: usize, source: usize, rowBytes: usize, stride: usize, rows: i32, length: i32): void {
  const bytes = <usize>length << 2;
  for (; rows > 0; rows--, source += bytes, target += rowBytes) {
    let at: usize = 0, to = target;
    if (stride == 4) for (; at + 16 <= bytes; at += 16, to += 16) v128.store(to, v128.load(source + at));
    for (; at < bytes; at += 4, to += stride) store<f32>(to, load<f32>(source + at));
  }
}

// The descriptor, in 32-bit words, written by src/backends/cpu/programs.ts. It has pointers, because few variables should
// live across the calls of `runInstruction`: an engine would keep all of them on the stack.
const RANK: usize = 0, OUTER_COUNT: usize = 4, ROWS: usize = 8, LENGTH: usize = 12, ROWS_TOGETHER: usize = 16;
const SLOTS: usize = 20, CHUNKS: usize = 24, OUTPUT: usize = 28, INSTRUCTIONS: usize = 32, LAST_INSTRUCTION: usize = 36;
// Then from AXES on: per outer axis its size and running index;
// per input, and then for the output, its pointer, inner stride, row stride and outer strides (bytes);
// per instruction code, target, a, b, c (slots).
const AXES: usize = 40;
// Slot i is input i, and the last instruction's target is the output; the other slots hold constants and intermediate
// values in their chunks.

/** Address of the value at (`row`, `start`) of a view, at the running indices of the outer axes. */
// @ts-ignore: decorator
@inline function addressOf(descriptor: usize, view: usize, row: i32, start: i32): usize {
  let address = <usize>load<u32>(view) + <usize>start * load<u32>(view, 4) + <usize>row * load<u32>(view, 8);
  const rank = load<i32>(descriptor, RANK);
  for (let axis = 0; axis < rank; axis++) {
    const index = load<u32>(descriptor + (<usize>axis << 3), AXES + 4);
    address += <usize>index * load<u32>(view + (<usize>axis << 2), 12);
  }
  return address;
}

/** Whether blocks of a view are consecutive values. */
// @ts-ignore: decorator
@inline function isDense(view: usize, rows: i32, length: i32): bool {
  return load<u32>(view, 4) == 4 && (rows == 1 || load<u32>(view, 8) == <u32>length << 2);
}

/**
 * Points each input's slot at its values in the block of `rows` x `length` values at (`row`, `start`); values that are
 * not consecutive are first copied to the slot's chunk.
 */
// @ts-ignore: decorator
@inline function bindInputs(descriptor: usize, row: i32, start: i32, rows: i32, length: i32): void {
  let slot = <usize>load<u32>(descriptor, SLOTS), copy = <usize>load<u32>(descriptor, CHUNKS);
  const rank = load<i32>(descriptor, RANK);
  const end = <usize>load<u32>(descriptor, OUTPUT);
  for (let view = descriptor + AXES + (<usize>rank << 3); view < end; view += <usize>(rank + 3) << 2) {
    const source = addressOf(descriptor, view, row, start);
    if (isDense(view, rows, length)) store<u32>(slot, <u32>source);
    else {
      const stride = load<u32>(view, 4), rowBytes = load<u32>(view, 8);
      // Blocks of a repeated row or value are equal, and the first is the largest.
      if (rowBytes != 0 || (row == 0 && (stride != 0 || start == 0))) gather(copy, source, rowBytes, stride, rows, length);
      store<u32>(slot, <u32>copy);
    }
    slot += 4;
    copy += <usize>chunkLength << 2;
  }
}

/** Increments the running indices of the outer axes, the last axis first. */
function advance(descriptor: usize): void {
  for (let axis = load<i32>(descriptor, RANK) - 1; axis >= 0; axis--) {
    const at = descriptor + AXES + (<usize>axis << 3);
    const next = load<i32>(at, 4) + 1;
    if (next < load<i32>(at, 0)) {
      store<i32>(at, next, 4);
      break;
    }
    store<i32>(at, 0, 4);
  }
}

export function map(descriptor: usize): void {
  for (let axis = load<i32>(descriptor, RANK) - 1; axis >= 0; axis--) {
    store<i32>(descriptor + (<usize>axis << 3), 0, AXES + 4);
  }
  for (let outer = load<i32>(descriptor, OUTER_COUNT); outer > 0; outer--) {
    for (let row = 0; row < load<i32>(descriptor, ROWS); row += load<i32>(descriptor, ROWS_TOGETHER)) {
      const rows = min(load<i32>(descriptor, ROWS_TOGETHER), load<i32>(descriptor, ROWS) - row);
      for (let start = 0; start < load<i32>(descriptor, LENGTH); start += chunkLength) {
        computeBlock(descriptor, row, start, rows, min(chunkLength, load<i32>(descriptor, LENGTH) - start));
      }
    }
    advance(descriptor);
  }
}

// @ts-ignore: decorator
@inline function computeBlock(descriptor: usize, row: i32, start: i32, rows: i32, length: i32): void {
  bindInputs(descriptor, row, start, rows, length);
  const output = <usize>load<u32>(descriptor, OUTPUT);
  const slots = <usize>load<u32>(descriptor, SLOTS), last = <usize>load<u32>(descriptor, LAST_INSTRUCTION);
  const index = <usize>load<u32>(last, 4);
  const chunk = <usize>load<u32>(descriptor, CHUNKS) + index * (<usize>chunkLength << 2);
  const target = addressOf(descriptor, output, row, start);
  const isDirect = isDense(output, rows, length);
  store<u32>(slots + (index << 2), <u32>(isDirect ? target : chunk));
  const count = rows * length;
  for (let at = <usize>load<u32>(descriptor, INSTRUCTIONS); at <= last; at += 20) {
    if (load<i32>(at, 0) == momentumStepCode) {
      momentumStep(at, slots, count);
      at += 40;
      continue;
    }
    runInstruction(
      load<i32>(at, 0),
      <usize>load<u32>(slots + (<usize>load<u32>(at, 4) << 2)),
      <usize>load<u32>(slots + (<usize>load<u32>(at, 8) << 2)),
      <usize>load<u32>(slots + (<usize>load<u32>(at, 12) << 2)),
      <usize>load<u32>(slots + (<usize>load<u32>(at, 16) << 2)),
      count,
    );
  }
  if (!isDirect) scatter(target, chunk, load<u32>(output, 8), load<u32>(output, 4), rows, length);
}
