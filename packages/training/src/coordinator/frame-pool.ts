/** Memory for the frames of vectors, which the next frames use again: garbage outside the heap makes V8 mark all of it. */
import { FrameMemory } from '@lockstep/protocol';

/** Enough for the connections of a step, which mostly send the same chunks. */
const mostFree = 16;

export class FramePool {
  readonly #frameBytes: number;
  readonly #free: FrameMemory[] = [];

  /** @param frameBytes most bulk bytes of a frame */
  constructor(frameBytes: number) {
    this.#frameBytes = frameBytes;
  }

  take(): FrameMemory {
    return this.#free.pop() ?? new FrameMemory(this.#frameBytes);
  }

  /** Gives back the memory of a frame that nothing reads any more. */
  give(memory: FrameMemory): void {
    if (this.#free.length < mostFree) this.#free.push(memory);
  }
}
