/** Programs of kernel calls in the kernels' memory. */
import type { Program } from '../../program.ts';
import type { Allocator } from './allocator.ts';
import * as codes from './call-codes.ts';
import type { Placement } from './thread-team.ts';
import type { Kernels, WasmMemory } from './webassembly.ts';

const wordBytes = Uint32Array.BYTES_PER_ELEMENT;
/** Size of a call that runs another program. */
const callBytes = 3 * wordBytes;

export type CpuProgram = Program & Placement;

/** Memory that holds programs, and the kernels that run them. */
export interface ProgramMemory {
  readonly kernels: Pick<Kernels, 'execute'>;
  readonly memory: WasmMemory;
  readonly allocator: Allocator;
}

/** Writes a program to the caller's block, which has room for `words.length` words. */
export function placeProgram(
  { kernels, memory }: Omit<ProgramMemory, 'allocator'>,
  words: readonly number[],
  address: number,
): Placement & Pick<Program, 'run'> {
  new Uint32Array(memory.buffer, address, words.length).set(words);
  const end = address + words.length * wordBytes;
  return { address, end, run: () => kernels.execute(address, end) };
}

/** Writes a program to a newly allocated block. */
export function createProgram(context: ProgramMemory, words: readonly number[]): CpuProgram {
  const address = context.allocator.allocate(words.length * wordBytes);
  return { ...placeProgram(context, words, address), dispose: () => context.allocator.release(address) };
}

/** Programs that one thread runs in order; rewritten whenever they change. */
export class ProgramList {
  readonly #context: Omit<ProgramMemory, 'kernels'>;
  #address = 0;
  #capacity = 0;
  #placed: readonly Placement[] = [];

  constructor(context: Omit<ProgramMemory, 'kernels'>) {
    this.#context = context;
  }

  /** Returns the range of one program that runs them all; valid until the next call. */
  place(programs: readonly Placement[]): Placement {
    if (programs.length === 1) return programs[0]!;
    if (!this.#isPlaced(programs)) this.#write(programs);
    return { address: this.#address, end: this.#address + programs.length * callBytes };
  }

  /** Whether the list holds these programs already, as in most steps of a run. */
  #isPlaced(programs: readonly Placement[]): boolean {
    const placed = this.#placed;
    if (placed.length !== programs.length) return false;
    for (let index = 0; index < programs.length; index++) {
      const [one, other] = [placed[index]!, programs[index]!];
      if (one.address !== other.address || one.end !== other.end) return false;
    }
    return true;
  }

  #write(programs: readonly Placement[]): void {
    this.#placed = programs;
    const words = programs.flatMap(({ address, end }) => [codes.program, address, end]);
    if (words.length > this.#capacity) {
      const { allocator } = this.#context;
      if (this.#capacity > 0) allocator.release(this.#address);
      this.#capacity = 2 * words.length;
      this.#address = allocator.allocate(this.#capacity * wordBytes);
    }
    new Uint32Array(this.#context.memory.buffer, this.#address, words.length).set(words);
  }
}
