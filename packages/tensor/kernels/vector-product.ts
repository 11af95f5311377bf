/** Products with one row, one column or few terms, which take less time than packing their operands. */
import { loadFour, multiplyAdd, storeLanes } from './shared';

// Every sum is the chain of kernels/product.ts. Vectors may read up to 12 bytes beyond an operand.

/** Most rows and terms of products of several columns that are not packed. */
const fewRows: i32 = 3, fewTerms: i32 = 4;

/** Columns whose sums stay in the L1 cache. */
const columnsTogether: i32 = 2048;
/** From larger matrices rows are read one by one: only what is read in order comes from memory ahead of its use. */
const cachedBytes: usize = 1 << 24;

/** Computes a product as `matmul` without microbatches does, or returns false if packing takes less time. */
export function vectorProduct(
  m: i32, k: i32, n: i32, left: usize, right: usize, leftRowBytes: usize, leftInnerBytes: usize,
  rightInnerBytes: usize, rightColumnBytes: usize, output: usize, bias: usize, relu: bool,
): bool {
  if (n == 1 && leftRowBytes == 4) sumOfRows(k, m, right, rightInnerBytes, left, leftInnerBytes, output);
  else if (n == 1 && leftInnerBytes == 4 && rightInnerBytes == 4) rowsTimesVector(m, k, left, leftRowBytes, right, output);
  else if (m == 1 && leftInnerBytes == 4 && rightInnerBytes == 4) rowsTimesVector(n, k, right, rightColumnBytes, left, output);
  else if (rightColumnBytes == 4 && (m <= fewRows || k <= fewTerms)) {
    for (let row = 0; row < m; row++) {
      const target = output + (<usize>(row * n) << 2);
      sumOfRows(k, n, left + <usize>row * leftRowBytes, leftInnerBytes, right, rightInnerBytes, target);
    }
  } else return false;
  if (bias == 0 && !relu) return true;
  for (let row = 0; row < m; row++) {
    for (let at: usize = 0; at < <usize>n << 2; at += 4, output += 4) {
      const value = bias == 0 ? load<f32>(output) : load<f32>(output) + load<f32>(bias + at);
      store<f32>(output, relu ? max(value, 0) : value);
    }
  }
  return true;
}

/** Computes `output[columns]`: the sum of `count` rows, each times its factor. */
function sumOfRows(
  count: i32, columns: i32, factors: usize, factorBytes: usize, rows: usize, rowBytes: usize, output: usize,
): void {
  const together = <usize>count * rowBytes > cachedBytes ? 1 : 4;
  for (let column = 0; column < columns; column += columnsTogether) {
    const width = min(columnsTogether, columns - column);
    const target = output + (<usize>column << 2);
    let factor = factors, row = rows + (<usize>column << 2);
    for (let rest = count; rest > 0; ) {
      const begins = rest == count;
      const added = rest >= together ? together : 1;
      if (begins && added == 4) addRows(4, true, width, factor, factorBytes, row, rowBytes, target);
      else if (added == 4) addRows(4, false, width, factor, factorBytes, row, rowBytes, target);
      else if (begins) addRows(1, true, width, factor, factorBytes, row, rowBytes, target);
      else addRows(1, false, width, factor, factorBytes, row, rowBytes, target);
      factor += <usize>added * factorBytes;
      row += <usize>added * rowBytes;
      rest -= added;
    }
  }
}

