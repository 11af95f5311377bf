/** The network of a live run: its settings, its data, and steps whose settings may change in between. */
import { permutation } from '@lockstep/data';
import {
  add,
  compile,
  crossEntropy,
  div,
  type HostBackend,
  matmul,
  mean,
  mul,
  normal,
  oneHot,
  randomStream,
  type Shape,
  sizeOf,
  softmax,
  sub,
  sum,
  type Tensor,
  uniform,
} from '@lockstep/tensor';
import {
  type Control,
  type Controls,
  choice,
  count,
  type LessonContext,
  type LiveDefinition,
  range,
  type Setting,
  type SettingsOf,
} from './chapter.ts';
import { digitsOf, type LabeledImages, pixelsPerDigit } from './digits.ts';
import { type ActivationName, activationFunctions, gradientPlan, type OptimizerChoice, Trainer } from './trainer.ts';
import { valuesOf } from './values.ts';

const activations = Object.keys(activationFunctions) as ActivationName[];

/** Two-dimensional data. */
const planeData = ['spirals', 'rings', 'quadrants'] as const;

/** The controls of live runs; each chapter offers some of them. */
export const liveControls = {
  data: choice('Data', [...planeData, 'digits'], 'spirals'),
  activation: choice('Activation', activations, 'relu'),
  depth: count({ label: 'Hidden layers', from: 1, to: 8, fallback: 2 }),
  width: count({ label: 'Neurons per layer', from: 1, to: 64, fallback: 16 }),
  // `default` is the range of PyTorch.
  start: choice('Initial weights', ['default', 'He', 'all zero', 'a hundredth', 'ten times'], 'default'),
  seed: count({ label: 'Seed', from: 1, to: 100, fallback: 1 }),
  optimizer: choice('Optimizer', ['sgd', 'momentum', 'adam'], 'sgd'),
  lr: range({ label: 'Learning rate', from: 0.0001, to: 10, fallback: 0.1, step: 0.05, scale: 'log' }),
  batch: count({ label: 'Samples in a batch', from: 1, to: 256, fallback: 32, scale: 'log' }),
  // Divides the logits.
  temperature: range({ label: 'Temperature', from: 0.05, to: 50, fallback: 1, step: 0.05, scale: 'log' }),
  loss: choice('Loss', ['cross-entropy', 'squared error'], 'cross-entropy'),
} as const satisfies Controls;

export type LiveName = keyof typeof liveControls;

export type LiveSettings = SettingsOf<typeof liveControls>;

/**
 * Settings that fix the parameters' shapes or first values: changing one begins a new curve. Others apply from the next
 * step on.
 */
const decidesStart: ReadonlySet<LiveName> = new Set(['data', 'depth', 'width', 'start', 'seed']);

/** Whether a change of this setting begins a new curve. */
export function beginsCurve(name: string): boolean {
  return decidesStart.has(name as LiveName);
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
  const controls: Record<string, Control> = {};
  const fixed: Record<string, Setting> = {};
  for (const name of Object.keys(liveControls) as LiveName[]) {
    const control = { ...liveControls[name], fallback: first[name] ?? liveControls[name].fallback } as Control;
    if (!names.includes(name)) fixed[name] = control.fallback;
    else if (name === 'data') controls[name] = { ...liveControls.data, names: planeData };
    else controls[name] = control;
  }
  return { caption, hint, controls, fixed };
}

interface LabeledValues {
  readonly labels: ArrayLike<number>;
  /** Writes the values of a sample into `into`, starting at `at`. */
  write(sample: number, into: Float32Array, at: number): void;
}

export interface LiveData {
  /** Number of values in a sample. */
  readonly inputs: number;
  readonly classes: number;
  readonly train: LabeledValues;
  readonly test: LabeledValues;
}

/** Number of training samples, and of test samples, in two-dimensional data. */
const planeSamples = 300;
const testDigits = 500;
/** Pixels along a side of a digit. */
export const pictureSide = 28;
/** Range of both coordinates of the samples. */
export const planeExtent = [-3.2, 3.2] as const;

/** Maps a class, 0 or 1, and two random numbers from 0 to 1 to a place in the plane. */
type Sampler = (label: number, along: number, across: number) => readonly [x: number, y: number];

const samplers: Readonly<Record<(typeof planeData)[number], Sampler>> = {
  spirals(label, along, across) {
    const radius = 0.3 + 2.6 * along;
    const angle = 1.5 * Math.PI * along + Math.PI * label;
    return [radius * Math.cos(angle) + 0.3 * (across - 0.5), radius * Math.sin(angle) + 0.3 * (across - 0.5)];
  },
  rings(label, along, across) {
    const radius = label === 0 ? 1.2 * Math.sqrt(across) : 1.9 + across;
    return [radius * Math.cos(2 * Math.PI * along), radius * Math.sin(2 * Math.PI * along)];
  },
  quadrants(label, along, across) {
    const [x, y] = [0.2 + 2.6 * along, 0.2 + 2.6 * across];
    const side = along * 997 - Math.floor(along * 997) < 0.5 ? 1 : -1;
    return [side * x, side * (label === 0 ? y : -y)];
  },
};

