/** An optimizer that updates one flat parameter vector in place. */
import type { HostBackend, Storage, VectorSum } from '@lockstep/tensor';
import { clipFactor } from './clip.ts';
import { type OptimizerConfig, optimizerRule } from './optimizers/index.ts';
import { divisorOf, ruleScalars, StepPrograms } from './step-programs.ts';

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
  /** Returns a copy of the state, for a checkpoint. */
  state(): OptimizerState;
  /** Restores a state. Throws one sentence, and changes nothing, if it belongs to another optimizer or size. */
  restore(state: OptimizerState): void;
  /** Frees the optimizer's own memory; parameters and gradients belong to the caller. */
  dispose(): void;
}

/** Creates an optimizer that updates `parameters` [P], which the caller owns, in place. */
export function createOptimizer(backend: HostBackend, config: OptimizerConfig, parameters: Storage): Optimizer {
  const size = parameters.length;
  const slotNames = optimizerRule(config).slots(config);
  const slots = new Map(slotNames.map((name) => [name, backend.allocate(size)]));
  for (const slot of slots.values()) backend.view(slot).fill(0);
  const scalarNames = Object.keys(ruleScalars(config, 1));
  const scalarValues = new Float32Array(scalarNames.length + (config.clipNorm === undefined ? 1 : 2));
  const scalars = backend.allocate(scalarValues.length);
  const programs = new StepPrograms(backend, config, { parameters, slots, scalarNames, scalars });
  let stepsTaken = 0;
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
        clip.push(clipFactor(backend.view(vector).subarray(0, size), samples, clipNorm));
        sum = vector;
      }
      const program = programs.programFor(sum, samples);
      stepsTaken++;
      scalarValues.set([...Object.values(ruleScalars(config, stepsTaken)), divisorOf(samples), ...clip]);
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
