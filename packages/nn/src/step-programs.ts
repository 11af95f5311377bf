/** The programs of an optimizer's step: sum, mean and update in one pass over the vectors. */
import {
  additionCall,
  apply,
  type Formula,
  type HostBackend,
  input,
  type MapCall,
  PreparedSums,
  type Program,
  prepareElementwise,
  type Storage,
  type StridedView,
  substituteInputs,
  sumFormula,
  type VectorSum,
  vectorsOf,
} from '@lockstep/tensor';
import { type OptimizerConfig, optimizerRule } from './optimizers/index.ts';

interface StepStorages {
  readonly parameters: Storage;
  readonly slots: ReadonlyMap<string, Storage>;
  readonly scalarNames: readonly string[];
  /** Those of `scalarNames`, then the divisor, then the factor that clips, where the config asks for it. */
  readonly scalars: Storage;
}

/** Division by a power of two is multiplication by its reciprocal, to the bit, and takes longer. */
function isPowerOfTwo(samples: number): boolean {
  return Number.isInteger(Math.log2(samples));
}

/** What stands for the count of samples among the scalars of a step. */
export function divisorOf(samples: number): number {
  return isPowerOfTwo(samples) ? 1 / samples : samples;
}

/** The programs of a step, one for each sum that it was given. */
export class StepPrograms {
  readonly #backend: HostBackend;
  readonly #config: OptimizerConfig;
  readonly #storages: StepStorages;
  readonly #programs: PreparedSums;
  readonly #scaled: PreparedSums;
  readonly #additions: PreparedSums;

  constructor(backend: HostBackend, config: OptimizerConfig, storages: StepStorages) {
    this.#backend = backend;
    this.#config = config;
    this.#storages = storages;
    this.#programs = new PreparedSums((sum) => this.#prepare(sum, 'div'));
    this.#scaled = new PreparedSums((sum) => this.#prepare(sum, 'mul'));
    this.#additions = new PreparedSums((sum) => prepareElementwise(backend, [additionCall(sum, vectorsOf(sum)[0]!)]));
  }

  /** Takes a step with the mean over `samples` of what the sum holds then, whose divisor is among the scalars. */
  programFor(sum: VectorSum, samples: number): Program {
    return (isPowerOfTwo(samples) ? this.#scaled : this.#programs).of(sum);
  }

  /** The sum in one vector: the first of its own. */
  added(sum: VectorSum): Storage {
    const first = vectorsOf(sum)[0]!;
    if (first !== sum) this.#additions.of(sum).run();
    return first;
  }

  dispose(): void {
    for (const programs of [this.#programs, this.#scaled, this.#additions]) programs.dispose();
  }

  /** The rule's formulas as calls, slots first and parameters last, on the gradient's mean, clipped. */
  #prepare(sum: VectorSum, division: 'div' | 'mul'): Program {
    const [backend, config] = [this.#backend, this.#config];
    const { parameters, slots, scalarNames, scalars } = this.#storages;
    const inputs: StridedView[] = [];
    const read = (storage: Storage, stride: number): Formula => input(inputs.push({ storage, strides: [stride] }) - 1);
    const scalarFormulas = Array.from({ length: scalars.length }, (_, index) =>
      read(backend.slice(scalars, index, 1), 0),
    );
    const [divisor, clip] = scalarFormulas.slice(scalarNames.length);
    const gradient = sumFormula(sum, (vector) => read(this.#gradientIn(vector), 1));
    const mean = apply(division, gradient, divisor!);
    const formulas = optimizerRule(config).update(config, {
      parameters: read(parameters, 1),
      gradient: clip === undefined ? mean : apply('mul', mean, clip),
      slots: Object.fromEntries(Array.from(slots, ([name, slot]) => [name, read(slot, 1)])),
      scalars: Object.fromEntries(scalarNames.map((name, index) => [name, scalarFormulas[index]!])),
    });
    return prepareElementwise(backend, [
      ...Array.from(slots, ([name, slot]) => mapCall(formulas[name]!, inputs, slot)),
      mapCall(formulas.parameters, inputs, parameters),
    ]);
  }

  /** @throws Error where the vector is shorter than the parameters */
  #gradientIn(vector: Storage): Storage {
    const { length } = this.#storages.parameters;
    if (vector.length >= length) return this.#backend.slice(vector, 0, length);
    throw new Error(`optimizer: expected a gradient of ${length} values, as many as parameters, got ${vector.length}`);
  }
}

/** `output[e] = formula` for every element; the call gets only those of `inputs` that the formula reads. */
function mapCall(formula: Formula, inputs: readonly StridedView[], output: Storage): MapCall {
  const used: StridedView[] = [];
  const renumbered = substituteInputs(formula, (index) => {
    const view = inputs[index]!;
    const known = used.indexOf(view);
    return input(known >= 0 ? known : used.push(view) - 1);
  });
  return { kind: 'map', formula: renumbered, shape: [output.length], inputs: used, output };
}