/** Creates the data of a live run. @throws Error if it is digits, and the context has none */
export function liveData(context: LessonContext, name: LiveSettings['data']): LiveData {
  if (name === 'digits') {
    const { train, test } = digitsOf(context, 'few');
    return {
      inputs: pixelsPerDigit,
      classes: 10,
      train: images(train, train.labels.length),
      test: images(test, testDigits),
    };
  }
  const random = randomStream(1);
  const half = (): LabeledValues => points(samplers[name], random);
  return { inputs: 2, classes: 2, train: half(), test: half() };
}

function points(sampler: Sampler, random: () => number): LabeledValues {
  const labels = Array.from({ length: planeSamples }, (_, sample) => sample % 2);
  const places = labels.map((label) => sampler(label, random(), random()));
  return { labels, write: (sample, into, at) => into.set(places[sample]!, at) };
}

function images({ pixels, labels }: LabeledImages, count: number): LabeledValues {
  return {
    labels: labels.subarray(0, count),
    write(sample, into, at) {
      for (let pixel = 0; pixel < pixelsPerDigit; pixel++)
        into[at + pixel] = pixels[sample * pixelsPerDigit + pixel]! / 255;
    },
  };
}

/** Returns all samples, one after another: [samples * inputs]. */
export function valuesOfAll({ labels, write }: LabeledValues, inputs: number): Float32Array {
  const values = new Float32Array(labels.length * inputs);
  for (let sample = 0; sample < labels.length; sample++) write(sample, values, sample * inputs);
  return values;
}

export class LiveNetwork {
  readonly #backend: HostBackend;
  readonly #data: LiveData;
  readonly #shapes: readonly Shape[];
  readonly #trainer: Trainer;
  readonly #nextSamples: (count: number) => number[];
  #settings: LiveSettings;

  constructor(backend: HostBackend, data: LiveData, settings: LiveSettings) {
    this.#backend = backend;
    this.#data = data;
    this.#settings = settings;
    this.#shapes = shapesOf(data, settings);
    this.#trainer = new Trainer(backend, optimizerOf(settings), firstWeights(backend, this.#shapes, settings));
    this.#nextSamples = sampleStream(data.train.labels.length, settings.seed);
  }

  get settings(): LiveSettings {
    return this.#settings;
  }

  /** Takes one optimizer step on the next batch. @returns the batch's mean cross-entropy before the step */
  step(): number {
    const { inputs, train } = this.#data;
    const plan = this.#trainer.plan('step', () => this.#gradientPlan());
    const samples = this.#nextSamples(this.#settings.batch);
    const values = new Float32Array(samples.length * inputs);
    for (const [row, sample] of samples.entries()) train.write(sample, values, row * inputs);
    const [x, labels] = plan.inputs.slice(this.#shapes.length);
    this.#backend.upload(x!.storage, values);
    this.#backend.upload(
      labels!.storage,
      Float32Array.from(samples, (sample) => train.labels[sample]!),
    );
    plan.run();
    const loss = this.#trainer.lossIn(plan.output);
    this.#trainer.step(plan.output);
    return loss;
  }

