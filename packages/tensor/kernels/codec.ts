/** Passes over vectors that are sent: the lanes of their checksum, and the bitmap of their nonzero blocks. */

/** One 32-bit word for each of 32 lanes. */
const blockBytes: usize = 128;
const multiplier: u32 = 0x9e3779b1;

// @ts-ignore: decorator
@inline function taken(lanes: v128, words: v128): v128 {
  const product = i32x4.mul(i32x4.add(lanes, words), i32x4.splat(multiplier));
  return v128.xor(product, i32x4.shr_u(product, 16));
}

/**
 * Feeds bytes into the 32 lanes at `state`, which are defined in protocol/src/bytes.ts. A partial last block is
 * zero-padded in the block that follows the lanes.
 */
export function feedLanes(state: usize, bytes: usize, count: usize): void {
  const rest = count % blockBytes;
  takeBlocks(state, bytes, bytes + count - rest);
  if (rest == 0) return;
  const last = state + blockBytes;
  memory.fill(last, 0, blockBytes);
  memory.copy(last, bytes + count - rest, rest);
  takeBlocks(state, last, last + blockBytes);
}

function takeBlocks(state: usize, bytes: usize, end: usize): void {
  let a = v128.load(state, 0);
  let b = v128.load(state, 16);
  let c = v128.load(state, 32);
  let d = v128.load(state, 48);
  let e = v128.load(state, 64);
  let f = v128.load(state, 80);
  let g = v128.load(state, 96);
  let h = v128.load(state, 112);
  for (; bytes < end; bytes += blockBytes) {
    a = taken(a, v128.load(bytes, 0));
    b = taken(b, v128.load(bytes, 16));
    c = taken(c, v128.load(bytes, 32));
    d = taken(d, v128.load(bytes, 48));
    e = taken(e, v128.load(bytes, 64));
    f = taken(f, v128.load(bytes, 80));
    g = taken(g, v128.load(bytes, 96));
    h = taken(h, v128.load(bytes, 112));
  }
  v128.store(state, a, 0);
  v128.store(state, b, 16);
  v128.store(state, c, 32);
  v128.store(state, d, 48);
  v128.store(state, e, 64);
  v128.store(state, f, 80);
  v128.store(state, g, 96);
  v128.store(state, h, 112);
}

/** Values of a block. */
const blockLength: i32 = 64;

/**
 * Sets one bit in `bitmap`, written in whole words, for each block of `values` [count] with a bit pattern other than
 * +0.
 */
export function nonZeroBlocks(values: usize, count: i32, bitmap: usize): void {
  for (; count > 0; bitmap += 4) {
    let word: u32 = 0;
    for (let bit = 0; bit < 32 && count > 0; bit++, count -= blockLength, values += blockLength << 2) {
      if (isNonZero(values, min(count, blockLength))) word |= 1 << bit;
    }
    store<u32>(bitmap, word);
  }
}

/** Exits early: in most blocks the first values decide. */
function isNonZero(values: usize, count: i32): bool {
  const end = values + (<usize>(count & ~15) << 2);
  for (; values < end; values += 64) {
    const low = v128.or(v128.load(values, 0), v128.load(values, 16));
    if (v128.any_true(v128.or(low, v128.or(v128.load(values, 32), v128.load(values, 48))))) return true;
  }
  for (let rest = count & 15; rest > 0; rest--, values += 4) if (load<u32>(values) != 0) return true;
  return false;
}
