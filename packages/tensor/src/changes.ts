/** Tracks in-place changes of storages, so that no gradient is computed from values that have changed since. */
import type { Storage } from './backend.ts';

/** A range of a storage, and when it was last written. */
interface Stretch {
  readonly start: number;
  readonly end: number;
  writtenAt: number;
}

const slices = new WeakMap<Storage, { whole: Storage; start: number }>();
const writes = new WeakMap<Storage, Map<string, Stretch>>();
let clock = 0;

function placeOf(storage: Storage): { whole: Storage; start: number } {
  return slices.get(storage) ?? { whole: storage, start: 0 };
}

/** Records that `slice` shares the memory of `storage` from `offset` on. */
export function noteSlice(slice: Storage, storage: Storage, offset: number): void {
  const { whole, start } = placeOf(storage);
  slices.set(slice, { whole, start: start + offset });
}

/** Returns a function that records a write to `storage`; calling it allocates nothing. */
export function changeNoter(storage: Storage): () => void {
  const { whole, start } = placeOf(storage);
  const end = start + storage.length;
  const stretches = writes.get(whole) ?? new Map<string, Stretch>();
  writes.set(whole, stretches);
  const key = `${start}-${end}`;
  const stretch = stretches.get(key) ?? { start, end, writtenAt: 0 };
  stretches.set(key, stretch);
  return () => {
    clock += 1;
    stretch.writtenAt = clock;
  };
}

/** Records a write to `storage`. */
export function noteChange(storage: Storage): void {
  changeNoter(storage)();
}

/** Returns the current moment, for `changedSince`. */
export function now(): number {
  return clock;
}

/** Whether values of `storage` were written after `moment`. */
export function changedSince(storage: Storage, moment: number): boolean {
  const { whole, start } = placeOf(storage);
  const end = start + storage.length;
  for (const stretch of writes.get(whole)?.values() ?? []) {
    if (stretch.writtenAt > moment && stretch.start < end && stretch.end > start) return true;
  }
  return false;
}