  /** Returns class probabilities [n * classes] for samples [n * inputs]. */
  probabilities(samples: Float32Array): Float32Array {
    const output = this.#computed('probabilities', samples, (parameters, x) =>
      softmax(logitsOf(parameters, x, this.#settings)),
    );
    return output.slice(0, (samples.length / this.#data.inputs) * this.#data.classes);
  }

  /** Returns the outputs of the hidden layers for samples [n * inputs], layer after layer: each [n * width]. */
  hidden(samples: Float32Array): readonly Float32Array[] {
    const { width, depth } = this.#settings;
    const output = this.#computed('hidden', samples, (parameters, x) =>
      layersOf(parameters, x, this.#settings).slice(0, -1),
    );
    const size = (samples.length / this.#data.inputs) * width;
    return Array.from({ length: depth }, (_, layer) => output.slice(layer * size, (layer + 1) * size));
  }

  /** Applies settings that do not affect the parameters. The optimizer keeps its state if its type stays the same. */
  change(settings: LiveSettings): void {
    this.#trainer.change(optimizerOf(settings));
    this.#settings = settings;
  }

  dispose(): void {
    this.#trainer.dispose();
  }

  /**
   * Computes a function of the parameters for samples [n * inputs].
   * @returns a view, valid until the next computation
   */
  #computed(name: string, samples: Float32Array, body: (parameters: Tensor[], x: Tensor) => Tensor | Tensor[]) {
    const shape = [samples.length / this.#data.inputs, this.#data.inputs];
    const plan = this.#trainer.plan(`${name} of ${shape}`, () => {
      const ofInputs = (...inputs: Tensor[]) => body(inputs.slice(0, -1), inputs.at(-1)!);
      return compile(this.#backend, ofInputs, [...this.#trainer.tensors(this.#shapes), shape]);
    });
    this.#backend.upload(plan.inputs.at(-1)!.storage, samples);
    plan.run();
    return this.#backend.view(plan.output);
  }

  /** Compiles the gradients of a batch's mean loss, and its mean cross-entropy, whichever loss is trained. */
  #gradientPlan() {
    const { batch, loss } = this.#settings;
    const { inputs, classes } = this.#data;
    const entropyOf = (logits: Tensor, labels: Tensor): Tensor => crossEntropy(logits, labels);
    const squaredErrorOf = (logits: Tensor, labels: Tensor): Tensor => {
      const difference = sub(softmax(logits), oneHot(labels, classes));
      return mean(sum(mul(difference, difference), { axes: [1] }));
    };
    const [trained, shown] = [loss === 'cross-entropy' ? entropyOf : squaredErrorOf, entropyOf].map(
      (lossOf) => (parameters: readonly Tensor[], given: readonly Tensor[]) =>
        lossOf(logitsOf(parameters, given[0]!, this.#settings), given[1]!),
    );
    const tensors = this.#trainer.tensors(this.#shapes);
    return gradientPlan(this.#backend, tensors, [[batch, inputs], [batch]], trained!, shown);
  }
}

/** Returns the shapes of weights [inputs, outputs] and biases [outputs], layer after layer. */
function shapesOf({ inputs, classes }: LiveData, { depth, width }: LiveSettings): Shape[] {
  const sizes = [inputs, ...new Array<number>(depth).fill(width), classes];
  return sizes.slice(1).flatMap((outputs, layer) => [[sizes[layer]!, outputs], [outputs]]);
}

function optimizerOf({ optimizer, lr }: LiveSettings): OptimizerChoice {
  return { type: optimizer, learningRate: lr };
}

const factors = { default: 1, 'a hundredth': 0.01, 'ten times': 10 } as const;

/**
 * Draws the first weights. Usual weights are uniform in ±1/sqrt(inputs), as in PyTorch's `nn.Linear`. He's weights are
 * normal with a deviation of sqrt(2/inputs), with biases of 0 (He et al. 2015, "Delving deep into rectifiers").
 */
function firstWeights(backend: HostBackend, shapes: readonly Shape[], { start, seed }: LiveSettings): Float32Array {
  const parts = shapes.map((shape, index) => {
    const inputs = shapes[index - (index % 2)]![0]!;
    const key = seed * 100 + index;
    if (start === 'all zero') return new Float32Array(sizeOf(shape));
    if (start === 'He') {
      const deviation = index % 2 === 0 ? Math.sqrt(2 / inputs) : 0;
      return valuesOf(backend, () => mul(normal(backend, shape, key), deviation));
    }
    const bound = factors[start] / Math.sqrt(inputs);
    return valuesOf(backend, () => uniform(backend, shape, key, { low: -bound, high: bound }));
  });
  return Float32Array.from(parts.flatMap((part) => [...part]));
}

/** Returns logits [rows, classes], divided by the temperature. */
function logitsOf(parameters: readonly Tensor[], x: Tensor, settings: LiveSettings): Tensor {
  return div(layersOf(parameters, x, settings).at(-1)!, settings.temperature);
}

/** Returns the output of each layer: hidden ones [rows, width], then the logits [rows, classes]. */
function layersOf(parameters: readonly Tensor[], x: Tensor, { activation }: LiveSettings): readonly Tensor[] {
  const layers: Tensor[] = [];
  for (let index = 0; index < parameters.length; index += 2) {
    const sums = add(matmul(layers.at(-1) ?? x, parameters[index]!), parameters[index + 1]!);
    layers.push(index + 2 === parameters.length ? sums : activationFunctions[activation](sums));
  }
  return layers;
}

/**
 * Returns a function that gives the next indices of samples, in the order that the seed determines, epoch after epoch.
 */
function sampleStream(samples: number, seed: number): (count: number) => number[] {
  let epoch = 0;
  let rest: number[] = [];
  return (count) => {
    while (rest.length < count) rest = [...rest, ...permutation(samples, seed, epoch++)];
    return rest.splice(0, count);
  };
}
