/** Checksums and bitmaps of vectors as they travel, by kernels. */
import type { CodecKernels } from '../../backend.ts';
import type { Kernels, WasmMemory } from './webassembly.ts';

/** Lanes of the checksum, and a block that is not whole. */
const stateBytes = 256;
/** What is taken at once of bytes that lie elsewhere: fits a processor's cache. */
const pieceBytes = 64 * 1024;
/** Engines copy from and to shared memory by words of so many bytes, or byte by byte where the two ends lie differently in them. */
const wordBytes = 8;
/** The bitmap has one bit for so many bytes, 64 values, in words of 4 bytes. */
const blockBytes = 256;
const bitmapBytesOf = (valueBytes: number): number => 4 * Math.ceil(valueBytes / blockBytes / 32);

/** Uses the workspace of the calling thread, between its programs. */
export class CpuCodec implements CodecKernels {
  readonly #kernels: Kernels;
  readonly #memory: WasmMemory;

  constructor(kernels: Kernels, memory: WasmMemory) {
    this.#kernels = kernels;
    this.#memory = memory;
  }

  checksum(bytes: Uint8Array): number {
    const state = this.#kernels.workspace();
    new Uint8Array(this.#memory.buffer, state, stateBytes).fill(0);
    for (let at = 0; at < bytes.length; ) {
      const { address, length } = this.#reach(bytes, at, bytes.length);
      this.#kernels.checksumTake(state, address, length);
      at += length;
    }
    return this.#kernels.checksumEnd(state, bytes.length) >>> 0;
  }

  nonZeroBlocks(values: Float32Array): Uint8Array {
    const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    const bitmap = new Uint8Array(bitmapBytesOf(bytes.length));
    const part = this.#kernels.workspace();
    for (let at = 0; at < bytes.length; ) {
      const { address, length } = this.#reach(bytes, at, pieceBytes);
      this.#kernels.nonZeroBlocks(address, length / 4, part);
      bitmap.set(new Uint8Array(this.#memory.buffer, part, bitmapBytesOf(length)), bitmapBytesOf(at));
      at += length;
    }
    return bitmap;
  }

  /** Where the kernels find bytes from `at` on: at most `most` of them in place, else a piece that is copied to the workspace. */
  #reach(bytes: Uint8Array, at: number, most: number): { readonly address: number; readonly length: number } {
    const rest = bytes.length - at;
    const { buffer } = this.#memory;
    if (bytes.buffer === buffer) return { address: bytes.byteOffset + at, length: Math.min(rest, most) };
    const address = this.#kernels.workspace() + stateBytes + (bytes.byteOffset % wordBytes);
    const length = Math.min(rest, pieceBytes);
    new Uint8Array(buffer, address, length).set(bytes.subarray(at, at + length));
    return { address, length };
  }
}
