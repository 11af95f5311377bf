/** Memory for the frames of one long vector: a single block, which the system gets back whole. */

/** Most bytes that a frame's fields other than its bulk bytes usually take. */
export const smallFieldsBytes = 1_024;

/** Where Node's Buffer exists, msgpackr writes text with its methods; its memory need not be zeroed first. */
declare const Buffer: { allocUnsafeSlow(size: number): Uint8Array } | undefined;

export function allocateFrame(size: number): Uint8Array {
  return typeof Buffer === 'undefined' ? new Uint8Array(size) : Buffer.allocUnsafeSlow(size);
}

export class FrameMemory {
  readonly #block: Uint8Array;
  #used = 0;

  /** @param bytes of the vector @param frames that it travels in */
  constructor(bytes: number, frames: number) {
    this.#block = allocateFrame(bytes + frames * smallFieldsBytes);
  }

  /** Begins another vector, once nothing reads the frames of the one before. */
  reuse(): void {
    this.#used = 0;
  }

  /** The next `size` bytes; memory of its own where no more are left. */
  next(size: number): Uint8Array {
    const rest = this.#block.subarray(this.#used);
    return rest.length < size ? allocateFrame(size) : rest;
  }

  /** Keeps what a frame has used of it. */
  keep({ buffer, byteOffset, byteLength }: Uint8Array): void {
    if (buffer === this.#block.buffer) this.#used = byteOffset - this.#block.byteOffset + byteLength;
  }
}
