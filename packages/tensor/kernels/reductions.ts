/** Reductions over the middle axis of [outer, length, inner]. */
import { loadFour, storeLanes, workspace } from './shared';

// The terms of a sum of consecutive values are those at `source`, times the factors `distance` bytes beyond them if
// `isProduct` is set.

/** Sums in sixteen interleaved chains, folded in the order given in src/backend.ts. */
function sumContiguous(isProduct: bool, source: usize, distance: usize, length: i32): f32 {
  let a = f32x4.splat(0.0);
  let b = f32x4.splat(0.0);
  let c = f32x4.splat(0.0);
  let d = f32x4.splat(0.0);
  let rest = length;
  if (isProduct) {
    for (; rest >= 16; rest -= 16, source += 64) {
      const factor = source + distance;
      a = f32x4.add(a, f32x4.mul(v128.load(source), v128.load(factor)));
      b = f32x4.add(b, f32x4.mul(v128.load(source, 16), v128.load(factor, 16)));
      c = f32x4.add(c, f32x4.mul(v128.load(source, 32), v128.load(factor, 32)));
      d = f32x4.add(d, f32x4.mul(v128.load(source, 48), v128.load(factor, 48)));
    }
  }
  for (; rest >= 16; rest -= 16, source += 64) {
    a = f32x4.add(a, v128.load(source));
    b = f32x4.add(b, v128.load(source, 16));
    c = f32x4.add(c, v128.load(source, 32));
    d = f32x4.add(d, v128.load(source, 48));
  }
  if (rest > 0) a = f32x4.add(a, maskedTerm(isProduct, source, distance, rest));
  if (rest > 4) b = f32x4.add(b, maskedTerm(isProduct, source + 16, distance, rest - 4));
  if (rest > 8) c = f32x4.add(c, maskedTerm(isProduct, source + 32, distance, rest - 8));
  if (rest > 12) d = f32x4.add(d, maskedTerm(isProduct, source + 48, distance, rest - 12));
  const four = f32x4.add(f32x4.add(a, c), f32x4.add(b, d));
  const pairs0 = f32x4.extract_lane(four, 0) + f32x4.extract_lane(four, 2);
  const pairs1 = f32x4.extract_lane(four, 1) + f32x4.extract_lane(four, 3);
  return pairs0 + pairs1;
}

function maskedTerm(isProduct: bool, source: usize, distance: usize, count: i32): v128 {
  const value = loadMasked(source, count);
  return isProduct ? f32x4.mul(value, loadMasked(source + distance, count)) : value;
}

/** Loads the first `count` of four floats and +0 for the rest: adding +0 changes no chain that began at +0. */
function loadMasked(source: usize, count: i32): v128 {
  if (count >= 4) return v128.load(source);
  let value = f32x4.replace_lane(f32x4.splat(0.0), 0, load<f32>(source));
  if (count > 1) value = f32x4.replace_lane(value, 1, load<f32>(source, 4));
  if (count > 2) value = f32x4.replace_lane(value, 2, load<f32>(source, 8));
  return value;
}

/** Sums `length` rows, `stride` bytes apart: one chain for each of their `columns`. */
function sumColumns(source: usize, length: i32, stride: usize, columns: i32, target: usize): void {
  let column = 0;
  for (; column + 16 <= columns; column += 16, target += 64) {
    let at = source + (<usize>column << 2);
    let a = f32x4.splat(0.0);
    let b = f32x4.splat(0.0);
    let c = f32x4.splat(0.0);
    let d = f32x4.splat(0.0);
    for (let index = 0; index < length; index++, at += stride) {
      a = f32x4.add(a, v128.load(at, 0));
      b = f32x4.add(b, v128.load(at, 16));
      c = f32x4.add(c, v128.load(at, 32));
      d = f32x4.add(d, v128.load(at, 48));
    }
    v128.store(target, a, 0);
    v128.store(target, b, 16);
    v128.store(target, c, 32);
    v128.store(target, d, 48);
  }
  for (; column + 8 <= columns; column += 8, target += 32) {
    let at = source + (<usize>column << 2);
    let a = f32x4.splat(0.0);
    let b = f32x4.splat(0.0);
    for (let index = 0; index < length; index++, at += stride) {
      a = f32x4.add(a, v128.load(at, 0));
      b = f32x4.add(b, v128.load(at, 16));
    }
    v128.store(target, a, 0);
    v128.store(target, b, 16);
  }
  for (; column < columns; column += 4) {
    const lanes = min(4, columns - column);
    let at = source + (<usize>column << 2);
    let a = f32x4.splat(0.0);
    for (let index = 0; index < length; index++, at += stride) a = f32x4.add(a, v128.load(at));
    storeLanes(target, a, lanes);
    target += <usize>lanes << 2;
  }
}

/** Sums of more terms are split into runs of `runLength`: `sum` in src/backend.ts. */
const longestRun: i32 = 65536;
const runLength: i32 = 128;

/** Number of columns whose runs are summed together, and the size of their sums in bytes. */
const columnsTogether: i32 = 16;
const sumBytes: usize = 64;

