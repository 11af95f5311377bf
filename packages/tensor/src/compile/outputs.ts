/** Where outputs go: into storages named for them, or one after another into a new one. */
import type { Backend, KernelCall, Storage } from '../backend.ts';
import { readsContiguously } from '../backends/check.ts';
import { input } from '../formula.ts';
import { readsOf, writesOf } from './call-parts.ts';
import { lastReads } from './layout.ts';

/** The storage named for each output in `into`, or its stretch of one new storage. */
export function outputTargets(
  backend: Backend,
  outputs: readonly { readonly storage: Storage }[],
  into: readonly (Storage | undefined)[],
  allocate: (length: number) => Storage,
): { output: Storage; targets: Storage[] } {
  const together = outputs.filter((_, index) => into[index] === undefined);
  const output = allocate(together.reduce((total, { storage }) => total + storage.length, 0));
  let offset = 0;
  const targets = outputs.map(({ storage: { length } }, index) => {
    const named = into[index];
    if (named !== undefined) {
      if (named.length !== length) {
        throw new Error(`compile: output ${index} has ${length} values, but the storage for it has ${named.length}`);
      }
      return named;
    }
    offset += length;
    return backend.slice(output, offset - length, length);
  });
  return { output, targets };
}

/**
 * Lets calls write outputs into their targets, or adds copies at the end where that is impossible:
 * for an output that is an input or is returned twice, or a target whose old values are still read later.
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
