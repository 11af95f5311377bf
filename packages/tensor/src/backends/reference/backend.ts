/** The reference backend: plain loops, one file per kind of call, that define what every call means, to the bit. */
import type { HostBackend, KernelCall, Program, Storage } from '../../backend.ts';
import { noteChange, noteSlice } from '../../changes.ts';
import { checkAllocation, checkCall, checkCopy, checkSlice } from '../check.ts';
import { inSegments } from '../segments.ts';
import { prepareConvolution } from './convolution.ts';
import { prepareCrossEntropy } from './cross-entropy.ts';
import { prepareGather, prepareScatterAdd } from './gather.ts';
import { prepareMap } from './map.ts';
import { prepareMatmul } from './matmul.ts';
import { preparePool, prepareUnpool } from './pool.ts';
import { prepareRandom } from './random.ts';
import { prepareReduce } from './reduce.ts';
import { own, ReferenceStorage, valuesOf } from './storage.ts';

/** Arithmetic of separate multiplications and additions, each rounded to float32, in the orders of backend.ts. */
export const separateNumericMode = 'f32-mul-add.v1';

const { fround } = Math;

const segmentMemory = {
  slice: (storage: Storage, offset: number, length: number) => own(storage).slice(offset, length),
  scratch: (length: number) => new ReferenceStorage(new Float32Array(length)),
};

function prepareCall(call: KernelCall): () => void {
  switch (call.kind) {
    case 'map':
      return prepareMap(call);
    case 'reduce':
      return prepareReduce(call);
    case 'matmul':
      return prepareMatmul(call);
    case 'crossEntropy':
      return prepareCrossEntropy(call);
    case 'convolution':
      return prepareConvolution(call);
    case 'pool':
      return preparePool(call);
    case 'unpool':
      return prepareUnpool(call);
    case 'gather':
      return prepareGather(call);
    case 'scatterAdd':
      return prepareScatterAdd(call);
    case 'random':
      return prepareRandom(call);
    default:
      return call satisfies never;
  }
}

class ReferenceBackend implements HostBackend {
  readonly name = 'reference';
  readonly numericMode = separateNumericMode;
  readonly epilogues = true;
  readonly microbatchSums = true;

  allocate(length: number): Storage {
    checkAllocation(length);
    return new ReferenceStorage(new Float32Array(length));
  }

  slice(storage: Storage, offset: number, length: number): Storage {
    checkSlice(storage, offset, length);
    const slice = own(storage).slice(offset, length);
    noteSlice(slice, storage, offset);
    return slice;
  }

  upload(storage: Storage, values: Float32Array): void {
    checkCopy(storage, values.length);
    valuesOf(storage).set(values);
    noteChange(storage);
  }

  uploadBytes(storage: Storage, bytes: Uint8Array, divisor: number): void {
    checkCopy(storage, bytes.length);
    const values = valuesOf(storage);
    const rounded = fround(divisor);
    for (let index = 0; index < bytes.length; index++) values[index] = bytes[index]! / rounded;
    noteChange(storage);
  }

  async download(storage: Storage): Promise<Float32Array> {
    return valuesOf(storage).slice();
  }

  free(storage: Storage): void {
    own(storage).free();
  }

  prepare(calls: readonly KernelCall[]): Program {
    calls.forEach(checkCall);
    const steps = calls.flatMap((call) => inSegments(call, segmentMemory)).map(prepareCall);
    return {
      run: () => {
        for (const step of steps) step();
      },
      dispose: () => {},
    };
  }

  view(storage: Storage): Float32Array {
    return valuesOf(storage);
  }

  allFinite(storage: Storage): boolean {
    return valuesOf(storage).every(Number.isFinite);
  }
}

/** Opens the reference backend, which every engine has. */
export function createReferenceBackend(): HostBackend {
  return new ReferenceBackend();
}
