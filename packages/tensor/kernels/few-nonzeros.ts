/** Estimates whether a tensor has enough zeros for skipping them to pay. */

/** Number of runs of 1024 values to sample, evenly spaced. A wrong guess costs time but changes no bit. */
const samples: i32 = 16;

/** Whether at most three eighths of the values (f32 or u8) are nonzero, judged by a sample. */
export function fewNonzeros<Value>(source: usize, size: i32): bool {
  const step = max(1024, (size / samples) & ~15);
  let nonzeros = 0;
  let sampled = 0;
  for (let start = 0; start < size; start += step) {
    const count = min(1024, (size - start) & ~15);
    const at = source + <usize>start * sizeof<Value>();
    nonzeros += isInteger<Value>() ? nonzeroBytes(at, count) : nonzeroFloats(at, count);
    sampled += count;
  }
  return nonzeros <= (sampled * 3) >> 3;
}

// Both functions expect a count that is a multiple of 16.

function nonzeroBytes(at: usize, count: i32): i32 {
  let nonzeros = 0;
  for (const end = at + count; at < end; at += 16) {
    nonzeros += popcnt(i8x16.bitmask(i8x16.ne(v128.load(at), i8x16.splat(0))));
  }
  return nonzeros;
}

function nonzeroFloats(at: usize, count: i32): i32 {
  const zero = f32x4.splat(0.0);
  let negatives = i32x4.splat(0);
  // A comparison yields -1 if it holds.
  for (const end = at + (<usize>count << 2); at < end; at += 64) {
    const first = i32x4.add(f32x4.ne(v128.load(at, 0), zero), f32x4.ne(v128.load(at, 16), zero));
    const second = i32x4.add(f32x4.ne(v128.load(at, 32), zero), f32x4.ne(v128.load(at, 48), zero));
    negatives = i32x4.add(negatives, i32x4.add(first, second));
  }
  const halves = i32x4.extract_lane(negatives, 0) + i32x4.extract_lane(negatives, 1);
  return -(halves + i32x4.extract_lane(negatives, 2) + i32x4.extract_lane(negatives, 3));
}
