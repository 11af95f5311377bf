/** An optimizer at work on one flat parameter vector, in place. */
import {
  apply,
  type Formula,
  type HostBackend,
  input,
  type MapCall,
  type Program,
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
  /** A copy, for a checkpoint. */
  state(): OptimizerState;
  /** Throws one sentence, and changes nothing, when the state is not of this optimizer and size. */
  restore(state: OptimizerState): void;
  /** Frees what it allocated; parameters and gradient belong to the caller. */
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
  const slotNames = optimizerRule(config).slots(config);
  const slots = new Map(slotNames.map((name) => [name, backend.allocate(size)]));
  for (const slot of slots.values()) backend.upload(slot, new Float32Array(size));
  const scalarNames = Object.keys(ruleScalars(config, 1));
  const scalarValues = new Float32Array(scalarNames.length + (config.clipNorm === undefined ? 1 : 2));
  const scalars = backend.allocate(scalarValues.length);
  const program = prepareStep(backend, config, { parameters, gradient, slots, scalarNames, scalars });
  let stepsTaken = 0;
  return {
    step(samples) {
      if (!Number.isSafeInteger(samples) || samples < 1) {
        throw new Error(`optimizer: expected a count of 1 or more samples, got ${samples}`);
      }
      stepsTaken++;
      const { clipNorm } = config;
      const clip = clipNorm === undefined ? [] : [clipFactor(backend.view(gradient), samples, clipNorm)];
      scalarValues.set([...Object.values(ruleScalars(config, stepsTaken)), samples, ...clip]);
      backend.upload(scalars, scalarValues);
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
      backend.free(scalars);
    },
  };
}

/** The rule's own scalars at a step, counted from 1. */
function ruleScalars(config: OptimizerConfig, step: number): Readonly<Record<string, number>> {
  return optimizerRule(config).scalars(config, { step, learningRate: learningRateAt(config, step - 1) });
}

interface StepStorages {
  readonly parameters: Storage;
  readonly gradient: Storage;
  readonly slots: ReadonlyMap<string, Storage>;
  readonly scalarNames: readonly string[];
  /** Those of `scalarNames`, then the count of samples, then the factor that clips, where the config asks for it. */
  readonly scalars: Storage;
}

/** The rule's formulas as calls, slots first and parameters last, on the gradient's mean, clipped. */
function prepareStep(
  backend: HostBackend,
  config: OptimizerConfig,
  { parameters, gradient, slots, scalarNames, scalars }: StepStorages,
): Program {
  const inputs: StridedView[] = [];
  const read = (storage: Storage, stride: number): Formula => input(inputs.push({ storage, strides: [stride] }) - 1);
  const scalarFormulas = Array.from({ length: scalars.length }, (_, index) =>
    read(backend.slice(scalars, index, 1), 0),
  );
  const [samples, clip] = scalarFormulas.slice(scalarNames.length);
  const mean = apply('div', read(gradient, 1), samples!);
  const formulas = optimizerRule(config).update(config, {
    parameters: read(parameters, 1),
    gradient: clip === undefined ? mean : apply('mul', mean, clip),
    slots: Object.fromEntries(Array.from(slots, ([name, slot]) => [name, read(slot, 1)])),
    scalars: Object.fromEntries(scalarNames.map((name, index) => [name, scalarFormulas[index]!])),
  });
  return backend.prepare([
    ...Array.from(slots, ([name, slot]) => mapCall(formulas[name]!, inputs, slot)),
    mapCall(formulas.parameters, inputs, parameters),
  ]);
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
