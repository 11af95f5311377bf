/** Opens a model file for use: predictions, and evaluations on labeled samples. */
import {
  createConfusionEvaluator,
  createEvaluator,
  type DatasetEvaluator,
  type LabeledSamples,
  type Model,
  restoreValues,
  type SampleValues,
  type Standardization,
  standardizeValues,
} from '@lockstep/nn';
import { type HostBackend, openBackend } from '@lockstep/tensor';
import { type Prediction, Predictor } from './predictor.ts';
import { maxModelFileBytes, readStoredModel, type StoredModel } from './stored-model.ts';

/** What a model file may not say itself. */
export interface LoadModelOptions {
  /** The model of a file that has no layer list, such as one of PyTorch; a file that has one must have this one. */
  readonly model?: Model | undefined;
}

/** How well a model does on labeled samples. */
export interface ModelEvaluation {
  /** Mean over the samples: of the cross-entropy, in nats, or of the squared error, of values as the run standardized them. */
  readonly loss: number;
  /** Fraction of the samples that were classified correctly, 0 to 1; null if targets are values, or if the loss is not finite. */
  readonly accuracy: number | null;
  /** Part of the targets' variance that is explained; null where targets are classes, or do not vary. */
  readonly r2: number | null;
  /** Root of the mean squared error, in the unit of the values that were given; null where targets are classes. */
  readonly rmse: number | null;
  /**
   * Samples by class, [classes][classes]: one row for each true class, one column for each predicted one. Null where targets
   * are values, or there are more than 1000 classes.
   */
  readonly confusion: readonly (readonly number[])[] | null;
  /** The wrong predictions of the highest probability, in falling order; `index` says which sample. None of values. */
  readonly topErrors: readonly {
    readonly index: number;
    readonly label: number;
    readonly predicted: number;
    readonly probability: number;
  }[];
}

const topErrorCount = 10;

/**
 * A model with its weights on the tensor engine.
 * Its memory is the caller's to give back, with `dispose`.
 */
export class LoadedModel {
  /** Name, shape of the input, and layers. */
  readonly architecture: Model;
  /** One name for each class, in the order of the scores; none where the model gives values. */
  readonly classes: readonly string[];
  /** One name for each value that the model gives; none where it scores classes. */
  readonly values: readonly string[];
  /** How the values were standardized in training; undefined where they were learned as they are. */
  readonly standardization: Standardization | undefined;
  /** [height, width, channels] of an image, or the shape of another sample. */
  readonly sampleShape: StoredModel['sampleShape'];
  /** How the values of a sample are read. */
  readonly scaling: StoredModel['scaling'];
  /** How a file becomes a sample; undefined where the model learned from values. */
  readonly reading: StoredModel['reading'];
  /** Of the run that trained the model; undefined where the file does not say it. */
  readonly seed: number | undefined;
  /** SHA-256 of the weights: float32, little-endian, in model order. */
  readonly weightsSha256: string;
  readonly #backend: HostBackend;
  readonly #weights: Float32Array;
  readonly #predictor: Predictor;

  /** @param backend with which no other thread computes */
  constructor(stored: StoredModel, backend: HostBackend) {
    this.architecture = stored.model;
    const { type, names } = stored.targets;
    this.classes = type === 'classes' ? names : [];
    this.values = type === 'values' ? names : [];
    this.standardization = stored.targets.standardization;
    this.sampleShape = stored.sampleShape;
    this.scaling = stored.scaling;
    this.reading = stored.reading;
    this.seed = stored.metadata['seed'] === undefined ? undefined : Number(stored.metadata['seed']);
    this.weightsSha256 = stored.weightsSha256;
    this.#backend = backend;
    this.#weights = stored.weights;
    this.#predictor = new Predictor(backend, stored);
  }

  /**
   * The class of each sample. A sample gets the same bits alone as among others.
   * @param samples [count, ...sampleShape], one after another: images row by row, the channels of a pixel together; bytes
   * where the model was trained on bytes, else floats, as they were then
   * @throws Error where samples are of another type, where their length is not a multiple of a sample's, where the model
   * gives values, or after `dispose`
   */
  predict(samples: SampleValues): Promise<Prediction[]> {
    return this.#predictor.predict(samples);
  }

  /**
   * What a model of values gives for each sample, in the order of `values` and in the unit of those that it learned.
   * @param samples as those of `predict`
   * @throws Error as `predict`, and where the model scores classes
   */
  predictValues(samples: SampleValues): Promise<Float32Array[]> {
    return this.#predictor.predictValues(samples);
  }

