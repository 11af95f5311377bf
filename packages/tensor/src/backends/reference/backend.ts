/** The reference backend: plain loops, one file per family of calls, that define what every call means, to the bit. */
import type { HostBackend, KernelCall, Storage } from '../../backend.ts';
import { noteChange } from '../../changes.ts';
import { type ByKind, dispatch } from '../by-kind.ts';
import { checkCopy } from '../check.ts';
import { fillRandom } from '../random.ts';
import { HostStorageBackend } from '../storage-backend.ts';
import { prepareConvolution } from './convolution.ts';
import { prepareCrossEntropy } from './cross-entropy.ts';
import { prepareGather, prepareScatterAdd } from './gather.ts';
import { prepareMap } from './map.ts';
import { prepareMatmul } from './matmul.ts';
import { preparePool, prepareUnpool } from './pool.ts';
import { prepareReduce } from './reduce.ts';

/** Separate multiplications and additions, each rounded to float32, in the orders of backend.ts. */
export const separateNumericMode = 'f32-mul-add.v1';

const prepare: ByKind<[valuesOf: HostBackend['view']], () => void> = {
  map: prepareMap,
  reduce: prepareReduce,
  matmul: prepareMatmul,
  crossEntropy: prepareCrossEntropy,
  convolution: prepareConvolution,
  pool: preparePool,
  unpool: prepareUnpool,
  gather: prepareGather,
  scatterAdd: prepareScatterAdd,
  random: (call, valuesOf) => {
    const [key, samples, output] = [valuesOf(call.key), valuesOf(call.samples), valuesOf(call.output)];
    return () => fillRandom(call, key, samples, output);
  },
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

  allFinite(storage: Storage): boolean {
    return this.view(storage).every(Number.isFinite);
  }

  protected createMemory(length: number): Float32Array {
    return new Float32Array(length);
  }

  protected releaseMemory(): void {}

  protected prepareCall(call: KernelCall): () => void {
    return dispatch(prepare, call, (storage) => this.view(storage));
  }
}

/** Opens the reference backend, which every engine has. */
export function createReferenceBackend(): HostBackend {
  return new ReferenceBackend();
}
