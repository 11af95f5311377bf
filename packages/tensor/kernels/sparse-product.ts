/** Matrix products that skip the zeros of the left operand, with the bits of the dense product. */
import { allFinite } from './convert';
import { storeLanes } from './lanes';
import { addChains, extendChains, fewNonzeros, listColumns, listRow } from './nonzeros';
import { sparseColumns, sparseInner, sparseLanes, workspace } from './sizes';

// Why skipping is exact: 0 times a finite number is +0 or -0, and adding either to an accumulator that began at +0
// changes no bit, because such an accumulator is never -0. With an infinity or NaN on the right the product would be
// NaN, so then nothing is skipped. A NaN on the left is not equal to 0 and is kept.

/** Below this size, or with fewer columns, looking for zeros costs more than it saves. */
const smallestLeft: i32 = 1024;
const fewestColumns: i32 = 16;

/** Whether enough values of `left` are 0, judged by a sample of them, and `right` is finite. */
export function worthSkippingZeros(m: i32, k: i32, n: i32, left: usize, right: usize): bool {
  const size = m * k;
  if (n < fewestColumns || size < smallestLeft) return false;
  return fewNonzeros(left, size) && allFinite(right, k * n);
}

// The kernel's memory. A lane is one row of the result. For each lane of a strip, in turn: the end of its list; its state,
// which is the number of the top sum on its stack, -1 where there is none yet, and the microbatch of that sum; and the levels
// of the tree at which each sum meets the one below it. Then the lists, then a stack of sums for each lane.
const ENDS: usize = 0;
const STATES: usize = 64;
const LEVELS: usize = 192;
const LISTS: usize = 1216;

/**
 * `output[m, n] = left x right`, without the terms whose left factor is 0; a transposed left operand is stored as [k, m].
 * The sums over k are per microbatch and added pairwise (`Microbatches` in src/backend.ts, additionsAfter in
 * src/backends/pairwise-sum.ts). Then `bias` [n], where it is not 0, is added to each row, and what is negative becomes 0
 * where `relu`.
 *
 * A microbatch without a nonzero is left out of the tree: its sum is +0, no sum here is ever -0, so adding it changes no bit.
 */
export function sparseProduct(
  m: i32, k: i32, n: i32, left: usize, right: usize, transposeLeft: bool, microbatches: i32, output: usize,
  bias: usize, relu: bool,
): void {
  const work = workspace();
  const rowBytes = <usize>n << 2;
  const size = k / microbatches;
  for (let column = 0; column < n; column += sparseColumns) {
    const columns = min(sparseColumns, n - column);
    const bytes = <usize>((columns + 3) & ~3) << 2;
    // Sums are whole vectors: where rows are, too, the first sum of a lane lies in its row.
    const inPlace = (columns & 3) == 0;
    // Then a lane has one list and one sum, and nothing follows.
    const isPlain = inPlace && microbatches == 1 && k <= sparseInner && bias == 0 && !relu;
    // Then a list is all of a microbatch.
    const isWhole = size <= sparseInner;
    const listBytes = (<usize>min(size, sparseInner) << 3) + 64;
    const sums = (work + LISTS + <usize>sparseLanes * listBytes + 63) & ~63;
    const laneBytes = <usize>(33 - clz(microbatches)) * bytes;
    const rightColumn = right + (<usize>column << 2);
    const addend = bias == 0 ? 0 : bias + (<usize>column << 2);
    for (let row = 0; row < m; row += sparseLanes) {
      const lanes = min(sparseLanes, m - row);
      const to = output + <usize>row * rowBytes + (<usize>column << 2);
      for (let lane = 0; lane < lanes; lane++) store<i32>(work + STATES + (<usize>lane << 3), -1);
      for (let microbatch = 0; microbatch < microbatches; microbatch++) {
        for (let start = microbatch * size, stop = start + size; start < stop; start += sparseInner) {
          const inner = min(sparseInner, stop - start);
          const offset = <u32>start * <u32>rowBytes;
          if (transposeLeft) {
            const at = left + (<usize>(start * m + row) << 2);
            makeColumnLists(work, listBytes, at, <usize>m << 2, lanes, inner, offset, <u32>rowBytes);
          } else {
            const at = left + (<usize>(row * k + start) << 2);
            makeRowLists(work, listBytes, at, <usize>k << 2, lanes, inner, offset, <u32>rowBytes);
          }
          if (isPlain) {
            plainSums(work, listBytes, lanes, rightColumn, to, rowBytes, bytes);
            continue;
          }
          for (let lane = 0; lane < lanes; lane++) {
            const list = work + LISTS + <usize>lane * listBytes;
            const end = <usize>load<u32>(work + ENDS + (<usize>lane << 2));
            if (end == list) continue;
            const stack = sums + <usize>lane * laneBytes;
            extendLane(work, lane, microbatch, isWhole, list, end, rightColumn, firstSum(stack, inPlace, to, lane, rowBytes), stack, bytes);
          }
        }
      }
      for (let lane = 0; lane < lanes && !isPlain; lane++) {
        const stack = sums + <usize>lane * laneBytes;
        const target = to + <usize>lane * rowBytes;
        finishLane(work, lane, firstSum(stack, inPlace, to, lane, rowBytes), stack, bytes, target, columns, addend, relu);
      }
    }
  }
}

/** Where the first sum of a lane lies. */
// @ts-ignore: decorator
@inline function firstSum(stack: usize, inPlace: bool, output: usize, lane: i32, rowBytes: usize): usize {
  return inPlace ? output + <usize>lane * rowBytes : stack;
}

