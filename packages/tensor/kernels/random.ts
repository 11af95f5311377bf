/** Philox 4x32-10, word for word as in src/random.ts. */

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
