/** Programs of an optimizer step: sum, mean and update in one pass over the vectors. */
import {
  additionCall,
  apply,
  constant,
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
import { learningRateAt, type OptimizerConfig, optimizerRule } from './optimizers/index.ts';

interface StepStorages {
  readonly parameters: Storage;
  readonly slots: ReadonlyMap<string, Storage>;
  readonly scalarNames: readonly string[];
  /** Values of `scalarNames`, then the divisor, then the clipping factor if the config sets `clipNorm`. */
  readonly scalars: Storage;
}

/** If true, multiplying by the reciprocal gives the same bits as dividing, and is faster. */
function isPowerOfTwo(samples: number): boolean {
  return Number.isInteger(Math.log2(samples));
}

/** Returns the scalar for the count of samples: its reciprocal if the program multiplies, else the count. */
export function divisorOf(samples: number): number {
  return isPowerOfTwo(samples) ? 1 / samples : samples;
}

/** Programs of a step, one for each gradient sum seen so far. */
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

  /** Returns a program that takes a step with the sum's mean over `samples`; it reads the divisor from the scalars. */
  programFor(sum: VectorSum, samples: number): Program {
    return (isPowerOfTwo(samples) ? this.#scaled : this.#programs).of(sum);
  }

  /** Adds up the sum in its first vector, and returns that vector. */
  added(sum: VectorSum): Storage {
    const first = vectorsOf(sum)[0]!;
    if (first !== sum) this.#additions.of(sum).run();
    return first;
  }

  dispose(): void {
    for (const programs of [this.#programs, this.#scaled, this.#additions]) programs.dispose();
  }

  /** Prepares the rule's formulas on the mean of the gradient, clipped if the config says so. */
  #prepare(sum: VectorSum, division: 'div' | 'mul'): Program {
    const backend = this.#backend;
    const { scalarNames, scalars } = this.#storages;
    const reads = new Reads();
    const scalarFormulas = Array.from({ length: scalars.length }, (_, index) =>
      reads.shared(backend.slice(scalars, index, 1)),
    );
    const [divisor, clip] = scalarFormulas.slice(scalarNames.length);
    const gradient = sumFormula(sum, (vector) => reads.each(this.#gradientIn(vector)));
    const mean = apply(division, gradient, divisor!);
    const values = {
      gradient: clip === undefined ? mean : apply('mul', mean, clip),
      scalars: Object.fromEntries(scalarNames.map((name, index) => [name, scalarFormulas[index]!])),
    };
    return prepareElementwise(backend, updateCalls(this.#config, this.#storages, reads, values));
  }

  /** @throws Error if the vector is shorter than the parameters */
  #gradientIn(vector: Storage): Storage {
    const { length } = this.#storages.parameters;
    if (vector.length >= length) return this.#backend.slice(vector, 0, length);
    throw new Error(`optimizer: expected a gradient of ${length} values, as many as parameters, got ${vector.length}`);
  }
}

/** Collects the vectors that formulas read. */
class Reads {
  readonly inputs: StridedView[] = [];

  /** Reads element e of the storage for element e of the output. */
  each(storage: Storage): Formula {
    return this.#read(storage, 1);
  }

  /** Reads the storage's single value for every element. */
  shared(storage: Storage): Formula {
    return this.#read(storage, 0);
  }

  #read(storage: Storage, stride: number): Formula {
    return input(this.inputs.push({ storage, strides: [stride] }) - 1);
  }
}

/** Returns the rule's own scalars at a step, counted from 1. */
export function ruleScalars(config: OptimizerConfig, step: number): Readonly<Record<string, number>> {
  return optimizerRule(config).scalars(config, { step, learningRate: learningRateAt(config, step - 1) });
}

interface FixedStep {
  /** Counted from 1. */
  readonly step: number;
  /** Number of samples that the gradient is summed over. */
  readonly samples: number;
  /** [P], as are the gradient and the slots. */
  readonly parameters: Storage;
  readonly gradient: Storage;
  readonly slots: ReadonlyMap<string, Storage>;
}

/**
 * Returns one optimizer step as calls for any backend, with its scalars as constants in the formulas.
 * The result has the bits of the step that `createOptimizer` takes, except for clipping, which needs a norm.
 */
export function stepCalls(config: OptimizerConfig, { step, samples, gradient, ...storages }: FixedStep): MapCall[] {
  const reads = new Reads();
  const divisor = constant(divisorOf(samples));
  const scalars = Object.entries(ruleScalars(config, step)).map(([name, value]) => [name, constant(value)]);
  return updateCalls(config, storages, reads, {
    gradient: apply(isPowerOfTwo(samples) ? 'mul' : 'div', reads.each(gradient), divisor),
    scalars: Object.fromEntries(scalars),
  });
}

/** Returns the rule's formulas as calls, slots first and parameters last. */
function updateCalls(
  config: OptimizerConfig,
  { parameters, slots }: Pick<StepStorages, 'parameters' | 'slots'>,
  reads: Reads,
  values: { readonly gradient: Formula; readonly scalars: Readonly<Record<string, Formula>> },
): MapCall[] {
  const formulas = optimizerRule(config).update(config, {
    ...values,
    parameters: reads.each(parameters),
    slots: Object.fromEntries(Array.from(slots, ([name, slot]) => [name, reads.each(slot)])),
  });
  return [
    ...Array.from(slots, ([name, slot]) => mapCall(formulas[name]!, reads.inputs, slot)),
    mapCall(formulas.parameters, reads.inputs, parameters),
  ];
}

/** Returns a call for `output[e] = formula` at every element, with only the `inputs` that the formula reads. */
function mapCall(formula: Formula, inputs: readonly StridedView[], output: Storage): MapCall {
  const used: StridedView[] = [];
  const renumbered = substituteInputs(formula, (index) => {
    const view = inputs[index]!;
    const known = used.indexOf(view);
    return input(known >= 0 ? known : used.push(view) - 1);
  });
  return { kind: 'map', formula: renumbered, shape: [output.length], inputs: used, output };
}
