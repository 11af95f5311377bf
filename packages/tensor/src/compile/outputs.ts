/** Places outputs in storages named for them, or one after another in a new one. */
import type { Backend, KernelCall, Storage } from '../backend.ts';
import { readsContiguously } from '../backends/check.ts';
import { input } from '../formula.ts';
import { readsOf, withStorages, writesOf } from './call-parts.ts';
import { lastReads } from './layout.ts';

interface OutputTargets {
  /** One for each output. */
  readonly targets: readonly Storage[];
  readonly output: Storage;
  /** Offsets of the outputs packed into `output`. */
  readonly offsets: ReadonlyMap<Storage, number>;
}

/** Returns for each output its storage in `into`, or else its slice of `given` or of a new storage. */
export function outputTargets(
  backend: Backend,
  outputs: readonly { readonly storage: Storage }[],
  { into, output: given }: { readonly into: readonly (Storage | undefined)[]; readonly output: Storage | undefined },
  allocate: (length: number) => Storage,
): OutputTargets {
  const together = outputs.filter((_, index) => into[index] === undefined);
  const length = together.reduce((total, { storage }) => total + storage.length, 0);
  if (given !== undefined) checkLength('the outputs have', length, given);
  const output = given ?? allocate(length);
  const offsets = new Map<Storage, number>();
  let offset = 0;
  const targets = outputs.map(({ storage }, index) => {
    const named = into[index];
    if (named !== undefined) {
      checkLength(`output ${index} has`, storage.length, named);
      return named;
    }
    const target = backend.slice(output, offset, storage.length);
    offsets.set(target, offset);
    offset += storage.length;
    return target;
  });
  return { targets, output, offsets };
}

function checkLength(what: string, length: number, storage: Storage): void {
  if (storage.length === length) return;
  throw new Error(`compile: ${what} ${length} values, but the storage for it has ${storage.length}`);
}

/** Returns the calls with another storage instead of `output`. */
export function redirect(
  backend: Backend,
  calls: readonly KernelCall[],
  { offsets }: Pick<OutputTargets, 'offsets'>,
  output: Storage,
): KernelCall[] {
  const moved = new Map(
    Array.from(offsets, ([target, offset]) => [target, backend.slice(output, offset, target.length)]),
  );
  return calls.map((call) => withStorages(call, (storage) => moved.get(storage) ?? storage));
}

/**
 * Lets calls write outputs into their targets, or adds copies at the end if that is impossible: for an output that is
 * an input or is returned twice, or a target whose old values are still read later.
 */
export function placeOutputs(
  calls: readonly KernelCall[],
  outputs: readonly Storage[],
  targets: readonly Storage[],
  places: Map<Storage, Storage>,
): KernelCall[] {
  const saves: KernelCall[] = [];
  const copies: KernelCall[] = [];
  const given = new Map(places);
  outputs.forEach((storage, index) => {
    const target = targets[index]!;
    if (!places.has(storage) && mayWriteDirectly(calls, storage, target, given)) {
      places.set(storage, target);
      return;
    }
    let source = storage;
    if (given.has(storage)) {
      // Another output may overwrite this input before it is copied.
      source = { length: storage.length };
      saves.push(copyCall(storage, source));
    }
    copies.push(copyCall(source, target));
    places.set(target, target);
  });
  return [...saves, ...calls, ...copies];
}

function copyCall(from: Storage, to: Storage): KernelCall {
  const view = { storage: from, strides: [1] };
  return { kind: 'map', formula: input(0), shape: [from.length], inputs: [view], output: to };
}

/** Whether nothing reads the old values of `target` when, or after, `symbol` is written to it. */
function mayWriteDirectly(
  calls: readonly KernelCall[],
  symbol: Storage,
  target: Storage,
  given: ReadonlyMap<Storage, Storage>,
): boolean {
  const writer = calls.findIndex((call) => writesOf(call).includes(symbol));
  const last = lastReads(calls);
  const sameMemory = (storage: Storage): boolean => given.get(storage) === target;
  for (const [storage, index] of last) if (sameMemory(storage) && index > writer) return false;
  const call = calls[writer]!;
  if (call.kind !== 'map' || call.outputLayout !== undefined) return !readsOf(call).some(sameMemory);
  return call.inputs.every((view) => !sameMemory(view.storage) || readsContiguously(call, view));
}
