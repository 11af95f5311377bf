/** What every kind of call needs to become kernels. */
import type { Storage } from '../../../backend.ts';
import type { Runner, Stretch } from '../runner.ts';

/** Runs one call on what its storages hold now. */
export type Step = () => void;

/** The gpu backend's own storage behind one of a call. */
export type Own = (storage: Storage) => Stretch;

/** The first values of a storage: a call may use less than it holds. */
export function firstOf(stretch: Stretch, length: number): Stretch {
  return length === stretch.length ? stretch : { pieces: stretch.pieces, offset: stretch.offset, length };
}

/** A step that leaves the same value everywhere. */
export function filled(runner: Runner, output: Stretch, value: number): Step {
  const values = new Float32Array(output.length).fill(value);
  return () => runner.write(output, runner.device.upload(values));
}
