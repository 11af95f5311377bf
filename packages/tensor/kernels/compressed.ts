/** Matrix products that skip the zeros of the left operand, with the bits of the dense product. */
import { allFinite } from './convert';
import { storeLanes } from './lanes';
import { anyOfLine, append, extendChains } from './pairs';
import { compressedColumns, compressedInner, compressedLanes } from './sizes';
import { workspace } from './workspace';

// Why skipping is exact: 0 times a finite number is +0 or -0, and adding either to an accumulator that began at +0
// changes no bit, because such an accumulator is never -0. With an infinity or NaN on the right the product would be
// NaN, so then nothing is skipped. A NaN on the left is not equal to 0 and is kept.

/** Below this size, or with fewer columns, looking for zeros costs more than it saves. */
const smallestLeft: i32 = 1024;
const fewestColumns: i32 = 16;

/** Whether few enough values of `left` are not zero, as far as a part of them shows, and `right` is finite. */
export function worthCompressing(m: i32, k: i32, n: i32, left: usize, right: usize): bool {
  const size = m * k;
  if (n < fewestColumns || size < smallestLeft) return false;
  return fewNonZeros(left, size) && allFinite(right, k * n);
}

/** Stretches of 1024 floats that are looked at, evenly spread. What they hide costs time, and changes no bit. */
const stretches: i32 = 16;

function fewNonZeros(source: usize, size: i32): bool {
  const zero = f32x4.splat(0.0);
  const step = max(1024, (size / stretches) & ~15);
  let nonZeros = 0;
  let seen = 0;
  for (let start = 0; start < size; start += step) {
    const count = min(1024, (size - start) & ~15);
    const end = source + (<usize>(start + count) << 2);
    let negatives = i32x4.splat(0);
    // A comparison is -1 where it holds.
    for (let at = source + (<usize>start << 2); at < end; at += 64) {
      const first = i32x4.add(f32x4.ne(v128.load(at, 0), zero), f32x4.ne(v128.load(at, 16), zero));
      const second = i32x4.add(f32x4.ne(v128.load(at, 32), zero), f32x4.ne(v128.load(at, 48), zero));
      negatives = i32x4.add(negatives, i32x4.add(first, second));
    }
    const halves = i32x4.extract_lane(negatives, 0) + i32x4.extract_lane(negatives, 1);
    nonZeros -= halves + i32x4.extract_lane(negatives, 2) + i32x4.extract_lane(negatives, 3);
    seen += count;
  }
  return nonZeros <= (seen * 3) >> 3;
}

// Where the kernel works: for each lane of a strip, one row of the result, the end of its list; how many of its sums wait for
// their right neighbour, -1 where there is no sum yet, and the segment of the last sum; and at which height of the tree each
// sum meets the one before it. Then the lists, then a stack of sums for each lane.
const ENDS: usize = 0;
const STATES: usize = 64;
const LEVELS: usize = 192;
const LISTS: usize = 1216;

/**
 * `output[m, n] = left x right`, without the terms whose left factor is 0; a transposed left operand is stored as [k, m].
 * The sums over k are in `segments` equal runs of it (`Microbatches` in src/backend.ts). Then `bias` [n], where it is not 0, is added
 * to each row, and what is negative becomes 0 where `relu`.
 *
 * A segment without a pair is left out of the tree: its sum is +0, no sum here is ever -0, and so adding it changes no bit.
 */
export function compressedProduct(
  m: i32, k: i32, n: i32, left: usize, right: usize, transposeLeft: bool, segments: i32, output: usize,
  bias: usize, relu: bool,
): void {
  const room = workspace();
  const rowBytes = <usize>n << 2;
  const size = k / segments;
  for (let column = 0; column < n; column += compressedColumns) {
    const columns = min(compressedColumns, n - column);
    const bytes = <usize>((columns + 3) & ~3) << 2;
    const listBytes = (<usize>min(size, compressedInner) << 3) + 64;
    const sums = (room + LISTS + <usize>compressedLanes * listBytes + 63) & ~63;
    const laneBytes = <usize>(33 - clz(segments)) * bytes;
    const rightColumn = right + (<usize>column << 2);
    const addend = bias == 0 ? 0 : bias + (<usize>column << 2);
    for (let row = 0; row < m; row += compressedLanes) {
      const lanes = min(compressedLanes, m - row);
      for (let lane = 0; lane < lanes; lane++) store<i32>(room + STATES + (<usize>lane << 3), -1);
      for (let segment = 0; segment < segments; segment++) {
        for (let start = segment * size, stop = start + size; start < stop; start += compressedInner) {
          const inner = min(compressedInner, stop - start);
          const offset = <u32>start * <u32>rowBytes;
          if (transposeLeft) {
            listColumns(room, listBytes, left + (<usize>(start * m + row) << 2), <usize>m << 2, inner, offset, <u32>rowBytes);
          } else {
            listRows(room, listBytes, left + (<usize>(row * k + start) << 2), <usize>k << 2, lanes, inner, offset, <u32>rowBytes);
          }
          for (let lane = 0; lane < lanes; lane++) {
            const list = room + LISTS + <usize>lane * listBytes;
            const end = <usize>load<u32>(room + ENDS + (<usize>lane << 2));
            if (end != list) extendLane(room, lane, segment, list, end, rightColumn, sums + <usize>lane * laneBytes, bytes);
          }
        }
      }
      let to = output + <usize>row * rowBytes + (<usize>column << 2);
      for (let lane = 0; lane < lanes; lane++, to += rowBytes) {
        finishLane(room, lane, sums + <usize>lane * laneBytes, bytes, to, columns, addend, relu);
      }
    }
  }
}

