/** An optimizer at work on one flat parameter vector, in place and without allocating at any step. */
import { compile, div, fromStorage, type HostBackend, type Storage } from '@lockstep/tensor';
import { type OptimizerConfig, optimizerRule } from './optimizers/index.ts';

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
  let stepsTaken = 0;
  const numberNames = Object.keys(rule.numbers(config, 1));
  /** The rule's numbers, then the count of samples. */
  const numberValues = new Float32Array(numberNames.length + 1);
  const numbers = backend.allocate(numberValues.length);
  const slots = new Map(rule.slots.map((name) => [name, backend.allocate(size)]));
  for (const slot of slots.values()) backend.upload(slot, new Float32Array(size));

  const vectors = [parameters, gradient, ...slots.values()];
  const plan = compile(
    backend,
    (parameterValues, gradientSum, ...rest) => {
      const slotValues = rest.slice(0, slots.size);
      const scalars = rest.slice(slots.size);
      const result = rule.update(config, {
        parameters: parameterValues!,
        gradient: div(gradientSum!, scalars.at(-1)!),
        slots: Object.fromEntries(rule.slots.map((name, index) => [name, slotValues[index]!])),
        numbers: Object.fromEntries(numberNames.map((name, index) => [name, scalars[index]!])),
      });
      return [result.parameters, ...rule.slots.map((name) => result.slots[name]!)];
    },
    [
      ...vectors.map((storage) => fromStorage(backend, storage, [size])),
      ...Array.from(numberValues, (_, index) => fromStorage(backend, backend.slice(numbers, index, 1), [])),
    ],
    { into: [parameters, ...slots.values()] },
  );

  return {
    step(samples) {
      if (!Number.isSafeInteger(samples) || samples < 1) {
        throw new Error(`optimizer: expected a count of 1 or more samples, got ${samples}`);
      }
      stepsTaken++;
      const values = rule.numbers(config, stepsTaken);
      numberNames.forEach((name, index) => {
        numberValues[index] = values[name]!;
      });
      numberValues[numberNames.length] = samples;
      backend.upload(numbers, numberValues);
      plan.run();
    },
    state: () => ({
      step: stepsTaken,
      slots: Object.fromEntries([...slots].map(([name, slot]) => [name, backend.view(slot).slice()])),
    }),
    restore(state) {
      checkState(state, rule.slots, size);
      stepsTaken = state.step;
      for (const [name, slot] of slots) backend.upload(slot, state.slots[name]!);
    },
    dispose() {
      plan.dispose();
      for (const slot of slots.values()) backend.free(slot);
      backend.free(numbers);
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
