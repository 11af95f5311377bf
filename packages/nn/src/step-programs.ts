/** The programs of an optimizer's step: sum, mean and update in one pass over the vectors. */
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

  /** The rule's formulas as calls on the gradient's mean, clipped. */
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

  /** @throws Error where the vector is shorter than the parameters */
  #gradientIn(vector: Storage): Storage {
    const { length } = this.#storages.parameters;
    if (vector.length >= length) return this.#backend.slice(vector, 0, length);
    throw new Error(`optimizer: expected a gradient of ${length} values, as many as parameters, got ${vector.length}`);
  }
}

/** The vectors that formulas read. */
class Reads {
  readonly inputs: StridedView[] = [];

  /** Element e of the storage, for element e. */
  each(storage: Storage): Formula {
    return this.#read(storage, 1);
  }

  /** The only value of the storage, for every element. */
  shared(storage: Storage): Formula {
    return this.#read(storage, 0);
  }

  #read(storage: Storage, stride: number): Formula {
    return input(this.inputs.push({ storage, strides: [stride] }) - 1);
  }
}

/** The rule's own scalars at a step, counted from 1. */
export function ruleScalars(config: OptimizerConfig, step: number): Readonly<Record<string, number>> {
  return optimizerRule(config).scalars(config, { step, learningRate: learningRateAt(config, step - 1) });
}

interface FixedStep {
  /** Counted from 1. */
  readonly step: number;
  /** That the gradient is the sum over. */
  readonly samples: number;
  /** [P], as the slots of the optimizer. */
  readonly parameters: Storage;
  readonly gradient: Storage;
  readonly slots: ReadonlyMap<string, Storage>;
}

/**
 * One step of an optimizer as calls for any backend; its scalars are part of the formulas.
 * It is the step that `createOptimizer` takes, to the bit, but for clipping, which needs a norm.
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

/** The rule's formulas as calls, slots first and parameters last. */
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
