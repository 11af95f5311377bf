/** Checksums and bitmaps of vectors that are sent, computed by kernels. */
import type { CodecKernels } from '../../backend.ts';
import type { Kernels, WasmMemory } from './webassembly.ts';

/** Lanes of the checksum, and one partial block. */
const stateBytes = 256;
/** Bytes copied at once from outside the kernels' memory: fits in a processor's cache. */
const pieceBytes = 64 * 1024;
/**
 * Engines copy from and to shared memory in words of this size, or byte by byte if source and target are aligned
 * differently.
 */
const wordBytes = 8;
/** Bytes that one bit of the bitmap stands for: 64 values. The bitmap has words of 4 bytes. */
const blockBytes = 256;
const bitmapBytesOf = (valueBytes: number): number => 4 * Math.ceil(valueBytes / blockBytes / 32);

/** Uses the calling thread's workspace, between its programs. */
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

  /**
   * Address at which kernels can read the bytes from `at` on: up to `most` bytes in place, else a piece copied to the
   * workspace.
   */
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
