/** Settings of a live run, each of which a chapter either offers as a control or fixes. */
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

/** The controls of live runs; each chapter offers some of them. */
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
  /** Distribution of the first weights; `usual` is PyTorch's range. */
  readonly start: (typeof liveControls.start.names)[number];
  readonly seed: number;
  readonly optimizer: (typeof liveControls.optimizer.names)[number];
  readonly lr: number;
  readonly batch: number;
  /** Divides the logits. */
  readonly temperature: number;
  readonly loss: (typeof liveControls.loss.names)[number];
}

/**
 * Settings that fix the parameters' shapes or first values: changing one begins a new curve. Others apply from the next
 * step on.
 */
const decidesStart: ReadonlySet<LiveName> = new Set(['data', 'depth', 'width', 'start', 'seed']);

/** Whether a change of this setting begins a new curve. */
export function beginsCurve(name: string): boolean {
  return decidesStart.has(name as LiveName);
}

/** The live run of a chapter. */
export interface LiveDefinition {
  readonly caption: string;
  /** Suggests what to try, and says what can be seen. */
  readonly hint: string;
  /** Keyed by names of `LiveSettings`. */
  readonly controls: Controls;
  /** Values of the settings that no control of the chapter changes. */
  readonly fixed: Readonly<Record<string, Setting>>;
}

interface LiveOptions {
  readonly caption: string;
  readonly hint: string;
  readonly names: readonly LiveName[];
  /** Initial values that differ from the fallbacks of `liveControls`. */
  readonly first?: Partial<LiveSettings>;
}

/** Defines a live run. If `names` has `data`, the user can choose two-dimensional data; only `first` can set digits. */
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
