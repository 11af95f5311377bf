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

function fill(target: usize, value: f32, count: i32): void {
  const end = target + (<usize>count << 2);
  for (; target < end; target += 16) v128.store(target, f32x4.splat(value));
}

function gather(target: usize, source: usize, stride: usize, count: i32): void {
  const end = target + (<usize>count << 2);
  for (; target < end; target += 4, source += stride) store<f32>(target, load<f32>(source));
}

function scatter(target: usize, source: usize, stride: usize, count: i32): void {
  const end = source + (<usize>count << 2);
  for (; source < end; source += 4, target += stride) store<f32>(target, load<f32>(source));
}

/** Address of a view's inner row at the running indices of the outer axes. */
function addressOf(view: usize, axes: usize, rank: i32): usize {
  let address = <usize>load<u32>(view);
  for (let axis = 0; axis < rank; axis++) {
    const index = load<u32>(axes + (<usize>axis << 3), 4);
    address += <usize>index * <usize>load<u32>(view + (<usize>axis << 2), 8);
  }
  return address;
}

/** Points each input's slot at its values from `start` on; strided values are first copied to the slot's chunk. */
function bindInputs(
  inputs: usize, inputCount: i32, viewBytes: usize, axes: usize, rank: i32, slots: usize, chunks: usize,
  start: i32, count: i32, innerLength: i32,
): void {
  for (let which = 0; which < inputCount; which++) {
    const entry = inputs + <usize>which * viewBytes;
    const slot = slots + (<usize>which << 2);
    const stride = <usize>load<u32>(entry, 4);
    const source = addressOf(entry, axes, rank) + <usize>start * stride;
    if (stride == 4) {
      store<u32>(slot, <u32>source);
      continue;
    }
    const copy = chunks + (<usize>which * (<usize>chunkLength << 2));
    if (stride != 0) gather(copy, source, stride, count);
    else if (start == 0) fill(copy, load<f32>(source), min(chunkLength, (innerLength + 3) & ~3));
    store<u32>(slot, <u32>copy);
  }
}

/** Increments the running indices of the outer axes, the last axis first. */
// @ts-ignore: decorator
@inline function advance(axes: usize, rank: i32): void {
  for (let axis = rank - 1; axis >= 0; axis--) {
    const at = axes + (<usize>axis << 3);
    const next = load<i32>(at, 4) + 1;
    if (next < load<i32>(at, 0)) {
      store<i32>(at, next, 4);
      break;
    }
    store<i32>(at, 0, 4);
  }
}

// The descriptor, in 32-bit words, written by src/backends/cpu/programs.ts:
//   0 instructions  1 inputs  2 outer axes  3 outer elements  4 inner length
//   5 slot pointers: pointer  6 chunks of the slots: pointer
// then from word 7: per outer axis its size and running index;
// per input, and then for the output, its pointer, inner stride and outer strides (bytes);
// per instruction code, target, a, b, c (slots).
// Slot i is input i, and the last instruction's target is the output; the other slots hold constants and intermediate
// values in their chunks.
export function map(descriptor: usize): void {
  const instructionCount = load<i32>(descriptor, 0);
  const inputCount = load<i32>(descriptor, 4);
  const rank = load<i32>(descriptor, 8);
  const outerCount = load<i32>(descriptor, 12);
  const innerLength = load<i32>(descriptor, 16);
  const slots = <usize>load<u32>(descriptor, 20);
  const chunks = <usize>load<u32>(descriptor, 24);
  const axes = descriptor + 28;
  const inputs = axes + (<usize>rank << 3);
  const viewBytes = <usize>(rank + 2) << 2;
  const output = inputs + <usize>inputCount * viewBytes;
  const instructions = output + viewBytes;
  const lastInstruction = instructions + <usize>(instructionCount - 1) * 20;
  const outputIndex = load<u32>(lastInstruction, 4);
  const outputSlot = slots + (<usize>outputIndex << 2);
  const outputChunk = chunks + <usize>outputIndex * (<usize>chunkLength << 2);
  const outputStride = <usize>load<u32>(output, 4);

  for (let axis = 0; axis < rank; axis++) store<i32>(axes + (<usize>axis << 3), 0, 4);
  for (let outer = 0; outer < outerCount; outer++) {
    for (let start = 0; start < innerLength; start += chunkLength) {
      const count = min(chunkLength, innerLength - start);
      bindInputs(inputs, inputCount, viewBytes, axes, rank, slots, chunks, start, count, innerLength);
      const target = addressOf(output, axes, rank) + <usize>start * outputStride;
      store<u32>(outputSlot, <u32>(outputStride == 4 ? target : outputChunk));
      for (let at = instructions; at <= lastInstruction; at += 20) {
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
      if (outputStride != 4) scatter(target, outputChunk, outputStride, count);
    }
    advance(axes, rank);
  }
}
