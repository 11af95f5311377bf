/** A backend that computes nothing: it writes down the calls that a function makes. */
import type { Backend, KernelCall, Program, Storage } from '../backend.ts';
import { checkAllocation, checkCall, checkCopy } from '../backends/check.ts';

/** Stands for a value that will exist when the plan runs. What calls write it is said in simplify.ts. */
class SymbolicStorage implements Storage {
  readonly length: number;

  constructor(length: number) {
    this.length = length;
  }
}

export class Recorder implements Backend {
  readonly name = 'recorder';
  readonly numericMode: string;
  readonly calls: KernelCall[] = [];
  /** Values that the function brought along. */
  readonly constants = new Map<Storage, Float32Array>();

  constructor(numericMode: string) {
    this.numericMode = numericMode;
  }

  allocate(length: number): Storage {
    checkAllocation(length);
    return new SymbolicStorage(length);
  }

  slice(): Storage {
    throw new Error('compile: a storage cannot be sliced while a function is recorded');
  }

  upload(storage: Storage, values: Float32Array): void {
    checkCopy(storage, values.length);
    this.constants.set(storage, values.slice());
  }

  uploadBytes(storage: Storage, bytes: Uint8Array, divisor: number): void {
    checkCopy(storage, bytes.length);
    this.constants.set(
      storage,
      Float32Array.from(bytes, (byte) => byte / Math.fround(divisor)),
    );
  }

  async download(): Promise<Float32Array> {
    throw new Error('compile: a tensor has no values while a function is recorded; return it as an output');
  }

  free(): void {
    // Lifetimes are worked out from the calls.
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
