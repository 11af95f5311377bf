/** Byte inputs for backends without a native one: bytes are converted as soon as they are handed over. */
import type { Backend, Storage } from '../backend.ts';
import type { ByteInput, Program } from '../program.ts';
import { checkCopy } from './check.ts';

const nothing: Program = { run() {}, dispose() {} };

/**
 * Creates a byte input, through which programs see byte / divisor.
 * @param divisor as in `uploadBytes`
 */
export function createByteInput(backend: Backend, storage: Storage, divisor: number): ByteInput {
  return (
    backend.byteInput?.(storage, divisor) ?? {
      take(bytes) {
        backend.uploadBytes(storage, bytes, divisor);
        return nothing;
      },
      takeRows(table, numbers) {
        checkCopy(storage, numbers.length * table.columns);
        const picked = new Uint8Array(storage.length);
        for (let index = 0; index < numbers.length; index++) {
          picked.set(table.read(numbers[index]!), index * table.columns);
        }
        backend.uploadBytes(storage, picked, divisor);
        return nothing;
      },
      dispose() {},
    }
  );
}