/** Makes the lists of neighboring rows of a transposed left operand, from `inner` of its columns. */
function makeColumnLists(
  work: usize, listBytes: usize, at: usize, leftBytes: usize, lanes: i32, inner: i32, offset: u32, rowBytes: u32,
): void {
  const ends = work + ENDS;
  for (let lane: usize = 0; lane < <usize>lanes; lane++) {
    store<u32>(ends + (lane << 2), <u32>(work + LISTS + lane * listBytes));
  }
  listColumns(ends, lanes, at, leftBytes, inner, offset, rowBytes);
}

/** Makes the lists of rows that are not transposed. */
function makeRowLists(
  work: usize, listBytes: usize, left: usize, leftBytes: usize, lanes: i32, inner: i32, offset: u32, rowBytes: u32,
): void {
  for (let lane = 0; lane < lanes; lane++, left += leftBytes) {
    const list = work + LISTS + <usize>lane * listBytes;
    store<u32>(work + ENDS + (<usize>lane << 2), <u32>listRow(list, left, inner, offset, rowBytes));
  }
}

/** The sums of lanes that have a single list each, in their rows of the output. */
function plainSums(
  work: usize, listBytes: usize, lanes: i32, right: usize, output: usize, rowBytes: usize, bytes: usize,
): void {
  let list = work + LISTS;
  for (let lane: usize = 0; lane < <usize>lanes; lane++, list += listBytes, output += rowBytes) {
    const end = <usize>load<u32>(work + ENDS + (lane << 2));
    if (end != list) extendChains(false, list, end, right, output, bytes);
    else clear(output, bytes);
  }
}

/** Makes whole vectors 0; for the length of a row a call of memory.fill takes longer. */
function clear(sum: usize, bytes: usize): void {
  const zero = f32x4.splat(0.0);
  const end = sum + bytes;
  for (const stop = sum + (bytes & ~63); sum < stop; sum += 64) {
    v128.store(sum, zero, 0);
    v128.store(sum, zero, 16);
    v128.store(sum, zero, 32);
    v128.store(sum, zero, 48);
  }
  for (; sum < end; sum += 16) v128.store(sum, zero);
}

/** Adds the entries of a list to the lane's sum over `microbatch`, which may begin with them, and with `isWhole` is complete. */
function extendLane(
  work: usize, lane: i32, microbatch: i32, isWhole: bool, list: usize, end: usize, right: usize, first: usize,
  stack: usize, bytes: usize,
): void {
  const state = work + STATES + (<usize>lane << 3);
  let top = load<i32>(state);
  if (top >= 0 && load<i32>(state, 4) == microbatch) {
    extendChains(true, list, end, right, top == 0 ? first : stack + <usize>top * bytes, bytes);
    return;
  }
  let level = 0;
  if (top >= 0) {
    const levels = work + LEVELS + (<usize>lane << 6);
    // The level at which this microbatch meets the one before: sums that meet lower down are complete.
    level = 32 - clz(load<i32>(state, 4) ^ microbatch);
    for (; top > 0 && load<i32>(levels + (<usize>top << 2)) < level; top--) addTop(first, stack, top, bytes);
    store<i32>(levels + (<usize>(top + 1) << 2), level);
  }
  store<i32>(state, microbatch, 4);
  const sum = top < 0 ? first : stack + <usize>(top + 1) * bytes;
  // The last microbatch below the node where both meet: whatever follows is added to the sum of that node.
  if (isWhole && top >= 0 && ctz(~microbatch) >= level) {
    store<i32>(state, top);
    addChains(list, end, right, sum, top == 0 ? first : sum - bytes, bytes);
    return;
  }
  store<i32>(state, top + 1);
  extendChains(false, list, end, right, sum, bytes);
}

/** Adds sum `top` of the stack to the one below it, which is `first` where it is the lowest. */
function addTop(first: usize, stack: usize, top: i32, bytes: usize): void {
  let term = stack + <usize>top * bytes;
  let target = top == 1 ? first : term - bytes;
  const end = target + bytes;
  for (const stop = target + (bytes & ~63); target < stop; target += 64, term += 64) {
    v128.store(target, f32x4.add(v128.load(target, 0), v128.load(term, 0)), 0);
    v128.store(target, f32x4.add(v128.load(target, 16), v128.load(term, 16)), 16);
    v128.store(target, f32x4.add(v128.load(target, 32), v128.load(term, 32)), 32);
    v128.store(target, f32x4.add(v128.load(target, 48), v128.load(term, 48)), 48);
  }
  for (; target < end; target += 16, term += 16) {
    v128.store(target, f32x4.add(v128.load(target), v128.load(term)));
  }
}

/** Adds the remaining sums of the lane from the top down, and writes its row. */
function finishLane(
  work: usize, lane: i32, first: usize, stack: usize, bytes: usize, output: usize, columns: i32, bias: usize, relu: bool,
): void {
  let top = load<i32>(work + STATES + (<usize>lane << 3));
  if (top < 0) clear(first, bytes);
  for (; top > 0; top--) addTop(first, stack, top, bytes);
  if (bias == 0 && !relu) {
    if (first != output) memory.copy(output, first, <usize>columns << 2);
    return;
  }
  for (let at = 0; at < columns; at += 4, first += 16, output += 16) {
    let sum = v128.load(first);
    if (bias != 0) sum = f32x4.add(sum, v128.load(bias + (<usize>at << 2)));
    if (relu) sum = f32x4.max(sum, f32x4.splat(0.0));
    storeLanes(output, sum, columns - at);
  }
}
