/** Kernels that work row by row: softmax, layer normalization, cross-entropy, gathering and scattering, random values. */
import { rowSum } from './reductions';
import { storeLanes } from './shared';
import { exp4, log4 } from './transcendental';

// The first four kernels follow the formulas of src/backend.ts. A row of `output` first holds the terms of its sum.
// Vectors may read up to 12 bytes beyond a row, and write invisible columns, which become 0 in the end.

/** Stores four values of a row that has `rest` bytes from `target` on. */
// @ts-ignore: decorator
@inline function storeInRow(target: usize, value: v128, rest: usize): void {
  if (rest >= 16) v128.store(target, value);
  else storeLanes(target, value, <i32>rest >> 2);
}

/** Number of visible columns of a softmax's row; 0 as the period means that all are visible. */
// @ts-ignore: decorator
@inline function visible(columns: i32, period: i32, row: i32): i32 {
  return period == 0 ? columns : columns - period + 1 + row % period;
}

/** Skips NaN, which makes the sum of the row NaN anyway: pmax takes one instruction, max several. */
function largestOf(source: usize, count: i32): f32 {
  let best = f32x4.splat(load<f32>(source)), other = best;
  for (; count >= 8; count -= 8, source += 32) {
    best = f32x4.pmax(best, v128.load(source));
    other = f32x4.pmax(other, v128.load(source, 16));
  }
  best = f32x4.pmax(best, other);
  let result = max(
    max(f32x4.extract_lane(best, 0), f32x4.extract_lane(best, 1)),
    max(f32x4.extract_lane(best, 2), f32x4.extract_lane(best, 3)),
  );
  for (; count > 0; count--, source += 4) result = max(result, load<f32>(source));
  return result;
}

/** Stores `exp((input - largest) / scale)` of the first `seen` bytes of a row of `bytes`; without a scale it is 1. */
// @ts-ignore: decorator
@inline function storePowers(
  isScaled: bool, seen: usize, bytes: usize, input: usize, largest: v128, scale: v128, output: usize,
): void {
  let at: usize = 0;
  for (; at + 32 <= seen; at += 32) {
    const difference0 = f32x4.sub(v128.load(input + at), largest);
    const difference1 = f32x4.sub(v128.load(input + at, 16), largest);
    const power0 = exp4(isScaled ? f32x4.div(difference0, scale) : difference0);
    const power1 = exp4(isScaled ? f32x4.div(difference1, scale) : difference1);
    v128.store(output + at, power0);
    v128.store(output + at, power1, 16);
  }
  for (; at < seen; at += 16) {
    const difference = f32x4.sub(v128.load(input + at), largest);
    storeInRow(output + at, exp4(isScaled ? f32x4.div(difference, scale) : difference), bytes - at);
  }
}

export function softmax(
  rows: i32, columns: i32, temperature: f32, period: i32, input: usize, output: usize,
): void {
  const bytes = <usize>columns << 2;
  const scale = f32x4.splat(temperature);
  for (let row = 0; row < rows; row++, input += bytes, output += bytes) {
    const count = visible(columns, period, row);
    const seen = <usize>count << 2;
    const largest = f32x4.splat(largestOf(input, count));
    if (temperature == 1) storePowers(false, seen, bytes, input, largest, scale, output);
    else storePowers(true, seen, bytes, input, largest, scale, output);
    const total = f32x4.splat(rowSum(output, count));
    let at: usize = 0;
    for (; at + 32 <= seen; at += 32) {
      const part0 = f32x4.div(v128.load(output + at), total), part1 = f32x4.div(v128.load(output + at, 16), total);
      v128.store(output + at, part0);
      v128.store(output + at, part1, 16);
    }
    for (; at < seen; at += 16) storeInRow(output + at, f32x4.div(v128.load(output + at), total), bytes - at);
    memory.fill(output + seen, 0, bytes - seen);
  }
}

export function softmaxGradient(
  rows: i32, columns: i32, temperature: f32, period: i32, gradient: usize, probabilities: usize, output: usize,
): void {
  const bytes = <usize>columns << 2;
  const scale = f32x4.splat(temperature);
  for (let row = 0; row < rows; row++, gradient += bytes, probabilities += bytes, output += bytes) {
    const count = visible(columns, period, row);
    const seen = <usize>count << 2;
    for (let at: usize = 0; at < seen; at += 16) {
      const product = f32x4.mul(v128.load(gradient + at), v128.load(probabilities + at));
      storeInRow(output + at, product, bytes - at);
    }
    const total = f32x4.splat(rowSum(output, count));
    for (let at: usize = 0; at < seen; at += 16) {
      const difference = f32x4.sub(v128.load(gradient + at), total);
      const slope = f32x4.div(f32x4.mul(v128.load(probabilities + at), difference), scale);
      storeInRow(output + at, slope, bytes - at);
    }
    memory.fill(output + seen, 0, bytes - seen);
  }
}

