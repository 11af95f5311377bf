/** The additions up the tree as calls of a backend, rounded as a run asks for it. */
import {
  additionCall,
  type Backend,
  type Formula,
  input,
  isHostBackend,
  type KernelCall,
  type MapCall,
  type Program,
  prepareElementwise,
  type Storage,
  sliceSum,
  type VectorSum,
  vectorsOf,
} from '@lockstep/tensor';
import { halfFormula } from './half-rounding.ts';
import { levelFormula, levelSumFormula, places } from './level-rounding.ts';
import type { NodeRounding } from './node-rounding.ts';

/** Values behind the gradient in a vector [parameters + 2], which are not rounded: sum of losses, correct answers. */
const figures = 2;

/** What levels are computed with, [parameters] each. */
interface LevelStorages {
  readonly units: Storage;
  readonly places: Storage;
}

/** Of vectors of one length, [parameters + 2] where they are rounded. */
export class RoundingPasses {
  readonly #backend: Backend;
  #rounding: NodeRounding | undefined;
  #levels: LevelStorages | undefined;

  constructor(backend: Backend) {
    this.#backend = backend;
  }

  get rounding(): NodeRounding | undefined {
    return this.#rounding;
  }

  /**
   * Sets the rounding of the next passes.
   * @returns whether calls that were made before are of no use any more
   * @throws Error on a backend that keeps no promise of how it rounds, as a GPU
   */
  use(rounding: NodeRounding | undefined): boolean {
    const before = this.#rounding;
    if (rounding === before) return false;
    if (rounding && !isHostBackend(this.#backend)) {
      throw new Error(
        `${this.#backend.name}: expected a backend that rounds sums as all others do: compute on the CPU`,
      );
    }
    this.#rounding = rounding;
    if (rounding?.type === 'int8') {
      this.#levels ??= this.#allocate(rounding.units.length);
      this.#backend.upload(this.#levels.units, rounding.units);
    }
    const isSameUnit = rounding?.type !== 'fp16' || before?.type !== 'fp16' || rounding.unit === before.unit;
    return rounding?.type !== before?.type || !isSameUnit;
  }

  /** The calls that leave a sum of nodes in `output`, which may be one of its vectors. */
  sumCalls(sum: VectorSum, output: Storage): MapCall[] {
    if (!this.#rounding) return [additionCall(sum, output)];
    const backend = this.#backend;
    const size = output.length - figures;
    const ownSum = sliceSum(backend, sum, 0, size);
    const vectors = vectorsOf(ownSum).length;
    const gradient = additionCall(ownSum, backend.slice(output, 0, size), (value) => this.#rounded(value, vectors));
    const storages = this.#rounding.type === 'int8' ? [this.#levels!.units] : [];
    const inputs = [...gradient.inputs, ...storages.map((storage) => ({ storage, strides: [1] }))];
    const rest = additionCall(sliceSum(backend, sum, size, figures), backend.slice(output, size, figures));
    return [{ ...gradient, inputs }, rest];
  }

  /** The calls that round the sum over a microbatch in place. @param shift [1], what `shiftOf` gives where levels are used */
  microbatchCalls(vector: Storage, shift: Storage): KernelCall[] {
    const output = this.#backend.slice(vector, 0, vector.length - figures);
    const call = (formula: Formula, ...others: MapCall['inputs']): MapCall => {
      const inputs = [{ storage: output, strides: [1] }, ...others];
      return { kind: 'map', formula, shape: [output.length], inputs, output };
    };
    if (this.#rounding?.type === 'fp16') return [call(halfFormula(input(0), this.#rounding.unit))];
    const { units, places: ofValues } = this.#levels!;
    const formula = levelFormula(input(0), input(1), input(2), input(3));
    const shared = { storage: shift, strides: [0] };
    return [call(formula, { storage: units, strides: [1] }, { storage: ofValues, strides: [1] }, shared)];
  }

  /** `output = sum`, prepared for all threads together. */
  prepareSum(sum: VectorSum, output: Storage): Program {
    const programs = this.sumCalls(sum, output).map((call) => prepareElementwise(this.#backend, [call]));
    return {
      run() {
        for (const program of programs) program.run();
      },
      dispose() {
        for (const program of programs) program.dispose();
      },
    };
  }

  dispose(): void {
    if (!this.#levels) return;
    this.#backend.free(this.#levels.units);
    this.#backend.free(this.#levels.places);
    this.#levels = undefined;
    this.#rounding = undefined;
  }

  #rounded(value: Formula, vectors: number): Formula {
    return this.#rounding?.type === 'fp16'
      ? halfFormula(value, this.#rounding.unit)
      : levelSumFormula(value, input(vectors));
  }

  #allocate(size: number): LevelStorages {
    const backend = this.#backend;
    const levels = { units: backend.allocate(size), places: backend.allocate(size) };
    backend.upload(levels.places, places(size));
    return levels;
  }
}
