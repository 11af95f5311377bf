/** What a person may change in a live run, and what a chapter leaves as it is. */
import type { ActivationName } from '../activation.ts';
import { type Controls, choice, count, range, type Setting } from '../controls.ts';

const activations = [
  'none',
  'relu',
  'leakyRelu',
  'gelu',
  'sigmoid',
  'tanh',
] as const satisfies readonly ActivationName[];

/** The controls of live runs; each chapter has some of them. */
export const liveControls = {
  data: choice('Data', ['spirals', 'rings', 'quadrants', 'digits'], 'spirals'),
  activation: choice('Activation', activations, 'relu'),
  depth: count({ label: 'Hidden layers', from: 1, to: 8, fallback: 2 }),
  width: count({ label: 'Neurons in each', from: 1, to: 64, fallback: 16 }),
  start: choice('First weights', ['usual', 'He', 'all zero', 'a hundredth', 'ten times'], 'usual'),
  seed: count({ label: 'Seed', from: 1, to: 100, fallback: 1 }),
  optimizer: choice('Optimizer', ['sgd', 'momentum', 'adam'], 'sgd'),
  lr: range({ label: 'Learning rate', from: 0.0001, to: 10, fallback: 0.1, step: 0.05, scale: 'log' }),
  batch: count({ label: 'Samples in a batch', from: 1, to: 256, fallback: 32, scale: 'log' }),
  temperature: range({ label: 'Temperature', from: 0.05, to: 50, fallback: 1, step: 0.05, scale: 'log' }),
  loss: choice('Loss', ['cross-entropy', 'squared error'], 'cross-entropy'),
} as const satisfies Controls;

export type LiveName = keyof typeof liveControls;

export interface LiveSettings {
  readonly data: (typeof liveControls.data.names)[number];
  readonly activation: ActivationName;
  readonly depth: number;
  readonly width: number;
  /** What the first weights are drawn from, beside PyTorch's usual range. */
  readonly start: (typeof liveControls.start.names)[number];
  readonly seed: number;
  readonly optimizer: (typeof liveControls.optimizer.names)[number];
  readonly lr: number;
  readonly batch: number;
  /** Divides the logits in the loss. */
  readonly temperature: number;
  readonly loss: (typeof liveControls.loss.names)[number];
}

/** What decides the parameters or their first values: changing it begins another curve. The rest acts from the next step on. */
const decidesStart: ReadonlySet<LiveName> = new Set(['data', 'depth', 'width', 'start', 'seed']);

/** Whether a change of this setting begins another curve. */
export function beginsCurve(name: string): boolean {
  return decidesStart.has(name as LiveName);
}

/** The live run of a chapter. */
export interface LiveDefinition {
  readonly caption: string;
  /** What to try, and what is seen then. */
  readonly hint: string;
  /** By names of `LiveSettings`. */
  readonly controls: Controls;
  /** What no control of the chapter changes. */
  readonly fixed: Readonly<Record<string, Setting>>;
}

interface LiveOptions {
  readonly caption: string;
  readonly hint: string;
  readonly names: readonly LiveName[];
  /** Other values to begin with than those of `liveControls`. */
  readonly first?: Partial<LiveSettings>;
}

/** Two-dimensional data can be chosen where `names` has `data`; digits are given by `first` alone. */
export function defineLive({ caption, hint, names, first = {} }: LiveOptions): LiveDefinition {
  const settings = Object.entries(liveControls).map(([name, control]) => ({
    name: name as LiveName,
    control: { ...control, fallback: first[name as LiveName] ?? control.fallback },
  }));
  const offered = settings.filter(({ name }) => names.includes(name));
  const fixed = settings.filter(({ name }) => !names.includes(name));
  const controls = Object.fromEntries(offered.map(({ name, control }) => [name, control])) as Controls;
  const { data } = controls;
  return {
    caption,
    hint,
    controls:
      data?.kind === 'choice'
        ? { ...controls, data: { ...data, names: data.names.filter((name) => name !== 'digits') } }
        : controls,
    fixed: Object.fromEntries(fixed.map(({ name, control }) => [name, control.fallback])),
  };
}