export function layerNorm(
  rows: i32, columns: i32, epsilon: f32, input: usize, output: usize, inverseDeviations: usize,
): void {
  const bytes = <usize>columns << 2;
  for (let row = 0; row < rows; row++, input += bytes, output += bytes, inverseDeviations += 4) {
    const mean = f32x4.splat(rowSum(input, columns) / <f32>columns);
    for (let at: usize = 0; at < bytes; at += 16) {
      const difference = f32x4.sub(v128.load(input + at), mean);
      storeInRow(output + at, f32x4.mul(difference, difference), bytes - at);
    }
    const inverse: f32 = 1 / sqrt(rowSum(output, columns) / <f32>columns + epsilon);
    store<f32>(inverseDeviations, inverse);
    const factor = f32x4.splat(inverse);
    for (let at: usize = 0; at < bytes; at += 16) {
      const normalized = f32x4.mul(f32x4.sub(v128.load(input + at), mean), factor);
      storeInRow(output + at, normalized, bytes - at);
    }
  }
}

export function layerNormGradient(
  rows: i32, columns: i32, gradient: usize, normalized: usize, inverseDeviations: usize, output: usize,
): void {
  const bytes = <usize>columns << 2;
  for (let row = 0; row < rows; row++, gradient += bytes, normalized += bytes, output += bytes, inverseDeviations += 4) {
    const mean = f32x4.splat(rowSum(gradient, columns) / <f32>columns);
    for (let at: usize = 0; at < bytes; at += 16) {
      const product = f32x4.mul(v128.load(gradient + at), v128.load(normalized + at));
      storeInRow(output + at, product, bytes - at);
    }
    const slope = f32x4.splat(rowSum(output, columns) / <f32>columns);
    const factor = f32x4.splat(load<f32>(inverseDeviations));
    for (let at: usize = 0; at < bytes; at += 16) {
      const centered = f32x4.sub(v128.load(gradient + at), mean);
      const difference = f32x4.sub(centered, f32x4.mul(v128.load(normalized + at), slope));
      storeInRow(output + at, f32x4.mul(factor, difference), bytes - at);
    }
  }
}

/**
 * Uses the formula and the order of `CrossEntropyCall` in src/backend.ts. `gradient` first holds the exponentials. If
 * only the losses are wanted, `gradientRowBytes` is 0 and all rows share the room of one.
 */
export function crossEntropy(
  rows: i32, classes: i32, logits: usize, labels: usize, losses: usize, gradient: usize, gradientRowBytes: usize,
): void {
  const bytes = <usize>classes << 2;
  for (let row = 0; row < rows; row++, logits += bytes, gradient += gradientRowBytes, labels += 4, losses += 4) {
    const label = load<f32>(labels);
    if (!(label >= 0 && label < <f32>classes && floor(label) == label)) {
      store<f32>(losses, f32.NaN);
      for (let at: usize = 0; at < bytes; at += 4) store<f32>(gradient + at, f32.NaN);
      continue;
    }
    let largest: f32 = f32.NEGATIVE_INFINITY;
    for (let at: usize = 0; at < bytes; at += 4) largest = max(largest, load<f32>(logits + at));
    const labelAt = <usize>label << 2;
    const atLabel = load<f32>(logits + labelAt) - largest;
    const shift = f32x4.splat(largest);
    let total: f32 = 0;
    let at: usize = 0;
    for (; at + 16 <= bytes; at += 16) {
      const power = exp4(f32x4.sub(v128.load(logits + at), shift));
      v128.store(gradient + at, power);
      total += f32x4.extract_lane(power, 0);
      total += f32x4.extract_lane(power, 1);
      total += f32x4.extract_lane(power, 2);
      total += f32x4.extract_lane(power, 3);
    }
    for (; at < bytes; at += 4) {
      const power = f32x4.extract_lane(exp4(f32x4.splat(load<f32>(logits + at) - largest)), 0);
      store<f32>(gradient + at, power);
      total += power;
    }
    store<f32>(losses, f32x4.extract_lane(log4(f32x4.splat(total)), 0) - atLabel);
    for (at = 0; at < bytes; at += 4) store<f32>(gradient + at, load<f32>(gradient + at) / total);
    store<f32>(gradient + labelAt, load<f32>(gradient + labelAt) - 1);
  }
}