/** Adds `count` rows, 1 or 4, to the sums at `target`, which begin with them if `begins` is set. */
// @ts-ignore: decorator
@inline function addRows(
  count: i32, begins: bool, columns: i32, factor: usize, factorBytes: usize, row: usize, rowBytes: usize, target: usize,
): void {
  const f0 = v128.load32_splat(factor);
  const f1 = count > 1 ? v128.load32_splat(factor + factorBytes) : f0;
  const f2 = count > 1 ? v128.load32_splat(factor + 2 * factorBytes) : f0;
  const f3 = count > 1 ? v128.load32_splat(factor + 3 * factorBytes) : f0;
  let r0 = row, r1 = r0 + rowBytes, r2 = r1 + rowBytes, r3 = r2 + rowBytes;
  for (; columns >= 8; columns -= 8, target += 32, r0 += 32) {
    let a = begins ? f32x4.splat(0.0) : v128.load(target), b = begins ? f32x4.splat(0.0) : v128.load(target, 16);
    a = multiplyAdd(a, f0, v128.load(r0)); b = multiplyAdd(b, f0, v128.load(r0, 16));
    if (count > 1) {
      a = multiplyAdd(a, f1, v128.load(r1)); b = multiplyAdd(b, f1, v128.load(r1, 16)); r1 += 32;
      a = multiplyAdd(a, f2, v128.load(r2)); b = multiplyAdd(b, f2, v128.load(r2, 16)); r2 += 32;
      a = multiplyAdd(a, f3, v128.load(r3)); b = multiplyAdd(b, f3, v128.load(r3, 16)); r3 += 32;
    }
    v128.store(target, a); v128.store(target, b, 16);
  }
  for (; columns > 0; columns -= 4, target += 16, r0 += 16, r1 += 16, r2 += 16, r3 += 16) {
    let a = begins ? f32x4.splat(0.0) : v128.load(target);
    a = multiplyAdd(a, f0, v128.load(r0));
    if (count > 1) {
      a = multiplyAdd(a, f1, v128.load(r1));
      a = multiplyAdd(a, f2, v128.load(r2));
      a = multiplyAdd(a, f3, v128.load(r3));
    }
    storeLanes(target, a, columns);
  }
}

/** Computes `output[count]`: the products of rows of `inner` consecutive values with the vector at `right`. */
function rowsTimesVector(count: i32, inner: i32, rows: usize, rowBytes: usize, right: usize, output: usize): void {
  const bytes = <usize>(inner & ~3) << 2, rest = inner & 3;
  for (; count >= 8; count -= 8, rows += rowBytes << 3, output += 32) {
    const next = rows + (rowBytes << 2);
    let a = f32x4.splat(0.0), b = f32x4.splat(0.0);
    for (let at: usize = 0; at < bytes; at += 16) {
      const vector = v128.load(right + at);
      a = addFour(a, rows + at, rowBytes, vector);
      b = addFour(b, next + at, rowBytes, vector);
    }
    v128.store(output, addRest(a, rows + bytes, rowBytes, right + bytes, rest));
    v128.store(output, addRest(b, next + bytes, rowBytes, right + bytes, rest), 16);
  }
  while (count > 0) {
    const height = count >= 4 ? 4 : 1;
    // A row alone takes all lanes.
    const step = height == 4 ? rowBytes : 0;
    let sum = f32x4.splat(0.0);
    for (let at: usize = 0; at < bytes; at += 16) sum = addFour(sum, rows + at, step, v128.load(right + at));
    storeLanes(output, addRest(sum, rows + bytes, step, right + bytes, rest), height);
    rows += <usize>height * rowBytes;
    output += <usize>height << 2;
    count -= height;
  }
}

/** Adds the products of four values of four rows with the values of `vector` to the sums of the rows. */
// @ts-ignore: decorator
@inline function addFour(sum: v128, at: usize, rowBytes: usize, vector: v128): v128 {
  const a = f32x4.mul(v128.load(at), vector), b = f32x4.mul(v128.load(at + rowBytes), vector);
  const c = f32x4.mul(v128.load(at + 2 * rowBytes), vector), d = f32x4.mul(v128.load(at + 3 * rowBytes), vector);
  const low0 = v128.shuffle<f32>(a, b, 0, 4, 1, 5), low1 = v128.shuffle<f32>(c, d, 0, 4, 1, 5);
  const high0 = v128.shuffle<f32>(a, b, 2, 6, 3, 7), high1 = v128.shuffle<f32>(c, d, 2, 6, 3, 7);
  sum = f32x4.add(sum, v128.shuffle<f64>(low0, low1, 0, 2));
  sum = f32x4.add(sum, v128.shuffle<f64>(low0, low1, 1, 3));
  sum = f32x4.add(sum, v128.shuffle<f64>(high0, high1, 0, 2));
  return f32x4.add(sum, v128.shuffle<f64>(high0, high1, 1, 3));
}

/** Adds the products of the last `rest` values of four rows. */
function addRest(sum: v128, at: usize, rowBytes: usize, right: usize, rest: i32): v128 {
  for (; rest > 0; rest--, at += 4, right += 4) {
    sum = multiplyAdd(sum, loadFour(at, rowBytes), v128.load32_splat(right));
  }
  return sum;
}
