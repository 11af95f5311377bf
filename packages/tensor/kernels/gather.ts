/** Gather along an axis, and its adjoint; indices are [count], or [outer, count, inner] if `own` is set. */

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