// Gather and its adjoint: indices are [count], or [outer, count, inner] if `own` is set.

function isIndex(value: f32, length: i32): bool {
  return value >= 0 && value < <f32>length && floor(value) == value;
}

function fillNaN(target: usize, bytes: usize): void {
  for (const end = target + bytes; target < end; target += 4) store<f32>(target, f32.NaN);
}

function addRow(target: usize, source: usize, bytes: usize): void {
  const end = target + bytes;
  for (; target + 16 <= end; target += 16, source += 16) {
    v128.store(target, f32x4.add(v128.load(target), v128.load(source)));
  }
  for (; target < end; target += 4, source += 4) store<f32>(target, load<f32>(target) + load<f32>(source));
}

export function gather(
  outer: i32, length: i32, inner: i32, count: i32, own: bool, source: usize, indices: usize, target: usize,
): void {
  const row = <usize>inner << 2;
  const whole = <usize>length * row;
  for (let block = 0; block < outer; block++, source += whole) {
    if (own) {
      for (let index = 0; index < count; index++) {
        for (let column: usize = 0; column < row; column += 4, indices += 4, target += 4) {
          const at = load<f32>(indices);
          store<f32>(target, isIndex(at, length) ? load<f32>(source + <usize>at * row + column) : f32.NaN);
        }
      }
    } else {
      for (let index = 0; index < count; index++, target += row) {
        const at = load<f32>(indices + (<usize>index << 2));
        if (isIndex(at, length)) memory.copy(target, source + <usize>at * row, row);
        else fillNaN(target, row);
      }
    }
  }
}

export function scatterAdd(
  outer: i32, length: i32, inner: i32, count: i32, own: bool, source: usize, indices: usize, target: usize,
): void {
  const row = <usize>inner << 2;
  const whole = <usize>length * row;
  memory.fill(target, 0, <usize>outer * whole);
  for (let block = 0; block < outer; block++, target += whole) {
    if (own) {
      for (let index = 0; index < count; index++) {
        for (let column: usize = 0; column < row; column += 4, indices += 4, source += 4) {
          const at = load<f32>(indices);
          if (!isIndex(at, length)) continue;
          const place = target + <usize>at * row + column;
          store<f32>(place, load<f32>(place) + load<f32>(source));
        }
      }
    } else {
      for (let index = 0; index < count; index++, source += row) {
        const at = load<f32>(indices + (<usize>index << 2));
        if (isIndex(at, length)) addRow(target + <usize>at * row, source, row);
      }
    }
  }
}

// Philox 4x32-10, word for word as in src/random.ts.

function whole(value: f32): u32 {
  return i32x4.extract_lane(i32x4.trunc_sat_f32x4_u(f32x4.splat(value)), 0);
}

function storeUnit(target: usize, word: u32): void {
  store<f32>(target, <f32>(word >> 8) * 5.9604644775390625e-8);
}

/** Fills `target[rows, columns]` with values in [0, 1); src/backend.ts defines the key and the counters. */
export function random(rows: i32, columns: i32, stream: u32, key: usize, samples: usize, target: usize): void {
  const seed = whole(load<f32>(key)) | (whole(load<f32>(key, 4)) << 16);
  const time = whole(load<f32>(key, 8)) | (whole(load<f32>(key, 12)) << 16);
  for (let row = 0; row < rows; row++, samples += 4) {
    const sample = whole(load<f32>(samples));
    for (let column = 0; column < columns; column += 4) {
      let c0 = <u32>column >> 2;
      let c1 = sample;
      let c2 = time;
      let c3: u32 = 0;
      let k0 = seed;
      let k1 = stream;
      for (let round = 0; round < 10; round++) {
        const p0 = <u64>c0 * 0xd2511f53;
        const p1 = <u64>c2 * 0xcd9e8d57;
        c0 = <u32>(p1 >> 32) ^ c1 ^ k0;
        c2 = <u32>(p0 >> 32) ^ c3 ^ k1;
        c1 = <u32>p1;
        c3 = <u32>p0;
        k0 += 0x9e3779b9;
        k1 += 0xbb67ae85;
      }
      const rest = columns - column;
      storeUnit(target, c0);
      if (rest > 1) storeUnit(target + 4, c1);
      if (rest > 2) storeUnit(target + 8, c2);
      if (rest > 3) storeUnit(target + 12, c3);
      target += <usize>min(4, rest) << 2;
    }
  }
}
