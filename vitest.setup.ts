/** How tests compare typed arrays: by their bytes at once, and value by value only if these differ. */
import { expect } from 'vitest';

function bytesOf({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

expect.addEqualityTesters([
  (left: unknown, right: unknown): true | undefined => {
    if (!ArrayBuffer.isView(left) || !ArrayBuffer.isView(right) || left.constructor !== right.constructor) return;
    // The memory of an empty view may be gone.
    if (left.byteLength === 0 || right.byteLength === 0) return;
    return Buffer.compare(bytesOf(left), bytesOf(right)) === 0 ? true : undefined;
  },
]);
