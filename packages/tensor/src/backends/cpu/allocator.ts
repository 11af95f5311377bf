/** First-fit allocation of aligned blocks inside a growing WebAssembly memory. */
import { pageBytes, type WasmMemory } from './webassembly.ts';

const alignment = 64;
/** Kernels may read, not write, this far beyond a block. */
const slackBytes = 64;
/** Large models would have much that is never used. */
const mostSparePages = (16 * 2 ** 20) / pageBytes;

interface FreeBlock {
  start: number;
  end: number;
}

export class Allocator {
  readonly #memory: WasmMemory;
  /** Ascending, never touching. */
  readonly #free: FreeBlock[];
  readonly #sizes = new Map<number, number>();

  constructor(memory: WasmMemory, start: number) {
    this.#memory = memory;
    this.#free = [{ start: roundUp(start, alignment), end: memory.buffer.byteLength - slackBytes }];
  }

  /** Address of a new block; grows the memory when no gap is large enough. @throws RangeError when it cannot grow. */
  allocate(bytes: number): number {
    const size = Math.max(alignment, roundUp(bytes, alignment));
    let index = this.#free.findIndex((block) => block.end - block.start >= size);
    if (index < 0) index = this.#grow(size);
    const block = this.#free[index]!;
    const start = block.start;
    block.start += size;
    if (block.start === block.end) this.#free.splice(index, 1);
    this.#sizes.set(start, size);
    return start;
  }

  release(start: number): void {
    const size = this.#sizes.get(start);
    if (size === undefined) throw new Error(`cpu: no block begins at ${start}`);
    this.#sizes.delete(start);
    let index = this.#free.findIndex((block) => block.start > start);
    if (index < 0) index = this.#free.length;
    this.#free.splice(index, 0, { start, end: start + size });
    this.#mergeWithNext(index);
    if (index > 0) this.#mergeWithNext(index - 1);
  }

  #mergeWithNext(index: number): void {
    const [block, next] = [this.#free[index]!, this.#free[index + 1]];
    if (next === undefined || block.end !== next.start) return;
    block.end = next.end;
    this.#free.splice(index + 1, 1);
  }

  /** Makes the gap at the end one of at least `size`, adding a quarter of the memory or 16 MB where it can; returns its index. */
  #grow(size: number): number {
    const before = this.#memory.buffer.byteLength;
    const end = before - slackBytes;
    const lastFree = this.#free.at(-1);
    const there = lastFree?.end === end ? end - lastFree.start : 0;
    const needed = Math.ceil((size - there) / pageBytes);
    const generous = Math.max(needed, Math.min(mostSparePages, Math.ceil(before / 4 / pageBytes)));
    try {
      this.#memory.grow(generous);
    } catch {
      try {
        this.#memory.grow(needed);
      } catch {
        const [more, given] = [size, before].map((bytes) => `${Math.ceil(bytes / 1e6)} MB`);
        throw new RangeError(`cpu: expected ${more} more memory than ${given}, the engine refused`);
      }
    }
    const newEnd = this.#memory.buffer.byteLength - slackBytes;
    if (lastFree?.end === end) lastFree.end = newEnd;
    else this.#free.push({ start: end, end: newEnd });
    return this.#free.length - 1;
  }
}

function roundUp(value: number, multiple: number): number {
  return Math.ceil(value / multiple) * multiple;
}