  /**
   * Loss, accuracy and errors on labeled samples; loss and accuracy have the bits of a run's own evaluation. Values are as
   * they were given, or standardized by what `targets` says.
   * @throws Error where samples and labels do not fit each other or the model, or after `dispose`
   */
  async evaluate(data: LabeledSamples): Promise<ModelEvaluation> {
    this.#predictor.requireOpen();
    this.#requireFit(data);
    const alike = likeTraining(data, this.standardization);
    const measured = await this.#run(createEvaluator(this.#backend, this.architecture, alike));
    if (data.targets.type === 'values') return { ...measured, confusion: null, topErrors: [] };
    const confusions = createConfusionEvaluator(this.#backend, this.architecture, data, topErrorCount);
    const { counts, topErrors } = await this.#run(confusions);
    const { length } = this.classes;
    const rowOf = (label: number): number[] => [...counts!.subarray(label * length, (label + 1) * length)];
    return { ...measured, confusion: counts && this.classes.map((_, label) => rowOf(label)), topErrors };
  }

  /** Gives the engine's memory back; the model cannot be used after that. */
  dispose(): void {
    this.#predictor.dispose();
  }

  async #run<Result>(evaluator: DatasetEvaluator<Result>): Promise<Result> {
    try {
      return await evaluator.evaluate(this.#weights, nextTurn);
    } finally {
      evaluator.dispose();
    }
  }

  #requireFit({ samples, count, targets }: LabeledSamples): void {
    const expected = count * this.#predictor.sampleSize;
    if (count === 0 || samples.length !== expected) {
      const wanted = `${count} samples of ${this.#predictor.sampleSize} values`;
      throw new Error(`evaluate: expected ${wanted}, got ${samples.length} values`);
    }
    this.#predictor.requireType('evaluate', samples);
    const isFit = targets.type === 'classes' ? this.classes.length > 0 : this.values.length > 0;
    if (!isFit) throw new Error(`evaluate: expected targets that the model gives, got ${targets.type}`);
    const numbers = targets.type === 'classes' ? targets.labels : targets.values;
    const perSample = targets.type === 'classes' ? 1 : this.values.length;
    if (numbers.length !== count * perSample) {
      throw new Error(`evaluate: expected ${count * perSample} targets, ${perSample} a sample, got ${numbers.length}`);
    }
    if (targets.type === 'values') return;
    const wrong = targets.labels.find((label) => label >= this.classes.length);
    if (wrong !== undefined)
      throw new Error(`evaluate: expected labels below ${this.classes.length}, the model's classes, got ${wrong}`);
    this.#requireNumbering(targets.names ?? []);
  }

  /** Other names are welcome, such as numbers; a name that the model has as well stands for the same class. */
  #requireNumbering(names: readonly string[]): void {
    const numbers = new Map(this.classes.map((name, index) => [name, index]));
    const at = names.findIndex((name, index) => (numbers.get(name) ?? index) !== index);
    if (at < 0) return;
    const name = JSON.stringify(names[at]);
    throw new Error(
      `evaluate: expected ${name} as class ${numbers.get(names[at]!)}, as the model has it, got it as class ${at}: give the classes of the model`,
    );
  }
}

/**
 * Opens a model for `predict` and `evaluate`, on the CPU.
 * It computes in WebAssembly where that has SIMD, else in plain JavaScript.
 *
 * @param source a file's name, in Node, or a file's bytes, anywhere: safetensors as `--save` writes, or as PyTorch
 * @throws Error with one sentence where the file cannot be read, is damaged, or does not say which model it is of
 */
export async function loadModel(source: string | Uint8Array, options: LoadModelOptions = {}): Promise<LoadedModel> {
  const stored = await readSource(source, options.model);
  const { backend } = await openBackend('auto');
  return new LoadedModel(stored, backend);
}

async function readSource(source: string | Uint8Array, given: Model | undefined): Promise<StoredModel> {
  if (typeof source !== 'string') return readStoredModel(source, given);
  // Only Node has files: a page that loads bytes never gets here.
  const { readRegularFile, shownPath } = await import('@lockstep/files');
  const bytes = readRegularFile(source, maxModelFileBytes);
  try {
    return readStoredModel(bytes, given);
  } catch (error) {
    throw new Error(`${shownPath(source)}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** The same samples, with values that are standardized as in training. */
function likeTraining(data: LabeledSamples, standardization: Standardization | undefined): LabeledSamples {
  const { targets } = data;
  if (targets.type === 'classes') return data;
  const { mean, deviation } = targets.standardization ?? { mean: 0, deviation: 1 };
  const like = standardization ?? { mean: 0, deviation: 1 };
  if (mean === like.mean && deviation === like.deviation) return data;
  const values = standardizeValues(restoreValues(targets.values, targets.standardization), standardization);
  return { ...data, targets: { type: 'values', values, standardization } };
}

/** Lets events have their turn between two slices of an evaluation. */
function nextTurn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve));
}
