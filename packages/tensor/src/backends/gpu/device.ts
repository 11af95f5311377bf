/** Interface between the gpu backend and a mode of gpu.js: arrays on the device, and kernels from arrays to arrays. */

/** Float32 values on the device, four to a cell; immutable once written. */
export interface DeviceArray {
  /** Number of values. The last cell may hold more, which have no meaning. */
  readonly length: number;
}

/** A kernel as text that every mode compiles: one thread per cell of its result, in row-major order. */
export interface KernelSource {
  /** Number of arrays that the kernel reads, named a0, a1 and so on in the body. */
  readonly inputs: number;
  /** Number of values of the result. */
  readonly length: number;
  /** Threads along x, y and z, as `this.thread` in the body; their product is the number of cells. */
  readonly threads: readonly [number, number, number];
  /** Statements in the JavaScript that gpu.js accepts, ending in `return [v0, v1, v2, v3]`. */
  readonly body: string;
  /**
   * If set, each thread computes four cells: the one that it returns, and those a quarter, a half and three quarters of
   * the result further on, which it passes to `part1(v0, v1, v2, v3)`, `part2` and `part3`. `threads` counts a quarter
   * of the cells.
   */
  readonly quartered?: boolean;
}

/** How a body reads its inputs, which differs between the modes. */
export interface Dialect {
  /** Expression of gpu.js's type Array(4) for the cell at a whole index. */
  cell(input: number, index: string): string;
  /** Expression for the value at a whole index. */
  value(input: number, index: string): string;
}

/** A kernel that is compiled or being compiled. */
export interface DeviceKernel {
  readonly source: KernelSource;
}

/** A range of an array. */
export interface DeviceStretch {
  readonly array: DeviceArray;
  readonly offset: number;
  readonly length: number;
}

/** One mode of gpu.js on one adapter. All methods except `read` return at once; work runs in the order requested. */
export interface Device {
  /** gpu.js's name for the mode. */
  readonly mode: string;
  /** The GPU or software renderer, as the driver names it. */
  readonly adapter: string;
  readonly dialect: Dialect;
  /** Most arrays that one kernel may read. */
  readonly maxInputs: number;
  /** Most threads along y and z. */
  readonly maxThreads: readonly [number, number];
  /** Most values in one array. */
  readonly maxLength: number;
  /** Whether a kernel with a result of `length` values may be quartered. */
  quarters(length: number): boolean;
  /** Copies values to the device. They must not change until the next `read` has ended. */
  upload(values: Float32Array): DeviceArray;
  /** Compiles a kernel; returns the same one for equal sources. */
  compile(source: KernelSource): DeviceKernel;
  /** Runs a kernel; returns its result as a new array. */
  run(kernel: DeviceKernel, inputs: readonly DeviceArray[]): DeviceArray;
  /** Copies values back after all work requested earlier. */
  read(stretches: readonly DeviceStretch[]): Promise<Float32Array[]>;
  /** Releases an array. Work requested earlier may still read it. */
  release(array: DeviceArray): void;
  /**
   * Releases everything, once. Later requests throw; a pending read rejects or still returns its values. Never rejects,
   * even if the device was lost.
   */
  close(): Promise<void>;
}

/**
 * Thrown after the device was lost: a driver restarted, a card was removed, a tab lost its context.
 * Nothing on the device can be read any more.
 */
export class DeviceLostError extends Error {
  override name = 'DeviceLostError';
  readonly code = 'device-lost';
}

/** Values per cell. */
export const cellLength = 4;

export function cellsOf(length: number): number {
  return Math.ceil(length / cellLength);
}

/** Whether a driver names a software renderer, such as SwiftShader. */
export function isSoftwareAdapter(adapter: string): boolean {
  return /swiftshader|llvmpipe|lavapipe|softpipe|basic render|software/i.test(adapter);
}

/** Returns the value of a key, creating and keeping it on first use. */
export function getOrCreate<Key, Value>(map: Map<Key, Value>, key: Key, create: () => Value): Value {
  let value = map.get(key);
  if (value === undefined) {
    value = create();
    map.set(key, value);
  }
  return value;
}
