/**
 * Behavior shared by the modes of gpu.js: kernels are compiled once, memory of released arrays is reused, and a device
 * ends once.
 */
import { getOrCreate } from '../get-or-create.ts';
import { type DeviceArray, type DeviceKernel, DeviceLostError, type KernelSource } from './device.ts';
import { kernelText } from './kernel-text.ts';

/** Bytes of released memory that are kept for new arrays of the same size. */
const idleBytesKept = 256 * 2 ** 20;

export interface PooledMemory {
  /** Memory of equal size is interchangeable. */
  readonly size: string;
  readonly bytes: number;
}

export interface PooledArray<Memory> extends DeviceArray {
  readonly memory: Memory;
}

export abstract class GpuJsDevice<Kernel extends DeviceKernel, Memory extends PooledMemory> {
  abstract readonly mode: string;
  protected readonly kernels = new Map<string, Kernel>();
  readonly #idle = new Map<string, Memory[]>();
  #idleBytes = 0;
  #failure: Error | undefined;
  #closing: Promise<void> | undefined;

  protected abstract createKernel(source: KernelSource, text: string): Kernel;
  /** Releases memory once work requested earlier is done. */
  protected abstract destroyMemory(unused: readonly Memory[]): void;
  protected abstract isLost(): boolean;
  /** Releases everything, including the memory of released arrays. Never rejects. */
  protected abstract dispose(idle: readonly Memory[]): Promise<void>;

  compile(source: KernelSource): DeviceKernel {
    const text = kernelText(source);
    const key = `${source.threads.join('x')} ${source.length} ${text}`;
    return getOrCreate(this.kernels, key, () => this.createKernel(source, text));
  }

  release(array: DeviceArray): void {
    if (this.#closing !== undefined) return;
    const { memory } = array as PooledArray<Memory>;
    getOrCreate(this.#idle, memory.size, () => []).push(memory);
    this.#idleBytes += memory.bytes;
    if (this.#idleBytes > idleBytesKept) this.destroyMemory(this.#takeAllIdle());
  }

  close(): Promise<void> {
    if (this.#closing === undefined) {
      this.fail(new Error(`${this.mode}: the device was closed`));
      this.#closing = this.dispose(this.#takeAllIdle());
      this.kernels.clear();
    }
    return this.#closing;
  }

  /** Returns memory of a released array. It can be overwritten at once, because work runs in order. */
  protected takeIdle(size: string): Memory | undefined {
    const memory = this.#idle.get(size)?.pop();
    if (memory !== undefined) this.#idleBytes -= memory.bytes;
    return memory;
  }

  /** Makes `check` throw this error, or an earlier one, from now on. */
  protected fail(error: Error): void {
    this.#failure ??= error;
  }

  /** @throws the Error that ended the device, if there is one */
  protected check(): void {
    if (this.#failure === undefined && this.isLost()) {
      this.fail(new DeviceLostError(`${this.mode}: the device was lost`));
    }
    if (this.#failure !== undefined) throw this.#failure;
  }

  #takeAllIdle(): Memory[] {
    const idle = [...this.#idle.values()].flat();
    this.#idle.clear();
    this.#idleBytes = 0;
    return idle;
  }
}
