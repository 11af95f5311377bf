/** First-fit allocation of aligned blocks inside a growing WebAssembly memory. */
import { pageBytes, type WasmMemory } from './webassembly.ts';

const alignment = 64;
/** Kernels may read, not write, this far beyond a block. */
const slackBytes = 64;

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

  /** Adds a gap of at least `size` at the end, by a quarter of the memory at least; returns its index. */
  #grow(size: number): number {
    const before = this.#memory.buffer.byteLength;
    const needed = Math.ceil((size + slackBytes) / pageBytes);
    const generous = Math.max(needed, Math.ceil(before / 4 / pageBytes));
    try {
      this.#memory.grow(generous);
    } catch {
      try {
        this.#memory.grow(needed);
      } catch {
        throw new RangeError(`cpu: the engine refused ${size} bytes more than the ${before} it gave`);
      }
    }
    const end = this.#memory.buffer.byteLength - slackBytes;
    const last = this.#free.at(-1);
    if (last !== undefined && last.end === before - slackBytes) last.end = end;
    else this.#free.push({ start: before - slackBytes, end });
    return this.#free.length - 1;
  }
}

function roundUp(value: number, multiple: number): number {
  return Math.ceil(value / multiple) * multiple;
}
