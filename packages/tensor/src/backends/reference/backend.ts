/**
 * The reference backend: plain loops, one file per family of calls, that define the result of every call bit by bit.
 */
import type { HostBackend, KernelCall, Storage } from '../../backend.ts';
import { noteChange } from '../../changes.ts';
import type { Magnitude, Program } from '../../program.ts';
import { checkCopy } from '../check.ts';
import { type ByKind, dispatch, placed } from '../operands.ts';
import { fillRandom } from '../random.ts';
import { HostStorageBackend, inOrder } from '../storage-backend.ts';
import { convolution } from './convolution.ts';
import { crossEntropy } from './cross-entropy.ts';
import { gather, scatterAdd } from './gather.ts';
import { map } from './map.ts';
import { matmul } from './matmul.ts';
import { pool, unpool } from './pool.ts';
import { reduce } from './reduce.ts';

/** Separate multiplications and additions, each rounded to float32, in the orders given in backend.ts. */
export const separateNumericMode = 'f32-mul-add.v1';

const kernels: ByKind<Float32Array, [], void> = {
  map,
  reduce,
  matmul,
  crossEntropy,
  convolution,
  pool,
  unpool,
  gather,
  scatterAdd,
  random: fillRandom,
};

class ReferenceBackend extends HostStorageBackend<Float32Array> {
  readonly name = 'reference';
  readonly numericMode = separateNumericMode;

  uploadBytes(storage: Storage, bytes: Uint8Array, divisor: number): void {
    checkCopy(storage, bytes.length);
    const values = this.view(storage);
    const rounded = Math.fround(divisor);
    for (let index = 0; index < bytes.length; index++) values[index] = bytes[index]! / rounded;
    noteChange(storage);
  }

  view(storage: Storage): Float32Array {
    const { memory, offset, length } = this.own(storage);
    return memory.subarray(offset, offset + length);
  }

  magnitudeOf(storage: Storage): Magnitude {
    let value = 0;
    const run = (): void => {
      value = this.view(storage).reduce((largest, each) => Math.max(largest, Math.abs(each)), 0);
    };
    return { program: { run, dispose: () => {} }, value: () => value };
  }

  protected createMemory(length: number): Float32Array {
    return new Float32Array(length);
  }

  protected releaseMemory(): void {}

  protected prepareCalls(calls: readonly KernelCall[]): Pick<Program, 'run'> {
    return inOrder(
      calls.map((call) => {
        const onValues = placed(call, (storage, length, from) => this.view(storage).subarray(from, from + length));
        return () => dispatch(kernels, onValues);
      }),
    );
  }
}

/** Opens the reference backend, which every engine has. */
export function createReferenceBackend(): HostBackend {
  return new ReferenceBackend();
}
