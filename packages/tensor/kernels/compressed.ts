/** Matrix products that skip the zeros of the left operand, with the bits of the dense product. */
import { allFinite } from './convert';
import { storeLanes } from './lanes';
import { multiplyAdd } from './multiplyAdd';
import { compressedInner } from './sizes';
import { workspace } from './workspace';

// Why skipping is exact: 0 times a finite number is +0 or -0, and adding either to an accumulator that began at +0
// changes no bit, because such an accumulator is never -0. With an infinity or NaN on the right the product would be
// NaN, so then nothing is skipped. A NaN on the left is not equal to 0 and is kept.

/** Below this size, or with fewer columns, looking for zeros costs more than it saves. */
const smallestLeft: i32 = 1024;
const fewestColumns: i32 = 16;

/** Whether few enough values of `left` are not zero, and `right` is finite. */
export function worthCompressing(m: i32, k: i32, n: i32, left: usize, right: usize): bool {
  const size = m * k;
  if (n < fewestColumns || size < smallestLeft || k > compressedInner) return false;
  const limit = (size * 3) >> 3;
  if (!fewNonZeros(left, size, limit)) return false;
  return allFinite(right, k * n);
}

function fewNonZeros(source: usize, size: i32, limit: i32): bool {
  const zero = f32x4.splat(0.0);
  let nonZeros = 0;
  // Stretches of 1024 floats, so that a dense operand is recognised before all of it was read.
  for (let start = 0; start < size; start += 1024) {
    const end = source + (<usize>min(1024, (size - start) & ~3) << 2);
    let negatives = i32x4.splat(0);
    // A comparison is -1 where it holds.
    for (; source + 48 < end; source += 64) {
      const first = i32x4.add(f32x4.ne(v128.load(source, 0), zero), f32x4.ne(v128.load(source, 16), zero));
      const second = i32x4.add(f32x4.ne(v128.load(source, 32), zero), f32x4.ne(v128.load(source, 48), zero));
      negatives = i32x4.add(negatives, i32x4.add(first, second));
    }
    for (; source < end; source += 16) negatives = i32x4.add(negatives, f32x4.ne(v128.load(source), zero));
    const halves = i32x4.extract_lane(negatives, 0) + i32x4.extract_lane(negatives, 1);
    nonZeros -= halves + i32x4.extract_lane(negatives, 2) + i32x4.extract_lane(negatives, 3);
    if (nonZeros > limit) return false;
  }
  return true;
}

/** Appends one pair where `value` is not zero; the pair is always written, and stays only where the end moves. */
// @ts-ignore: decorator
@inline function append(end: usize, offset: u32, value: f32): usize {
  store<u32>(end, offset, 0);
  store<f32>(end, value, 4);
  return value != 0 ? end + 8 : end;
}

export function compressedProduct(
  m: i32, k: i32, n: i32, left: usize, right: usize, transposeLeft: bool, output: usize,
  bias: usize, relu: bool,
): void {
  const rowBytes = <usize>n << 2;
  const list0 = workspace();
  if (transposeLeft) {
    const listBytes = <usize>compressedInner << 3;
    const list1 = list0 + listBytes;
    const list2 = list1 + listBytes;
    const list3 = list2 + listBytes;
    const zero = f32x4.splat(0.0);
    let row = 0;
    for (; row + 4 <= m; row += 4) {
      let end0 = list0, end1 = list1, end2 = list2, end3 = list3;
      let at = left + (<usize>row << 2);
      let offset: u32 = 0;
      for (let inner = 0; inner < k; inner++, at += <usize>m << 2, offset += <u32>rowBytes) {
        const four = v128.load(at);
        if (!v128.any_true(f32x4.ne(four, zero))) continue;
        end0 = append(end0, offset, f32x4.extract_lane(four, 0));
        end1 = append(end1, offset, f32x4.extract_lane(four, 1));
        end2 = append(end2, offset, f32x4.extract_lane(four, 2));
        end3 = append(end3, offset, f32x4.extract_lane(four, 3));
      }
      rowProduct(list0, end0, n, right, output, bias, relu);
      rowProduct(list1, end1, n, right, output + rowBytes, bias, relu);
      rowProduct(list2, end2, n, right, output + 2 * rowBytes, bias, relu);
      rowProduct(list3, end3, n, right, output + 3 * rowBytes, bias, relu);
      output += rowBytes << 2;
    }
    for (; row < m; row++, output += rowBytes) {
      let end = list0;
      let at = left + (<usize>row << 2);
      let offset: u32 = 0;
      for (let inner = 0; inner < k; inner++, at += <usize>m << 2, offset += <u32>rowBytes) {
        end = append(end, offset, load<f32>(at));
      }
      rowProduct(list0, end, n, right, output, bias, relu);
    }
    return;
  }
  const zero = f32x4.splat(0.0);
  for (let row = 0; row < m; row++, output += rowBytes) {
    let end = list0;
    let offset: u32 = 0;
    const stop = left + ((<usize>k & ~3) << 2);
    for (; left < stop; left += 16, offset += <u32>rowBytes << 2) {
      const four = v128.load(left);
      if (!v128.any_true(f32x4.ne(four, zero))) continue;
      end = append(end, offset, f32x4.extract_lane(four, 0));
      end = append(end, offset + <u32>rowBytes, f32x4.extract_lane(four, 1));
      end = append(end, offset + 2 * <u32>rowBytes, f32x4.extract_lane(four, 2));
      end = append(end, offset + 3 * <u32>rowBytes, f32x4.extract_lane(four, 3));
    }
    for (let rest = k & 3; rest > 0; rest--, left += 4, offset += <u32>rowBytes) {
      end = append(end, offset, load<f32>(left));
    }
    rowProduct(list0, end, n, right, output, bias, relu);
  }
}

