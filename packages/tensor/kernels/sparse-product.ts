/** Matrix products that skip the zeros of the left operand, bit-identical to the dense product. */
import { allFinite } from './convert';
import { sparseColumns, sparseInner, sparseLanes, storeLanes, workspace } from './shared';
import {
  addChains, columnListsBytes, columnMask, extendChains, fewNonzeros, listColumns, listEnd, listRow, listSlack,
  maskRows, setListEnd,
} from './sparse';

// Why skipping is exact: 0 times a finite number is +0 or -0, and adding either to an accumulator that began at +0
// changes no bit, because such an accumulator is never -0. With an infinity or NaN on the right the product would be
// NaN, so nothing is skipped then. A NaN on the left is not equal to 0 and is kept.

/** For smaller operands or fewer columns, looking for zeros costs more than it saves. */
const smallestLeft: i32 = 1024;
const fewestColumns: i32 = 16;

/**
 * Whether enough values of `left` are 0, judged by a sample, and `right` is finite. If `quotients` is not 0, the left
 * values are bytes, each of which stands for one of the 256 floats there; byte 0 stands for 0.
 */
export function worthSkippingZeros(m: i32, k: i32, n: i32, left: usize, quotients: usize, right: usize): bool {
  const size = m * k;
  if (n < fewestColumns || size < smallestLeft) return false;
  return (quotients == 0 ? fewNonzeros<f32>(left, size) : fewNonzeros<u8>(left, size)) && allFinite(right, k * n);
}

// A lane is one row of the result. The workspace holds the memory of `listColumns`, with a list for each lane of a
// strip, then the state of each lane, the lists, and a stack of sums for each lane.
const STATES: usize = columnListsBytes;
const LISTS: usize = STATES + 8 * <usize>sparseLanes;

// A state has two words. The first is the last microbatch of the top sum on the lane's stack, or -1 if there is no sum
// yet. The second is a bit set of tree levels, one for each sum above the lowest: the level at which the sum meets the
// one below it. The higher the sum, the lower the level.

/**
 * Computes `output[m, n] = left x right` without the terms whose left factor is 0; a transposed left operand is stored
 * as [k, m]. If the left operand is transposed, the sums over k are per microbatch and added pairwise (`Microbatches`
 * in src/backend.ts, additionsAfter in src/backends/calls.ts); otherwise there is one sum. Then `bias` [n],
 * unless it is 0, is added to each row, and relu is applied if `relu` is set.
 *
 * The left values may be bytes, as in `worthSkippingZeros`.
 *
 * The tree omits a microbatch without nonzeros: its sum is +0 and no sum here is ever -0, so adding it changes no bit.
 */
export function sparseProduct(
  m: i32, k: i32, n: i32, left: usize, quotients: usize, right: usize, transposeLeft: bool, microbatches: i32,
  output: usize, bias: usize, relu: bool,
): void {
  const work = workspace();
  const valueBits: usize = quotients == 0 ? 2 : 0;
  const rowBytes = <usize>n << 2;
  const size = k / microbatches;
  // Rows listed together: part of a microbatch, or several microbatches.
  const span = size < maskRows ? maskRows - maskRows % size : size;
  const listBytes: usize = transposeLeft ? <usize>(min(span, sparseInner) + listSlack) << 3 : 0;
  const longest = <usize>(min(k, sparseInner) + listSlack) << 3;
  const sums = (work + LISTS + max(<usize>sparseLanes * listBytes, longest) + 63) & ~63;
  for (let column = 0; column < n; column += sparseColumns) {
    const columns = min(sparseColumns, n - column);
    const bytes = <usize>((columns + 3) & ~3) << 2;
    // Sums are whole vectors. If rows are too, the first sum of a lane is kept in its output row.
    const inPlace = (columns & 3) == 0;
    // A plain lane has one list, one sum, and no epilogue.
    const isPlain = inPlace && microbatches == 1 && k <= sparseInner && bias == 0 && !relu;
    const laneBytes = <usize>(33 - clz(microbatches)) * bytes;
    const rightColumn = right + (<usize>column << 2);
    const addend = bias == 0 ? 0 : bias + (<usize>column << 2);
    for (let row = 0; row < m; row += sparseLanes) {
      const lanes = min(sparseLanes, m - row);
      const to = output + <usize>row * rowBytes + (<usize>column << 2);
      for (let lane = 0; lane < lanes; lane++) store<i64>(stateOf(work, lane), -1);
      for (let start = 0, inner = 0; start < k; start += inner) {
        inner = min(min(sparseInner, span - start % span), k - start);
        const offset = <u32>start * <u32>rowBytes;
        if (transposeLeft) {
          const at = left + (<usize>(start * m + row) << valueBits);
          makeColumnLists(work, listBytes, at, <usize>m << valueBits, lanes, inner, offset, <u32>rowBytes, quotients);
        }
        for (let lane = 0; lane < lanes; lane++) {
          const list = work + LISTS + <usize>lane * listBytes;
          const at = left + (<usize>((row + lane) * k + start) << valueBits);
          const end = transposeLeft ? listEnd(work, lane) : makeRowList(list, at, inner, offset, <u32>rowBytes, quotients);
          const target = to + <usize>lane * rowBytes;
          const stack = sums + <usize>lane * laneBytes;
          const first = inPlace ? target : stack;
          if (isPlain) plainSum(list, end, rightColumn, target, bytes);
          else if (inner > size) extendByMask(work, lane, start / size, size, list, rightColumn, first, stack, bytes);
          else if (end != list) extendLane(work, lane, start / size, inner == size, list, end, rightColumn, first, stack, bytes);
        }
      }
      for (let lane = 0; lane < lanes && !isPlain; lane++) {
        const target = to + <usize>lane * rowBytes;
        const stack = sums + <usize>lane * laneBytes;
        finishLane(work, lane, inPlace ? target : stack, stack, bytes, target, columns, addend, relu);
      }
    }
  }
}

