/** Records the calls that a function of tensors makes, on a backend that computes nothing. */
import type { Backend, KernelCall, Storage } from '../backend.ts';
import { checkAllocation, checkCall, checkCopy } from '../backends/check.ts';
import { Memory, withScope } from '../memory.ts';
import type { Program } from '../program.ts';
import type { Shape } from '../shape.ts';
import { checkTensors, Tensor } from '../tensor.ts';

/** A recorded function; its storages stand for values that do not exist yet. */
export interface Recording {
  readonly calls: readonly KernelCall[];
  readonly inputs: readonly Storage[];
  readonly outputs: readonly { readonly storage: Storage; readonly shape: Shape }[];
  /** Values that the function uploaded. */
  readonly constants: ReadonlyMap<Storage, Float32Array>;
}

export function record(
  numericMode: string,
  body: (...inputs: Tensor[]) => Tensor | readonly Tensor[],
  inputs: readonly Tensor[],
): Recording {
  const recorder = new Recorder(numericMode);
  const run = (): Recording => {
    const symbols = inputs.map(({ size, shape, requiresGrad }) => {
      return new Tensor(new Memory(recorder, recorder.allocate(size), false), shape, requiresGrad);
    });
    const result = body(...symbols);
    const returned: unknown = Array.isArray(result) ? result : [result];
    checkTensors('compile', 'what the function returns', returned);
    const outputs = returned.map((tensor) => {
      if (tensor.backend !== recorder) {
        throw new Error('compile: the function returned a tensor that it did not compute from its inputs');
      }
      return { storage: tensor.storage, shape: tensor.shape };
    });
    const { calls, constants } = recorder;
    return { calls, constants, outputs, inputs: symbols.map((symbol) => symbol.storage) };
  };
  return withScope(run, () => []);
}

class Recorder implements Backend {
  readonly name = 'recorder';
  readonly numericMode: string;
  readonly calls: KernelCall[] = [];
  readonly constants = new Map<Storage, Float32Array>();

  constructor(numericMode: string) {
    this.numericMode = numericMode;
  }

  /** Creates a placeholder for values that exist when the plan runs; simplify.ts says which calls may write it. */
  allocate(length: number): Storage {
    checkAllocation(length);
    return { length };
  }

  slice(): Storage {
    throw new Error('compile: a storage cannot be sliced while a function is recorded');
  }

  upload(storage: Storage, values: Float32Array): void {
    checkCopy(storage, values.length);
    this.constants.set(storage, values.slice());
  }

  uploadBytes(storage: Storage, bytes: Uint8Array, divisor: number): void {
    const divided = Float32Array.from(bytes, (byte) => byte / Math.fround(divisor));
    this.upload(storage, divided);
  }

  async download(): Promise<Float32Array> {
    throw new Error('compile: a tensor has no values while a function is recorded; return it as an output');
  }

  free(): void {
    // Lifetimes are derived from the calls.
  }

  prepare(calls: readonly KernelCall[]): Program {
    calls.forEach(checkCall);
    return {
      run: () => {
        this.calls.push(...calls);
      },
      dispose: () => {},
    };
  }
}