/** What follows the sum: the bias at `bias`, unless that is 0, and relu. */
// @ts-ignore: decorator
@inline function finished(sum: v128, bias: usize, relu: bool): v128 {
  if (bias != 0) sum = f32x4.add(sum, v128.load(bias));
  return relu ? f32x4.max(sum, f32x4.splat(0.0)) : sum;
}

/** `output[0..n] = sum over the list of value * right[offset ..]`, each column one chain in the list's order. */
function rowProduct(list: usize, end: usize, n: i32, right: usize, output: usize, bias: usize, relu: bool): void {
  // With no bias, its address stays 0.
  const step: usize = bias != 0 ? 16 : 0;
  let column = 0;
  // Six sums, six vectors of the right operand, the value and a product fit in the registers; see tile.ts.
  for (; column + 24 <= n; column += 24, right += 96, output += 96) {
    let a = f32x4.splat(0.0), b = f32x4.splat(0.0), c = f32x4.splat(0.0);
    let d = f32x4.splat(0.0), e = f32x4.splat(0.0), f = f32x4.splat(0.0);
    for (let pair = list; pair < end; pair += 8) {
      const row = right + <usize>load<u32>(pair);
      const value = v128.load32_splat(pair, 4);
      a = multiplyAdd(a, value, v128.load(row, 0));
      b = multiplyAdd(b, value, v128.load(row, 16));
      c = multiplyAdd(c, value, v128.load(row, 32));
      d = multiplyAdd(d, value, v128.load(row, 48));
      e = multiplyAdd(e, value, v128.load(row, 64));
      f = multiplyAdd(f, value, v128.load(row, 80));
    }
    v128.store(output, finished(a, bias, relu), 0); bias += step;
    v128.store(output, finished(b, bias, relu), 16); bias += step;
    v128.store(output, finished(c, bias, relu), 32); bias += step;
    v128.store(output, finished(d, bias, relu), 48); bias += step;
    v128.store(output, finished(e, bias, relu), 64); bias += step;
    v128.store(output, finished(f, bias, relu), 80); bias += step;
  }
  for (; column + 8 <= n; column += 8, right += 32, output += 32) {
    let a = f32x4.splat(0.0), b = f32x4.splat(0.0);
    for (let pair = list; pair < end; pair += 8) {
      const row = right + <usize>load<u32>(pair);
      const value = v128.load32_splat(pair, 4);
      a = multiplyAdd(a, value, v128.load(row, 0));
      b = multiplyAdd(b, value, v128.load(row, 16));
    }
    v128.store(output, finished(a, bias, relu), 0); bias += step;
    v128.store(output, finished(b, bias, relu), 16); bias += step;
  }
  // The last columns in vectors too: a scalar product and sum would round twice where the vector's is fused.
  for (; column < n; column += 4, right += 16, output += 16, bias += step) {
    let a = f32x4.splat(0.0);
    for (let pair = list; pair < end; pair += 8) {
      a = multiplyAdd(a, v128.load32_splat(pair, 4), v128.load(right + <usize>load<u32>(pair)));
    }
    storeLanes(output, finished(a, bias, relu), n - column);
  }
}
