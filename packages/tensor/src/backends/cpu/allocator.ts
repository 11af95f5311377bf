/** First-fit allocation of aligned blocks inside a growing WebAssembly memory. */
import { pageBytes, type WasmMemory } from './webassembly.ts';

const alignment = 64;
/** Kernels may read, but not write, this far past a block. */
const slackBytes = 64;
/** Most pages to grow by unless more are needed: a quarter of a large model's memory would mostly stay unused. */
const mostSparePages = (16 * 2 ** 20) / pageBytes;

interface FreeBlock {
  start: number;
  end: number;
}

export class Allocator {
  readonly #memory: WasmMemory;
  /** Free blocks in ascending order, never adjacent. */
  readonly #free: FreeBlock[];
  readonly #sizes = new Map<number, number>();

  constructor(memory: WasmMemory, start: number) {
    this.#memory = memory;
    this.#free = [{ start: roundUp(start, alignment), end: memory.buffer.byteLength - slackBytes }];
  }

  /**
   * Returns the address of a new block, growing the memory if no gap is large enough.
   * @throws RangeError if the memory cannot grow
   */
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

  /**
   * Grows the memory until its last gap has at least `size` bytes; returns the index of that gap. If possible, adds at
   * least a quarter of the memory or 16 MB, whichever is less.
   */
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
