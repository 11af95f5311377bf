/**
 * Sums vectors in the order of the fixed tree, as they become ready and with as few buffers as that needs.
 *
 * A node whose right half holds no sample is its left half, unchanged: adding zeros would turn -0 into +0, and an empty
 * microbatch must not leave a mark. Workers sum the microbatches of a shard with this, and the coordinator the shards of a step,
 * so that the order of additions stands in one place.
 */
import { apply, type Backend, input, type KernelCall, type Program, type Storage } from '@lockstep/tensor';
import { parentOf, type Shard, shardKey, siblingOf } from './tree.ts';

export interface TreeSum {
  /**
   * Begins a sum over the shards within `root`, of whose microbatches those from `usedMicrobatches` on are empty.
   * What an unfinished sum holds is dropped.
   */
  begin(root: Shard, usedMicrobatches: number): void;
  /** Memory to write a vector into before `put`; taking it from here saves a copy. The same memory until then. */
  readonly free: Storage;
  /**
   * Takes the vector as the sum over `shard`. Shards may come in any order, each sample exactly once. A vector of the
   * caller's own is read before `put` returns, and not kept.
   */
  put(shard: Shard, vector: Storage): void;
  /** Whether every shard is there, and `total` holds the whole sum. */
  readonly complete: boolean;
  /** Gives back its own memory; `total` belongs to the caller. */
  dispose(): void;
}

/** @param total where the whole sum is left; its length is that of every vector. */
export function createTreeSum(backend: Backend, total: Storage): TreeSum {
  const slots = new Set<Storage>();
  const idle: Storage[] = [];
  const held = new Map<string, Storage>();
  const programs = new Map<Storage, Map<Storage, Map<Storage, Program>>>();
  let top: Shard = { lo: 0, n: 1 };
  let used = 1;
  let complete = false;

  const freeSlot = (): Storage => {
    const last = idle.at(-1);
    if (last) return last;
    const slot = backend.allocate(total.length);
    slots.add(slot);
    idle.push(slot);
    return slot;
  };

  // Until the sum is whole, `total` is memory like any other: a vector of the whole root is then not copied.
  const isOwn = (vector: Storage): boolean => vector === total || slots.has(vector);

  const recycle = (vector: Storage): void => {
    if (isOwn(vector)) idle.push(vector);
  };

  const finish = (): void => {
    const index = idle.indexOf(total);
    if (index >= 0) idle.splice(index, 1);
    complete = true;
  };

  /** `output = left + right`, or a copy of `left` where left and right are one. */
  const combine = (left: Storage, right: Storage, output: Storage): void => {
    const ofLeft = entry(programs, left, () => new Map<Storage, Map<Storage, Program>>());
    const ofRight = entry(ofLeft, right, () => new Map<Storage, Program>());
    entry(ofRight, output, () => backend.prepare([combineCall(left, right, output)])).run();
  };

  return {
    begin(root, usedMicrobatches) {
      top = root;
      used = usedMicrobatches;
      complete = false;
      held.clear();
      idle.length = 0;
      idle.push(...slots, total);
    },
    get free() {
      return freeSlot();
    },
    put(shard, vector) {
      if (vector === idle.at(-1)) idle.pop();
      let sum = vector;
      let node = shard;
      while (node.n < top.n) {
        const sibling = siblingOf(node);
        const parent = parentOf(node);
        if (sibling.lo < used) {
          const other = held.get(shardKey(sibling));
          if (!other) break;
          held.delete(shardKey(sibling));
          const output = parent.n === top.n ? total : other;
          if (sibling.lo < node.lo) combine(other, sum, output);
          else combine(sum, other, output);
          if (sum !== output) recycle(sum);
          if (other !== output) recycle(other);
          sum = output;
        }
        node = parent;
      }
      if (node.n === top.n) {
        if (sum !== total) {
          combine(sum, sum, total);
          recycle(sum);
        }
        finish();
        return;
      }
      if (!isOwn(sum)) {
        const slot = freeSlot();
        idle.pop();
        combine(sum, sum, slot);
        sum = slot;
      }
      held.set(shardKey(node), sum);
    },
    get complete() {
      return complete;
    },
    dispose() {
      for (const ofLeft of programs.values()) {
        for (const ofRight of ofLeft.values()) for (const program of ofRight.values()) program.dispose();
      }
      programs.clear();
      for (const slot of slots) backend.free(slot);
      slots.clear();
      idle.length = 0;
      held.clear();
    },
  };
}

function combineCall(left: Storage, right: Storage, output: Storage): KernelCall {
  const view = (storage: Storage) => ({ storage, strides: [1] });
  const shape = [output.length];
  return left === right
    ? { kind: 'map', formula: input(0), shape, inputs: [view(left)], output }
    : { kind: 'map', formula: apply('add', input(0), input(1)), shape, inputs: [view(left), view(right)], output };
}

/** The value under a key, made on first use. */
function entry<Key, Value>(map: Map<Key, Value>, key: Key, make: () => Value): Value {
  const known = map.get(key);
  if (known !== undefined) return known;
  const value = make();
  map.set(key, value);
  return value;
}
