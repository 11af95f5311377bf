/** What every kind of call needs to become kernels. */
import type { Storage } from '../../../backend.ts';
import type { Device } from '../device.ts';
import type { Runner, Stretch } from '../runner.ts';

export interface LoweringContext {
  readonly runner: Runner;
  readonly device: Device;
  /** `length` values of a storage, from `from` on or from its start: a call may use less than it holds. */
  stretchOf(storage: Storage, length: number, from?: number): Stretch;
}

/** Runs one call on what its storages hold now. */
export type Step = () => void;

/** A step that leaves the same value everywhere. */
export function fill({ runner, device }: LoweringContext, output: Stretch, value: number): Step {
  const values = new Float32Array(output.length).fill(value);
  return () => runner.write(output, device.upload(values));
}
