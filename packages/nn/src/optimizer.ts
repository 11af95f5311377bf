/** An optimizer at work on one flat parameter vector, in place and without allocating at any step. */
import {
  apply,
  type Formula,
  type HostBackend,
  input,
  type MapCall,
  type Storage,
  type StridedView,
  substituteInputs,
} from '@lockstep/tensor';
import { clipFactor } from './clip.ts';
import { learningRateAt, type OptimizerConfig, optimizerRule } from './optimizers/index.ts';

/** Everything that the next step depends on besides parameters and config. */
export interface OptimizerState {
  /** Steps taken so far. */
  readonly step: number;
  readonly slots: Readonly<Record<string, Float32Array>>;
}

export interface Optimizer {
  /** Moves the parameters by the gradient's sum over `samples` samples, divided once by that count. */
  step(samples: number): void;
  /** A copy, to be kept in a checkpoint. */
  state(): OptimizerState;
  /** Throws one sentence, and changes nothing, when the state is not of this optimizer and size. */
  restore(state: OptimizerState): void;
  /** Gives back what it allocated; parameters and gradient belong to the caller. */
  dispose(): void;
}

/**
 * `parameters` [P] are updated in place from `gradient` [P], which holds the sum over samples at each step; both stay
 * the caller's. Throws when their lengths differ.
 */
export function createOptimizer(
  backend: HostBackend,
  config: OptimizerConfig,
  parameters: Storage,
  gradient: Storage,
): Optimizer {
  const size = parameters.length;
  if (gradient.length !== size) {
    throw new Error(`optimizer: expected a gradient of ${size} values, as many as parameters, got ${gradient.length}`);
  }
  const rule = optimizerRule(config);
  const slotNames = rule.slots(config);
  const { clipNorm } = config;
  let stepsTaken = 0;

  /** The rule's own numbers, then the count of samples, then what the gradient is clipped with. */
  const numbersAt = (step: number, samples: number): number[] => {
    const own = Object.values(rule.numbers(config, { step, learningRate: learningRateAt(config, step - 1) }));
    const clip = clipNorm === undefined ? [] : [clipFactor(backend.view(gradient), samples, clipNorm)];
    return [...own, samples, ...clip];
  };
  const numberNames = Object.keys(rule.numbers(config, { step: 1, learningRate: config.learningRate }));
  const numberValues = new Float32Array(numberNames.length + (clipNorm === undefined ? 1 : 2));
  const numbers = backend.allocate(numberValues.length);
  const slots = new Map(slotNames.map((name) => [name, backend.allocate(size)]));
  for (const slot of slots.values()) backend.upload(slot, new Float32Array(size));

  const inputs: StridedView[] = [];
  const reads = (storage: Storage, stride: number): Formula => input(inputs.push({ storage, strides: [stride] }) - 1);
  const numberFormulas = Array.from(numberValues, (_, index) => reads(backend.slice(numbers, index, 1), 0));
  const [samplesFormula, clipFormula] = numberFormulas.slice(numberNames.length);
  const mean = apply('div', reads(gradient, 1), samplesFormula!);
  const formulas = rule.update(config, {
    parameters: reads(parameters, 1),
    gradient: clipFormula === undefined ? mean : apply('mul', mean, clipFormula),
    slots: Object.fromEntries(Array.from(slots, ([name, slot]) => [name, reads(slot, 1)])),
    numbers: Object.fromEntries(numberNames.map((name, index) => [name, numberFormulas[index]!])),
  });
  const program = backend.prepare([
    ...Array.from(slots, ([name, slot]) => mapCall(formulas[name]!, inputs, slot)),
    mapCall(formulas.parameters, inputs, parameters),
  ]);

  return {
    step(samples) {
      if (!Number.isSafeInteger(samples) || samples < 1) {
        throw new Error(`optimizer: expected a count of 1 or more samples, got ${samples}`);
      }
      stepsTaken++;
      numberValues.set(numbersAt(stepsTaken, samples));
      backend.upload(numbers, numberValues);
      program.run();
    },
    state: () => ({
      step: stepsTaken,
      slots: Object.fromEntries([...slots].map(([name, slot]) => [name, backend.view(slot).slice()])),
    }),
    restore(state) {
      checkState(state, slotNames, size);
      stepsTaken = state.step;
      for (const [name, slot] of slots) backend.upload(slot, state.slots[name]!);
    },
    dispose() {
      program.dispose();
      for (const slot of slots.values()) backend.free(slot);
      backend.free(numbers);
    },
  };
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