/** Makes the lists of sixteen rows of a transposed left operand; where there are fewer, those of what lies behind are not used. */
function listColumns(
  room: usize, listBytes: usize, at: usize, leftBytes: usize, inner: i32, offset: u32, rowBytes: u32,
): void {
  const ends = room + ENDS;
  for (let lane: usize = 0; lane < <usize>compressedLanes; lane++) {
    store<u32>(ends + (lane << 2), <u32>(room + LISTS + lane * listBytes));
  }
  for (; inner > 0; inner--, at += leftBytes, offset += rowBytes) {
    if (!anyOfLine(at)) continue;
    appendToFour(ends, v128.load(at, 0), offset);
    appendToFour(ends + 16, v128.load(at, 16), offset);
    appendToFour(ends + 32, v128.load(at, 32), offset);
    appendToFour(ends + 48, v128.load(at, 48), offset);
  }
}

/** Appends four values to the lists that end at what `ends` says. */
// @ts-ignore: decorator
@inline function appendToFour(ends: usize, four: v128, offset: u32): void {
  if (!v128.any_true(four)) return;
  store<u32>(ends, <u32>append(load<u32>(ends), offset, f32x4.extract_lane(four, 0)));
  store<u32>(ends, <u32>append(load<u32>(ends, 4), offset, f32x4.extract_lane(four, 1)), 4);
  store<u32>(ends, <u32>append(load<u32>(ends, 8), offset, f32x4.extract_lane(four, 2)), 8);
  store<u32>(ends, <u32>append(load<u32>(ends, 12), offset, f32x4.extract_lane(four, 3)), 12);
}

/** Makes the lists of rows that lie as they are. */
function listRows(
  room: usize, listBytes: usize, left: usize, leftBytes: usize, lanes: i32, inner: i32, first: u32, rowBytes: u32,
): void {
  for (let lane = 0; lane < lanes; lane++, left += leftBytes) {
    let end = room + LISTS + <usize>lane * listBytes;
    let offset = first;
    let at = left;
    for (const stop = at + ((<usize>inner & ~15) << 2); at < stop; at += 64, offset += rowBytes << 4) {
      if (!anyOfLine(at)) continue;
      end = appendFour(end, v128.load(at, 0), offset, rowBytes);
      end = appendFour(end, v128.load(at, 16), offset + 4 * rowBytes, rowBytes);
      end = appendFour(end, v128.load(at, 32), offset + 8 * rowBytes, rowBytes);
      end = appendFour(end, v128.load(at, 48), offset + 12 * rowBytes, rowBytes);
    }
    for (let rest = inner & 15; rest > 0; rest--, at += 4, offset += rowBytes) end = append(end, offset, load<f32>(at));
    store<u32>(room + ENDS + (<usize>lane << 2), <u32>end);
  }
}

/** Appends four values that lie side by side; returns the new end of the list. */
// @ts-ignore: decorator
@inline function appendFour(end: usize, four: v128, offset: u32, rowBytes: u32): usize {
  if (!v128.any_true(four)) return end;
  end = append(end, offset, f32x4.extract_lane(four, 0));
  end = append(end, offset + rowBytes, f32x4.extract_lane(four, 1));
  end = append(end, offset + 2 * rowBytes, f32x4.extract_lane(four, 2));
  return append(end, offset + 3 * rowBytes, f32x4.extract_lane(four, 3));
}

/** Adds the pairs of a list to the lane's sum over `segment`, which may begin with them. */
function extendLane(
  room: usize, lane: i32, segment: i32, list: usize, end: usize, right: usize, stack: usize, bytes: usize,
): void {
  const state = room + STATES + (<usize>lane << 3);
  let waiting = load<i32>(state);
  if (waiting >= 0 && load<i32>(state, 4) == segment) {
    extendChains(true, list, end, right, stack + <usize>waiting * bytes, bytes);
    return;
  }
  if (waiting >= 0) {
    const levels = room + LEVELS + (<usize>lane << 6);
    // The height at which this segment meets the one before: what meets lower down is complete.
    const level = 32 - clz(load<i32>(state, 4) ^ segment);
    for (; waiting > 0 && load<i32>(levels + (<usize>waiting << 2)) < level; waiting--) addLast(stack, waiting, bytes);
    store<i32>(levels + (<usize>(waiting + 1) << 2), level);
  }
  waiting++;
  store<i32>(state, waiting);
  store<i32>(state, segment, 4);
  extendChains(false, list, end, right, stack + <usize>waiting * bytes, bytes);
}

/** Adds the last sum of the stack, number `last`, to the one before it. */
function addLast(stack: usize, last: i32, bytes: usize): void {
  let term = stack + <usize>last * bytes;
  let target = term - bytes;
  const end = term;
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

/** Adds what is left of the lane's sums, and writes its row. */
function finishLane(
  room: usize, lane: i32, stack: usize, bytes: usize, output: usize, columns: i32, bias: usize, relu: bool,
): void {
  let waiting = load<i32>(room + STATES + (<usize>lane << 3));
  if (waiting < 0) memory.fill(stack, 0, bytes);
  for (; waiting > 0; waiting--) addLast(stack, waiting, bytes);
  if (bias == 0 && !relu) {
    memory.copy(output, stack, <usize>columns << 2);
    return;
  }
  for (let at = 0; at < columns; at += 4, stack += 16, output += 16) {
    let sum = v128.load(stack);
    if (bias != 0) sum = f32x4.add(sum, v128.load(bias + (<usize>at << 2)));
    if (relu) sum = f32x4.max(sum, f32x4.splat(0.0));
    storeLanes(output, sum, columns - at);
  }
}
