/** How tests draw random values and compare typed arrays. */
import { configureGlobal, readConfigureGlobal } from 'fast-check';
import { expect } from 'vitest';

// The same values each time; long tests use those of their fresh seed.
configureGlobal({ ...readConfigureGlobal(), seed: Number(process.env['LOCKSTEP_LONG_SEED'] ?? 1) });

function bytesOf({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

// By their bytes at once, and value by value only if these differ.
expect.addEqualityTesters([
  (left: unknown, right: unknown): true | undefined => {
    if (!ArrayBuffer.isView(left) || !ArrayBuffer.isView(right) || left.constructor !== right.constructor) return;
    // The memory of an empty view may be gone.
    if (left.byteLength === 0 || right.byteLength === 0) return;
    return Buffer.compare(bytesOf(left), bytesOf(right)) === 0 ? true : undefined;
  },
]);
