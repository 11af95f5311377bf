/** Memory for frames, which is used again once nothing reads them any more. */

/** Most bytes that a frame's fields other than its bulk bytes usually take. */
export const smallFieldsBytes = 1_024;

/** Where Node's Buffer exists, msgpackr writes text with its methods; its memory need not be zeroed first. */
declare const Buffer: { allocUnsafeSlow(size: number): Uint8Array } | undefined;

export function allocateFrame(size: number): Uint8Array {
  return typeof Buffer === 'undefined' ? new Uint8Array(size) : Buffer.allocUnsafeSlow(size);
}

/** Memory for one frame at a time. */
export class FrameMemory {
  readonly #block: Uint8Array;

  /** @param bytes most bulk bytes of a frame */
  constructor(bytes: number) {
    this.#block = allocateFrame(bytes + smallFieldsBytes);
  }

  /** Memory for a frame of `size` bytes in place of the one before; memory of its own where that is more. */
  next(size: number): Uint8Array {
    return this.#block.length < size ? allocateFrame(size) : this.#block;
  }
}
