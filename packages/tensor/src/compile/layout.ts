/** The static memory plan: which call's output lies where. */
import type { KernelCall, Storage } from '../backend.ts';
import { readsContiguously } from '../backends/check.ts';

type Fields<Call> = Call extends KernelCall ? keyof Call : never;

/** Fields that hold storages; a map also reads its inputs, a product the bias of its epilogue. */
const fields: {
  readonly [Kind in KernelCall['kind']]: Record<
    'reads' | 'writes',
    readonly Fields<Extract<KernelCall, { kind: Kind }>>[]
  >;
} = {
  map: { reads: [], writes: ['output'] },
  reduce: { reads: ['input'], writes: ['output'] },
  matmul: { reads: ['left', 'right'], writes: ['output'] },
  convolution: { reads: ['left', 'right'], writes: ['output'] },
  pool: { reads: ['input'], writes: ['output', 'argmaxIndices'] },
  unpool: { reads: ['input', 'argmaxIndices'], writes: ['output'] },
  crossEntropy: { reads: ['logits', 'labels'], writes: ['losses', 'gradient'] },
  gather: { reads: ['input', 'indices'], writes: ['output'] },
  scatterAdd: { reads: ['input', 'indices'], writes: ['output'] },
  random: { reads: ['key', 'samples'], writes: ['output'] },
};

/** Returns the call's fields among `names`, with their storages. */
function storagesOf(call: KernelCall, names: readonly string[]): [string, Storage][] {
  const byName = call as unknown as Readonly<Record<string, Storage | undefined>>;
  return names.flatMap((name): [string, Storage][] => {
    const storage = byName[name];
    return storage === undefined ? [] : [[name, storage]];
  });
}

export function readsOf(call: KernelCall): readonly Storage[] {
  if (call.kind === 'map') return call.inputs.map((view) => view.storage);
  const own = storagesOf(call, fields[call.kind].reads).map(([, storage]) => storage);
  const bias = 'epilogue' in call ? call.epilogue?.bias : undefined;
  return bias === undefined ? own : [...own, bias];
}

export function writesOf(call: KernelCall): readonly Storage[] {
  return storagesOf(call, fields[call.kind].writes).map(([, storage]) => storage);
}

/** Returns the same call on other storages. */
export function withStorages(call: KernelCall, replace: (storage: Storage) => Storage): KernelCall {
  const { reads, writes } = fields[call.kind];
  const own = storagesOf(call, [...reads, ...writes]).map(([name, storage]) => [name, replace(storage)]);
  const replaced: KernelCall = { ...call, ...Object.fromEntries(own) };
  if (replaced.kind === 'map') {
    return { ...replaced, inputs: replaced.inputs.map((view) => ({ ...view, storage: replace(view.storage) })) };
  }
  const epilogue = 'epilogue' in replaced ? replaced.epilogue : undefined;
  if (epilogue?.bias === undefined) return replaced;
  return { ...replaced, epilogue: { ...epilogue, bias: replace(epilogue.bias) } } as KernelCall;
}

/** Offsets are multiples of this many values: a cache line. */
const alignment = 16;

interface Gap {
  start: number;
  end: number;
}

/** Free space below a high-water mark. */
class Arena {
  readonly #gaps: Gap[] = [];
  length = 0;

  /** Takes the smallest gap that is large enough, else space at the end. */
  take(size: number): number {
    const roomIn = ({ start, end }: Gap): number => end - start;
    const largeEnough = this.#gaps.filter((gap) => roomIn(gap) >= size);
    const [best] = largeEnough.sort((left, right) => roomIn(left) - roomIn(right));
    if (best !== undefined) {
      const { start } = best;
      best.start += size;
      if (best.start === best.end) this.#gaps.splice(this.#gaps.indexOf(best), 1);
      return start;
    }
    const last = this.#gaps.at(-1);
    const start = last?.end === this.length ? this.#gaps.pop()!.start : this.length;
    this.length = start + size;
    return start;
  }

  give(start: number, size: number): void {
    const after = this.#gaps.findIndex((gap) => gap.start > start);
    const index = after < 0 ? this.#gaps.length : after;
    this.#gaps.splice(index, 0, { start, end: start + size });
    for (const at of [index, index - 1]) {
      const [gap, next] = [this.#gaps[at], this.#gaps[at + 1]];
      if (gap === undefined || next === undefined || gap.end !== next.start) continue;
      gap.end = next.end;
      this.#gaps.splice(at + 1, 1);
    }
  }
}

function roomFor(storage: Storage): number {
  return Math.max(1, Math.ceil(storage.length / alignment)) * alignment;
}

/** Returns the index of the last call that reads each storage. */
export function lastReads(calls: readonly KernelCall[]): Map<Storage, number> {
  const last = new Map<Storage, number>();
  calls.forEach((call, index) => {
    for (const storage of readsOf(call)) last.set(storage, index);
  });
  return last;
}

/** Returns an input that a map may overwrite with its output: same length, read in order, not read later. */
function overwritable(call: KernelCall, dying: (storage: Storage) => boolean): Storage | undefined {
  if (call.kind !== 'map' || call.outputLayout !== undefined) return undefined;
  return call.inputs.find(({ storage }) => {
    const views = call.inputs.filter((view) => view.storage === storage);
    const inOrder = views.every((view) => readsContiguously(call, view));
    return inOrder && storage.length === call.output.length && dying(storage);
  })?.storage;
}

/**
 * Places every storage that calls write and that is not `placed`; several calls may write parts of one storage. Offsets
 * and the arena's length count values.
 */
export function layOut(
  calls: readonly KernelCall[],
  placed: ReadonlySet<Storage>,
): { offsets: Map<Storage, number>; length: number } {
  const arena = new Arena();
  const offsets = new Map<Storage, number>();
  const last = lastReads(calls);
  calls.forEach((call, index) => {
    const inherited = overwritable(call, (storage) => offsets.has(storage) && last.get(storage) === index);
    const written = writesOf(call).filter((storage) => !placed.has(storage) && !offsets.has(storage));
    for (const storage of written) {
      offsets.set(storage, inherited === undefined ? arena.take(roomFor(storage)) : offsets.get(inherited)!);
    }
    for (const storage of new Set(readsOf(call))) {
      const offset = offsets.get(storage);
      const passedOn = storage === inherited && written.length > 0;
      if (offset !== undefined && last.get(storage) === index && !passedOn) arena.give(offset, roomFor(storage));
    }
    for (const storage of written) if (!last.has(storage)) arena.give(offsets.get(storage)!, roomFor(storage));
  });
  return { offsets, length: arena.length };
}