// @ts-ignore: decorator
@inline function stateOf(work: usize, lane: i32): usize {
  return work + STATES + (<usize>lane << 3);
}

/** Lists the nonzeros of adjacent rows of a transposed left operand, over `inner` of its columns. */
function makeColumnLists(
  work: usize, listBytes: usize, at: usize, leftBytes: usize, lanes: i32, inner: i32, offset: u32, rowBytes: u32,
  quotients: usize,
): void {
  for (let lane = 0; lane < lanes; lane++) setListEnd(work, lane, work + LISTS + <usize>lane * listBytes);
  if (quotients == 0) listColumns<f32>(work, lanes, at, leftBytes, inner, offset, rowBytes, 0);
  else listColumns<u8>(work, lanes, at, leftBytes, inner, offset, rowBytes, quotients);
}

/** Lists the nonzeros of a row that is not transposed; returns the end of the list. */
function makeRowList(list: usize, at: usize, inner: i32, offset: u32, rowBytes: u32, quotients: usize): usize {
  if (quotients == 0) return listRow<f32>(list, at, inner, offset, rowBytes, 0);
  return listRow<u8>(list, at, inner, offset, rowBytes, quotients);
}

/** Writes the sum of a lane that has a single list to its row of the output. */
function plainSum(list: usize, end: usize, right: usize, output: usize, bytes: usize): void {
  if (end != list) extendChains(false, list, end, right, output, bytes);
  else clear(output, bytes);
}

/** Zeroes whole vectors; for the length of a row, memory.fill is slower. */
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

/**
 * Adds the entries of a list over several microbatches of `size` rows, starting at `microbatch`; the mask tells which
 * microbatch each entry belongs to.
 */
function extendByMask(
  work: usize, lane: i32, microbatch: i32, size: i32, entry: usize, right: usize, first: usize, stack: usize, bytes: usize,
): void {
  const rows = (<u64>1 << size) - 1;
  for (let mask = columnMask(work, lane); mask != 0; mask >>= size, microbatch++) {
    const end = entry + (<usize>popcnt(mask & rows) << 3);
    if (end != entry) extendLane(work, lane, microbatch, true, entry, end, right, first, stack, bytes);
    entry = end;
  }
}

/**
 * Adds the entries of a list to the lane's sum over `microbatch`, which may begin with them; `isWhole` says that they
 * complete it.
 */
function extendLane(
  work: usize, lane: i32, microbatch: i32, isWhole: bool, list: usize, end: usize, right: usize, first: usize,
  stack: usize, bytes: usize,
): void {
  const state = stateOf(work, lane);
  const previous = load<i32>(state);
  const levels = previous < 0 ? 0 : load<u32>(state, 4);
  let top = popcnt(levels);
  if (previous == microbatch) {
    extendChains(true, list, end, right, top == 0 ? first : stack + <usize>top * bytes, bytes);
    return;
  }
  store<i32>(state, microbatch);
  if (previous < 0) {
    store<u32>(state, 0, 4);
    extendChains(false, list, end, right, first, bytes);
    return;
  }
  // The level at which this microbatch meets the previous one: sums that meet at a lower level are complete.
  const level = 32 - clz(previous ^ microbatch);
  const kept = levels & (-1 << level);
  for (const stay = popcnt(kept); top > stay; top--) addTop(first, stack, top, bytes);
  const sum = stack + <usize>(top + 1) * bytes;
  // The last microbatch below the node at which both meet: anything later is added to the sum of that node.
  if (isWhole && ctz(~microbatch) >= level) {
    store<u32>(state, kept, 4);
    addChains(list, end, right, sum, top == 0 ? first : sum - bytes, bytes);
    return;
  }
  store<u32>(state, kept | (1 << level), 4);
  extendChains(false, list, end, right, sum, bytes);
}

/** Adds sum `top` of the stack to the one below it; the lowest sum is at `first`. */
function addTop(first: usize, stack: usize, top: i32, bytes: usize): void {
  let term = stack + <usize>top * bytes;
  let target = top == 1 ? first : term - bytes;
  const end = target + bytes;
  for (const stop = target + (bytes & ~63); target < stop; target += 64, term += 64) {
    // All loads before the stores: V8 makes one vector of two only then.
    const a = f32x4.add(v128.load(target, 0), v128.load(term, 0));
    const b = f32x4.add(v128.load(target, 16), v128.load(term, 16));
    const c = f32x4.add(v128.load(target, 32), v128.load(term, 32));
    const d = f32x4.add(v128.load(target, 48), v128.load(term, 48));
    v128.store(target, a, 0);
    v128.store(target, b, 16);
    v128.store(target, c, 32);
    v128.store(target, d, 48);
  }
  for (; target < end; target += 16, term += 16) {
    v128.store(target, f32x4.add(v128.load(target), v128.load(term)));
  }
}

/** Adds the remaining sums of the lane from the top down, and writes its row. */
function finishLane(
  work: usize, lane: i32, first: usize, stack: usize, bytes: usize, output: usize, columns: i32, bias: usize, relu: bool,
): void {
  const state = stateOf(work, lane);
  if (load<i32>(state) < 0) clear(first, bytes);
  else for (let top = popcnt(load<u32>(state, 4)); top > 0; top--) addTop(first, stack, top, bytes);
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
