/** What the gpu backend asks of a mode of gpu.js: arrays that live on the device, and kernels from one to another. */

/** Float32 values on the device, four to a cell; never changed once written. */
export interface DeviceArray {
  /** Number of values. The last cell may hold more, of no meaning. */
  readonly length: number;
}

/** A kernel as text that every mode compiles: one thread for each cell of its result, row by row. */
export interface KernelSource {
  /** How many arrays it reads, named a0, a1 and so on in the body. */
  readonly inputs: number;
  /** Number of values of the result. */
  readonly length: number;
  /** Threads along x, y and z, as the body's `this.thread`; their product is the number of cells. */
  readonly threads: readonly [number, number, number];
  /** Statements of JavaScript as gpu.js reads it, ending in `return [v0, v1, v2, v3]`. */
  readonly body: string;
  /**
   * Set where each thread computes four cells: the one that it returns, and those a quarter, a half and three quarters of
   * the result further on, which it hands to `part1(v0, v1, v2, v3)`, `part2` and `part3`. `threads` counts a quarter.
   */
  readonly quartered?: boolean;
}

/** How the modes differ in what a body may say. */
export interface Dialect {
  /** An expression of gpu.js's type Array(4): the cell with a whole index. */
  cell(input: number, index: string): string;
  /** The value with a whole index. */
  value(input: number, index: string): string;
}

/** A kernel made ready, or on its way there. */
export interface DeviceKernel {
  readonly source: KernelSource;
}

/** A stretch of an array. */
export interface DeviceStretch {
  readonly array: DeviceArray;
  readonly offset: number;
  readonly length: number;
}

/** One mode of gpu.js on one adapter. All but `read` returns at once; work happens in the order asked for. */
export interface Device {
  /** gpu.js's name of the mode. */
  readonly mode: string;
  /** The GPU or program that computes, as the driver names it. */
  readonly adapter: string;
  readonly dialect: Dialect;
  /** Most arrays that one kernel may read. */
  readonly maxInputs: number;
  /** Most threads along y and z. */
  readonly maxThreads: readonly [number, number];
  /** Most values in one array. */
  readonly maxLength: number;
  /** Whether a kernel whose result has `length` values may be quartered. */
  quarters(length: number): boolean;
  /** Copies values to the device. They must not change until the next `read` has ended. */
  upload(values: Float32Array): DeviceArray;
  /** Makes a kernel ready; equal sources give the same one. */
  compile(source: KernelSource): DeviceKernel;
  /** A new array with what the kernel computes. */
  run(kernel: DeviceKernel, inputs: readonly DeviceArray[]): DeviceArray;
  /** Copies values out, once all work asked for before is done. */
  read(stretches: readonly DeviceStretch[]): Promise<Float32Array[]>;
  /** Gives an array back. Work asked for before may still read it. */
  release(array: DeviceArray): void;
  /**
   * Gives everything back, once. Whatever is asked for afterwards throws; a read that has not ended rejects, or still gives
   * its values. Never rejects, whatever became of the device.
   */
  close(): Promise<void>;
}

/**
 * The device went away.
 * A driver restarted, a card was taken, a tab lost its context. Nothing on it can be read.
 */
export class DeviceLostError extends Error {
  override name = 'DeviceLostError';
  readonly code = 'device-lost';
}

/** Values to a cell. */
export const cellLength = 4;

export function cellsOf(length: number): number {
  return Math.ceil(length / cellLength);
}

/** Whether a driver names itself as a program on the CPU: a GPU in name only. */
export function isSoftwareAdapter(adapter: string): boolean {
  return /swiftshader|llvmpipe|lavapipe|softpipe|basic render|software/i.test(adapter);
}