/** Sums runs of rows of at most `columnsTogether` columns, or of consecutive values if `contiguous` is set. */
function sumRuns(
  isProduct: bool, contiguous: bool, source: usize, distance: usize, length: i32, stride: usize, columns: i32,
  target: usize,
): void {
  const stack = workspace();
  let top = stack;
  let run = 0;
  for (let rest = length; rest > 0; rest -= runLength, source += <usize>runLength * stride) {
    const terms = min(runLength, rest);
    if (contiguous) store<f32>(top, sumContiguous(isProduct, source, distance, terms));
    else sumColumns(source, terms, stride, columns, top);
    top += sumBytes;
    run++;
    // additionsAfter in src/backends/calls.ts: the carries of a binary counter; at the end all remaining sums.
    let additions = rest <= runLength ? <i32>((top - stack) / sumBytes) - 1 : ctz(run);
    for (; additions > 0; additions--) {
      top -= sumBytes;
      for (let at: usize = 0; at < <usize>columns << 2; at += 16) {
        const left = top - sumBytes + at;
        v128.store(left, f32x4.add(v128.load(left), v128.load(top + at)));
      }
    }
  }
  memory.copy(target, stack, <usize>columns << 2);
}

/** Sum of `length` consecutive values, in the order of `sum`. */
export function rowSum(source: usize, length: i32): f32 {
  if (length <= longestRun) return sumContiguous(false, source, 0, length);
  sumRuns(false, true, source, 0, length, 4, 1, workspace());
  return load<f32>(workspace());
}

/** Sums the values at `source`, times those at `factor` unless it is 0. */
export function sum(outer: i32, length: i32, inner: i32, source: usize, factor: usize, target: usize): void {
  const stride = <usize>inner << 2, distance = factor - source;
  const isProduct = factor != 0;
  for (let row = 0; row < outer; row++, source += <usize>length * stride, target += stride) {
    if (length <= longestRun) {
      if (inner == 1) store<f32>(target, sumContiguous(isProduct, source, distance, length));
      else sumColumns(source, length, stride, inner, target);
      continue;
    }
    for (let column = 0; column < inner; column += columnsTogether) {
      const offset = <usize>column << 2;
      const columns = min(columnsTogether, inner - column);
      sumRuns(isProduct, inner == 1, source + offset, distance, length, stride, columns, target + offset);
    }
  }
}

function choose4(largest: bool, a: v128, b: v128): v128 {
  return largest ? f32x4.max(a, b) : f32x4.min(a, b);
}

/** Rows of at most this length are compared four at a time. */
const longestShortRow: i32 = 16;

/** Finds the largest or smallest value; the order of comparisons does not change it. */
// @ts-ignore: decorator
@inline function extreme(
  largest: bool, outer: i32, length: i32, inner: i32, source: usize, target: usize,
): void {
  const stride = <usize>inner << 2;
  const rowBytes = <usize>length * stride;
  let row = 0;
  if (inner == 1 && length <= longestShortRow) {
    for (; row + 4 <= outer; row += 4, source += rowBytes << 2, target += 16) {
      let best = loadFour(source, rowBytes);
      for (let at: usize = 4; at < rowBytes; at += 4) best = choose4(largest, best, loadFour(source + at, rowBytes));
      v128.store(target, best);
    }
  }
  for (; row < outer; row++, source += rowBytes) {
    if (inner == 1 && length >= 4) {
      let best = v128.load(source);
      let index = 4;
      for (; index + 4 <= length; index += 4) best = choose4(largest, best, v128.load(source + (<usize>index << 2)));
      best = choose4(largest, best, v128.load(source + (<usize>(length - 4) << 2)));
      best = choose4(largest, best, v128.shuffle<f32>(best, best, 2, 3, 0, 1));
      best = choose4(largest, best, v128.shuffle<f32>(best, best, 1, 0, 3, 2));
      store<f32>(target, f32x4.extract_lane(best, 0));
      target += 4;
      continue;
    }
    for (let column = 0; column < inner; column += 4) {
      const lanes = min(4, inner - column);
      let at = source + (<usize>column << 2);
      let best = v128.load(at);
      for (let index = 1; index < length; index++) {
        at += stride;
        best = choose4(largest, best, v128.load(at));
      }
      storeLanes(target, best, lanes);
      target += <usize>lanes << 2;
    }
  }
}

export function largest(outer: i32, length: i32, inner: i32, source: usize, target: usize): void {
  extreme(true, outer, length, inner, source, target);
}

export function smallest(outer: i32, length: i32, inner: i32, source: usize, target: usize): void {
  extreme(false, outer, length, inner, source, target);
}

export function argmax(outer: i32, length: i32, inner: i32, source: usize, target: usize): void {
  const stride = <usize>inner << 2;
  for (let row = 0; row < outer; row++) {
    for (let column = 0; column < inner; column++, target += 4) {
      let at = source + (<usize>column << 2);
      let best = 0;
      let largest = load<f32>(at);
      for (let index = 1; index < length && largest == largest; index++) {
        at += stride;
        const value = load<f32>(at);
        if (value > largest || value != value) {
          best = index;
          largest = value;
        }
      }
      store<f32>(target, <f32>best);
    }
    source += <usize>length * stride;
  }
}
