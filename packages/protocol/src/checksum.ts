/** Checksum of a gradient: detects corruption between a worker's memory and the coordinator's. */
import { copyBytes } from './bytes.ts';
import type { MessageOf } from './messages.ts';

/** `checksumOf`, or a faster function with the same result. */
export type Checksum = (bytes: Uint8Array) => number;

/** Two primes of XXH32. */
const multiplier = 0x9e3779b1;
const wordMultiplier = 0x85ebca77;

/** 32-bit lanes: enough to fill eight vector registers. */
const laneCount = 32;

/** Fits the processor's L1 cache; a whole number of blocks of one word per lane. */
const pieceBytes = 16 * 1024;

const pieceWords = new Int32Array(pieceBytes / 4);
const piece = new Uint8Array(pieceWords.buffer);
const lanes = new Int32Array(laneCount);

/**
 * Returns a 32-bit checksum of `bytes`, from 0 to 2^32 - 1. Changing any single word changes it.
 *
 * The bytes, as little-endian words with the last block padded with zeros, are dealt to 32 lanes in turn. Each lane
 * starts at 0 and takes a word by the step of XXH32. Then the byte count takes the lanes in the same way, and its bits
 * are mixed.
 */
export function checksumOf(bytes: Uint8Array): number {
  lanes.fill(0);
  for (let at = 0; at < bytes.length; at += pieceBytes) {
    const part = bytes.subarray(at, at + pieceBytes);
    const blockBytes = 4 * laneCount * Math.ceil(part.length / (4 * laneCount));
    copyBytes(piece, part);
    piece.fill(0, part.length, blockBytes);
    takeBlocks(blockBytes / 4);
  }
  let sum = bytes.length;
  for (const lane of lanes) sum = taken(sum, lane);
  sum = Math.imul(sum ^ (sum >>> 15), wordMultiplier);
  sum = Math.imul(sum ^ (sum >>> 13), 0xc2b2ae3d);
  return (sum ^ (sum >>> 16)) >>> 0;
}

function taken(lane: number, word: number): number {
  const sum = lane + Math.imul(word, wordMultiplier);
  return Math.imul((sum << 13) | (sum >>> 19), multiplier);
}

/** Feeds the first `wordCount` words of the piece to the lanes, four lanes at a time to keep them in registers. */
function takeBlocks(wordCount: number): void {
  for (let lane = 0; lane < laneCount; lane += 4) {
    let [a, b, c, d] = [lanes[lane]!, lanes[lane + 1]!, lanes[lane + 2]!, lanes[lane + 3]!];
    for (let at = lane; at < wordCount; at += laneCount) {
      a = taken(a, pieceWords[at]!);
      b = taken(b, pieceWords[at + 1]!);
      c = taken(c, pieceWords[at + 2]!);
      d = taken(d, pieceWords[at + 3]!);
    }
    lanes.set([a, b, c, d], lane);
  }
}

/** Fields of a gradient message that affect the step: its shard and the sums over it. */
type ShardSum = Pick<MessageOf<'gradient'>, 'step' | 'lo' | 'n' | 'bytes' | 'lossSum' | 'correct' | 'count'>;

/** Checksum of a gradient chunk: covers its bytes and its position in the vector. */
export function chunkChecksum(
  { at, bytes }: Pick<MessageOf<'chunk'>, 'at' | 'bytes'>,
  checksum: Checksum = checksumOf,
): number {
  return checksumOfNumbers(at, checksum(bytes));
}

/** Checksum of a gradient message: covers its bytes, shard and sums. */
export function gradientChecksum(sum: ShardSum, checksum: Checksum = checksumOf): number {
  const { step, lo, n, bytes, lossSum, correct, count } = sum;
  return checksumOfNumbers(step, lo, n, lossSum, correct, count, checksum(bytes));
}

function checksumOfNumbers(...numbers: readonly number[]): number {
  return checksumOf(new Uint8Array(Float64Array.from(numbers).buffer));
}
