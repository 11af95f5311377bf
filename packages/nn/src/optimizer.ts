/** An optimizer that updates one flat parameter vector in place: sum, mean and update in one pass over the vectors. */

import { checkArguments } from '@lockstep/data';
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
import { kinds } from './check.ts';
import { learningRateAt, type OptimizerConfig, optimizerRule } from './optimizers.ts';

/** A run of neighboring values of the flat vector. */
export interface DecayRange {
  readonly offset: number;
  readonly size: number;
  /** Whether weight decay shrinks its parameters. */
  readonly decays: boolean;
}

/** Joins neighbors with equal `decays` from `first` on; by default all `size` values decay. */
function joined(layout: readonly DecayRange[], size: number, first: number): readonly DecayRange[] {
  if (layout.every(({ decays }) => decays)) return [{ offset: first, size: size - first, decays: true }];
  const ranges: DecayRange[] = [];
  for (const { offset, size: own, decays } of layout) {
    if (offset < first) continue;
    const last = ranges.at(-1);
    if (last?.decays === decays) ranges.splice(-1, 1, { ...last, size: last.size + own });
    else ranges.push({ offset, size: own, decays });
  }
  return ranges;
}

interface StepStorages {
  readonly parameters: Storage;
  readonly ranges: readonly DecayRange[];
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
function divisorOf(samples: number): number {
  return isPowerOfTwo(samples) ? 1 / samples : samples;
}

/** Programs of a step, one for each gradient sum seen so far. */
function stepPrograms(backend: HostBackend, config: OptimizerConfig, storages: StepStorages) {
  const { parameters, ranges, slots, scalarNames, scalars } = storages;
  /** @throws Error if the vector is shorter than the parameters */
  const gradientIn = (vector: Storage): Storage => {
    const { length } = parameters;
    if (vector.length >= length) return backend.slice(vector, 0, length);
    throw new Error(`optimizer: expected a gradient of ${length} values, as many as parameters, got ${vector.length}`);
  };
  /** Prepares the rule's formulas on the mean of the gradient, clipped if the config says so. */
  const prepareRange = (sum: VectorSum, division: 'div' | 'mul', { offset, size, decays }: DecayRange): Program => {
    const part = (vector: Storage): Storage => (vector.length === size ? vector : backend.slice(vector, offset, size));
    const reads = collectReads();
    const scalarFormulas = Array.from({ length: scalars.length }, (_, index) =>
      reads.shared(backend.slice(scalars, index, 1)),
    );
    const [divisor, clip] = scalarFormulas.slice(scalarNames.length);
    const gradient = sumFormula(sum, (vector) => reads.each(part(gradientIn(vector))));
    const mean = apply(division, gradient, divisor!);
    const values = {
      gradient: clip === undefined ? mean : apply('mul', mean, clip),
      scalars: Object.fromEntries(scalarNames.map((name, index) => [name, scalarFormulas[index]!])),
    };
    const parts = {
      parameters: part(parameters),
      slots: new Map(Array.from(slots, ([name, slot]) => [name, part(slot)])),
    };
    return prepareElementwise(
      backend,
      updateCalls(decays ? config : { ...config, weightDecay: 0 }, parts, reads, values),
    );
  };
  const prepare = (sum: VectorSum, division: 'div' | 'mul'): Program => {
    const programs = ranges.map((range) => prepareRange(sum, division, range));
    if (programs.length === 1) return programs[0]!;
    return {
      run() {
        for (const program of programs) program.run();
      },
      dispose() {
        for (const program of programs) program.dispose();
      },
    };
  };
  const divided = new PreparedSums((sum) => prepare(sum, 'div'));
  const scaled = new PreparedSums((sum) => prepare(sum, 'mul'));
  const additions = new PreparedSums((sum) => prepareElementwise(backend, [additionCall(sum, vectorsOf(sum)[0]!)]));
  return {
    /** Returns a program that takes a step with the sum's mean over `samples`; it reads the divisor from the scalars. */
    programFor: (sum: VectorSum, samples: number): Program => (isPowerOfTwo(samples) ? scaled : divided).of(sum),
    /** Adds up the sum in its first vector, and returns that vector. */
    added(sum: VectorSum): Storage {
      const first = vectorsOf(sum)[0]!;
      if (first !== sum) additions.of(sum).run();
      return first;
    },
    dispose(): void {
      for (const programs of [divided, scaled, additions]) programs.dispose();
    },
  };
}

type Reads = ReturnType<typeof collectReads>;

/** Collects the vectors that formulas read. */
function collectReads() {
  const inputs: StridedView[] = [];
  const read = (storage: Storage, stride: number): Formula => input(inputs.push({ storage, strides: [stride] }) - 1);
  return {
    inputs,
    /** Reads element e of the storage for element e of the output. */
    each: (storage: Storage) => read(storage, 1),
    /** Reads the storage's single value for every element. */
    shared: (storage: Storage) => read(storage, 0),
  };
}

/** Returns the rule's own scalars at a step, counted from 1. */
function ruleScalars(config: OptimizerConfig, step: number): Readonly<Record<string, number>> {
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
export function stepCalls(config: OptimizerConfig, fixed: FixedStep): MapCall[] {
  checkArguments('stepCalls', [kinds.step, fixed]);
  const { step, samples, gradient, ...storages } = fixed;
  const reads = collectReads();
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

/** Everything that the next step depends on, besides parameters and config. */
export interface OptimizerState {
  /** Steps taken so far. */
  readonly step: number;
  readonly slots: Readonly<Record<string, Float32Array>>;
}

/** Takes optimizer steps, and keeps the state between steps. */
export interface Optimizer {
  /**
   * Updates the parameters with a gradient that is a sum over `samples` samples; divides it once by that count. Only
   * the first P values of each vector of `gradient` count. The vectors are added in the same pass over the parameters.
   */
  step(samples: number, gradient: VectorSum): void;
  /** The state itself, until the backend allocates. */
  view(): OptimizerState;
  /** Returns a copy of the state, for a checkpoint. */
  state(): OptimizerState;
  /** Restores a state. Throws one sentence, and changes nothing, if it belongs to another optimizer or size. */
  restore(state: OptimizerState): void;
  /** Frees the optimizer's own memory; parameters and gradients belong to the caller. */
  dispose(): void;
}

/**
 * Creates an optimizer that updates `parameters` [P], which the caller owns, in place.
 * @param layout which parameters decay, by default all: `parameterLayout(model)`
 * @param frozen number of leading parameters that keep their values and do not count for clipping; whole layers
 */
export function createOptimizer(
  backend: HostBackend,
  config: OptimizerConfig,
  parameters: Storage,
  layout: readonly DecayRange[] = [],
  frozen = 0,
): Optimizer {
  checkArguments('createOptimizer', [kinds.backend, backend], [kinds.storage, parameters], [kinds.ranges, layout]);
  const size = parameters.length;
  const slotNames = optimizerRule(config).slots(config);
  const slots = new Map(slotNames.map((name) => [name, backend.allocate(size)]));
  for (const slot of slots.values()) backend.view(slot).fill(0);
  const scalarNames = Object.keys(ruleScalars(config, 1));
  const scalarValues = new Float32Array(scalarNames.length + (config.clipNorm === undefined ? 1 : 2));
  const scalars = backend.allocate(scalarValues.length);
  const programs = stepPrograms(backend, config, {
    parameters,
    ranges: joined(layout, size, frozen),
    slots,
    scalarNames,
    scalars,
  });
  let stepsTaken = 0;
  const stateOf = (valuesOf: (slot: Storage) => Float32Array): OptimizerState => ({
    step: stepsTaken,
    slots: Object.fromEntries([...slots].map(([name, slot]) => [name, valuesOf(slot)])),
  });
  return {
    step(samples, gradient) {
      if (!Number.isSafeInteger(samples) || samples < 1) {
        throw new Error(`optimizer: expected a count of 1 or more samples, got ${samples}`);
      }
      const { clipNorm } = config;
      let sum = gradient;
      const clip: number[] = [];
      if (clipNorm !== undefined) {
        // The norm is known only after the whole sum is computed.
        const vector = programs.added(gradient);
        clip.push(clipFactor(backend.view(vector).subarray(frozen, size), samples, clipNorm));
        sum = vector;
      }
      const program = programs.programFor(sum, samples);
      stepsTaken++;
      scalarValues.set([...Object.values(ruleScalars(config, stepsTaken)), divisorOf(samples), ...clip]);
      backend.upload(scalars, scalarValues);
      program.run();
    },
    view: () => stateOf((slot) => backend.view(slot)),
    state: () => stateOf((slot) => backend.view(slot).slice()),
    restore(state) {
      checkState(state, slotNames, size);
      stepsTaken = state.step;
      for (const [name, slot] of slots) backend.upload(slot, state.slots[name]!);
    },
    dispose() {
      programs.dispose();
      for (const slot of slots.values()) backend.free(slot);
      backend.free(scalars);
    },
  };
}

function checkState(state: OptimizerState, slots: readonly string[], size: number): void {
  if (!Number.isSafeInteger(state.step) || state.step < 0) {
    throw new Error(`optimizer: expected a state with a whole number of steps, got ${state.step}`);
  }
  const names = Object.keys(state.slots);
  if (names.length !== slots.length || slots.some((name) => !names.includes(name))) {
    throw new Error(`optimizer: expected a state of [${slots.join(', ')}], got [${names.join(', ')}]`);
  }
  for (const name of names) {
    const length = state.slots[name]!.length;
    if (length !== size) throw new Error(`optimizer: expected ${size} values in ${name}, got ${length}`);
  }
}

/** Added to the norm, as in PyTorch, so that the factor stays finite if the gradient is zero. */
const epsilon = 1e-6;

/**
 * Returns the factor that scales the mean gradient to a norm of at most `clipNorm`: `min(1, clipNorm / (norm + 1e-6))`,
 * as in `torch.nn.utils.clip_grad_norm_`. `gradientSum` [P] is the sum over `samples` samples.
 */
export function clipFactor(gradientSum: Float32Array, samples: number, clipNorm: number): number {
  const norm = Math.sqrt(sumOfSquares(gradientSum)) / samples;
  return Math.min(1, clipNorm / (norm + epsilon));
}

/**
 * Sums in float64 over four chains, element i in chain i mod 4, added as (0 + 2) + (1 + 3). The order is fixed, so
 * every engine gives the same bits. In a single chain each addition would wait for the previous one.
 */
export function sumOfSquares(values: Float32Array): number {
  let [first, second, third, fourth] = [0, 0, 0, 0];
  const whole = values.length - (values.length % 4);
  for (let index = 0; index < whole; index += 4) {
    first += values[index]! * values[index]!;
    second += values[index + 1]! * values[index + 1]!;
    third += values[index + 2]! * values[index + 2]!;
    fourth += values[index + 3]! * values[index + 3]!;
  }
  // The remaining 0 to 3 elements go to the first three chains, in order.
  const [a = 0, b = 0, c = 0] = values.subarray(whole);
  return first + a * a + (third + c * c) + (second + b * b + fourth);
}
