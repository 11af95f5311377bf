/** Trained models: as self-describing files, and loaded for predictions and evaluations. */
import { checkKinds, libraryKinds } from '@lockstep/command/options';
import {
  argumentKinds,
  checkArguments,
  type Dataset,
  type SampleField,
  type SampleValues,
  type Standardization,
  sizeOfField,
  type TargetField,
  targetWords,
  tokenNames,
  type Vocabulary,
  valueTargets,
} from '@lockstep/data';
import type { OpenOptions } from '@lockstep/data/node';
import { encodeRows, encodeRowTexts, type FeatureColumn, type TableRow, type TextColumn } from '@lockstep/data/readers';
import { shownValue, significant } from '@lockstep/data/shown';
import {
  builtInModels,
  continueText,
  createConfusionEvaluator,
  createEvaluator,
  createGeneration,
  createPrediction,
  type DatasetEvaluator,
  describeModel,
  everyLayer,
  fromTorch,
  initialize,
  inputSize,
  largestScore,
  type Metrics,
  type Model,
  type ModelDescription,
  parameterCount,
  parseDescription,
  probabilitiesOf,
  promptTokens,
  readModelFile,
  readTensors,
  restoreValues,
  sampleSize,
  standardizeValues,
  writeModelFile,
} from '@lockstep/nn';
import { writeOnnx } from '@lockstep/onnx';
import { bytesOf } from '@lockstep/protocol';
import { checkpointFormat, namingOption, shortHash, version } from '@lockstep/record';
import { type HostBackend, openBackend, type Storage } from '@lockstep/tensor';
import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex } from '@noble/hashes/utils.js';
import type { Prepared } from './prepared.ts';
import { generateOptions } from './writing.ts';

export interface StoredModel extends ModelDescription {
  /** [parameters], in model order. */
  readonly weights: Float32Array;
  /** SHA-256 of the weights, as in a report. */
  readonly weightsSha256: string;
  /** All metadata of the file. */
  readonly metadata: Readonly<Record<string, string>>;
}

/** Maximum size of a file: the largest number of parameters a model may have, and a long header. */
export const maxModelFileBytes = 2 ** 30 + 2 ** 20;

/**
 * @param bytes of a safetensors file that a run or PyTorch saved
 * @param given the model, if the file may lack a layer list
 * @throws Error with one sentence if the file is not a model file, or its weights do not match its model or hash
 */
export function readStoredModel(bytes: Uint8Array, given?: Model): StoredModel {
  const { metadata } = readTensors(bytes);
  refuseCheckpoint(metadata);
  const description = parseDescription(metadata, given);
  const weights = readModelFile(description.model, bytes);
  const weightsSha256 = bytesToHex(sha256(bytesOf(weights)));
  const { weightsSha256: expected } = metadata;
  if (expected !== undefined && expected !== weightsSha256) {
    const [claimed, got] = [expected, weightsSha256].map(shortHash);
    throw new Error(`model file: expected weights with SHA-256 ${claimed}, got ${got}: the file was changed`);
  }
  return { ...description, weights, weightsSha256, metadata };
}

export const modelFormats = ['safetensors', 'onnx'] as const;
export type ModelFormat = (typeof modelFormats)[number];

interface ModelSnapshot {
  readonly prepared: Pick<Prepared, 'model' | 'train' | 'reading' | 'config'>;
  readonly weights: Float32Array<ArrayBuffer>;
  readonly weightsSha256: string;
  /** Number of steps taken by the weights. */
  readonly steps: number;
}

export function modelFileOf({ weights, ...snapshot }: ModelSnapshot, format: ModelFormat) {
  return (format === 'onnx' ? writeOnnx : writeModelFile)(snapshot.prepared.model, weights, metadataOf(snapshot));
}

/** Metadata of the file, besides model and weights. */
export function metadataOf({ prepared, weightsSha256, steps }: Omit<ModelSnapshot, 'weights'>): Record<string, string> {
  const { train, reading, config } = prepared;
  const { seed, initSha256 } = config;
  const origin = { lockstep: version, seed, steps, weightsSha256, initSha256 };
  return describeModel({ ...train, reading }, origin);
}

/** ONNX if the file name ends in `.onnx`, otherwise safetensors. */
export function modelFormatOf(file: string): ModelFormat {
  return file.toLowerCase().endsWith('.onnx') ? 'onnx' : 'safetensors';
}

type InitialWeights = Pick<StoredModel, 'weights' | 'weightsSha256'>;

/**
 * Reads the initial weights of a run.
 * @param reading how the run reads its data
 * @throws ConfigurationError if the file has none, or those of another model or vocabulary
 */
export function readInitialWeights(bytes: Uint8Array, model: Model, reading?: StoredModel['reading']): InitialWeights {
  return namingOption('initialWeights', () => {
    const { weights, weightsSha256, reading: own } = readStoredModel(bytes, model);
    if (reading?.type === 'text' && own?.type === 'text') requireVocabulary(own.vocabulary, reading.vocabulary);
    requireFinite(weights);
    return { weights, weightsSha256 };
  });
}

/** The initial weights of a run that takes some layers from a file. */
interface TransferredWeights extends InitialWeights {
  /** Names of the layers from the file, and of those that the seed drew, such as `0 conv2d`. */
  readonly transfer: { readonly taken: readonly string[]; readonly drawn: readonly string[] };
}

/**
 * Takes the layers whose parameters the file has with the same names and shapes, and draws the others by the seed. An
 * embedding is drawn as well if the tokens of the file's texts are others.
 * @param reading how the run reads its data
 * @throws ConfigurationError if the file has no such layer
 */
export function transferWeights(
  bytes: Uint8Array,
  model: Model,
  seed: number,
  reading?: StoredModel['reading'],
): TransferredWeights {
  return namingOption('initialWeights', () => {
    const { tensors, metadata } = readTensors(bytes);
    refuseCheckpoint(metadata);
    const own = metadata['reading'] === undefined ? undefined : parseDescription(metadata).reading;
    const hasOtherTokens =
      own?.type === 'text' &&
      reading?.type === 'text' &&
      JSON.stringify(own.vocabulary) !== JSON.stringify(reading.vocabulary);
    const given = new Map(tensors.map((tensor) => [tensor.name, tensor]));
    const weights = initialize(model, seed);
    const [taken, drawn]: [string[], string[]] = [[], []];
    for (const { path, layer, parameters } of everyLayer(model)) {
      if (parameters.length === 0) continue;
      const fits =
        !(hasOtherTokens && layer.type === 'embedding') &&
        parameters.every(({ name, torch }) => given.get(name)?.shape.join() === torch.shape.join());
      (fits ? taken : drawn).push(`${path} ${layer.type}`);
      if (!fits) continue;
      for (const { name, torch, offset } of parameters) weights.set(fromTorch(given.get(name)!.values, torch), offset);
    }
    if (taken.length === 0) throw new Error('expected a layer whose shape fits the model, got none');
    requireFinite(weights);
    return { weights, weightsSha256: bytesToHex(sha256(bytesOf(weights))), transfer: { taken, drawn } };
  });
}

/**
 * Returns the model of a file for other data: a built-in model by its name, otherwise its layers, of which the last one
 * gets as many outputs as the data need.
 * @throws ConfigurationError if the file has no layers
 */
export function modelToTransfer(bytes: Uint8Array, outputs: number): string {
  return namingOption('initialWeights', () => {
    const { metadata } = readTensors(bytes);
    refuseCheckpoint(metadata);
    const { model } = parseDescription(metadata);
    if (builtInModels.includes(model.name)) return model.name;
    const last = model.layers.at(-1)!;
    const layers = last.type === 'dense' ? model.layers.with(-1, { ...last, units: outputs }) : model.layers;
    return JSON.stringify({ ...model, layers });
  });
}

function refuseCheckpoint(metadata: Readonly<Record<string, string>>): void {
  if (metadata['format'] !== checkpointFormat) return;
  throw new Error('expected a model file from --save, got a checkpoint: resume its run with --save to get one');
}

/** @throws Error with one sentence unless the text's tokens are numbered as the model's */
function requireVocabulary(own: Vocabulary, ofText: Vocabulary): void {
  if (JSON.stringify(own) === JSON.stringify(ofText)) return;
  const [names, others] = [own, ofText].map(tokenNames) as [readonly string[], readonly string[]];
  const at = names.findIndex((name, token) => name !== others[token]);
  if (at < 0) throw new Error('expected a model with the byte pairs of the text, got one with others');
  const [got, expected] = [names[at], others[at]].map((name) => JSON.stringify(name));
  throw new Error(`expected a model whose token ${at} is ${expected}, as in the text, got ${got}`);
}

/** @throws Error with one sentence if training could not go on from the weights */
function requireFinite(weights: Float32Array): void {
  const wrong = weights.find((weight) => !Number.isFinite(weight));
  if (wrong !== undefined) throw new Error(`expected finite weights, got ${wrong}`);
}

/** Facts that a model file may lack. */
export interface LoadModelOptions {
  /** The model, for a file without a layer list, such as PyTorch's; a file with a layer list must match it. */
  readonly model?: Model | undefined;
}

/** The quality of a model on labeled samples. */
export interface ModelEvaluation {
  /** Mean over the samples of the cross-entropy, in nats, or of the squared error of standardized values. */
  readonly loss: number;
  /** Fraction of the samples classified correctly, 0 to 1; null if targets are values, or the loss is not finite. */
  readonly accuracy: number | null;
  /** Fraction of the targets' variance that the model explains; null if targets are classes, or constant. */
  readonly r2: number | null;
  /** Root mean squared error in the unit of the given values; null if targets are classes. */
  readonly rmse: number | null;
  /** Metrics of each class or value, and over all of them; null if the loss is not finite. */
  readonly metrics: Metrics | null;
  /**
   * Confusion matrix, [classes][classes]: one row for each true class, one column for each predicted one. Null if
   * targets are values, or there are more than 1000 classes.
   */
  readonly confusion: readonly (readonly number[])[] | null;
  /** The most confident wrong predictions, most confident first; `index` identifies the sample. Empty for values. */
  readonly topErrors: readonly {
    readonly index: number;
    readonly label: number;
    readonly predicted: number;
    readonly probability: number;
  }[];
}

/** A classification of one sample. */
export interface Prediction {
  /** The name of the class with the largest score; the first one on a tie. */
  readonly class: string;
  /** The index of the class, from 0. */
  readonly index: number;
  /** The softmax probability of the class, 0 to 1. */
  readonly probability: number;
  /** The logits, [classes]. */
  readonly scores: Float32Array;
  /** The softmax of the scores, [classes]. */
  readonly probabilities: readonly number[];
}

/** Predicted values of one row, by name. */
export interface ValuePrediction {
  readonly values: Readonly<Record<string, number>>;
}

/** How `generate` continues a prompt; each setting has a default. */
export interface GenerateOptions {
  /** The beginning of the text, which the model continues; by default empty. */
  readonly prompt?: string | undefined;
  /** Number of tokens to write, of at least 1; by default 500. */
  readonly length?: number | undefined;
  /** Divides the scores, of at least 0: below 1, likely tokens become likelier; 0 takes the likeliest. By default 0.8. */
  readonly temperature?: number | undefined;
  /** Number of likeliest tokens to draw from, of at least 1; by default all. */
  readonly topK?: number | undefined;
  /** Seed of the draws, from 0 to 4294967295, by default 1: equal seeds give equal texts. */
  readonly seed?: number | undefined;
}

type Absent<Other> = { readonly [Key in keyof Other]?: undefined };

/** Answer of `predictRows` for a row: a class, or values by name. Other properties are undefined. */
export type RowPrediction = (Prediction & Absent<ValuePrediction>) | (ValuePrediction & Absent<Prediction>);

/** A training row is this many deviations from the mean only in a table of more than a million rows. */
const mostDeviations = 1_000;
const topErrorCount = 10;
/** A model of targets of a role, and the method that it has. */
const otherModels = {
  index: 'a classifier: use predict',
  value: 'a regression model: use predictValues',
  next: 'a model that writes text: use generate',
} as const satisfies Readonly<Record<TargetField['role'], string>>;
const generateKinds = libraryKinds(generateOptions);
/** `generate` yields to other events this often. */
const generateTurnMs = 20;
/** Most samples of one prediction; a power of two. */
const mostSamples = 256;

type Plan = ReturnType<typeof createPrediction>;

/** A model with its weights on the tensor engine. The caller must free its memory with `dispose`. */
export class LoadedModel {
  /** Name, shape of the input, and layers. */
  readonly architecture: Model;
  /** Class names, in the order of the scores; empty if the model predicts values. */
  readonly classes: readonly string[];
  /** Names of the predicted values; empty if the model scores classes. */
  readonly values: readonly string[];
  /** How the values were standardized in training; undefined if they were not. */
  readonly standardization: Standardization | undefined;
  /** A sample that it takes: bytes that it scales, or floats as they are; [height, width, channels] of an image. */
  readonly samples: SampleField;
  /** How a file becomes a sample; undefined if the model was trained on values in memory. */
  readonly reading: StoredModel['reading'];
  /** Seed of the training run; undefined if the file lacks it. */
  readonly seed: number | undefined;
  /** SHA-256 of the weights: float32, little-endian, in model order. */
  readonly weightsSha256: string;
  readonly #targets: StoredModel['targets'];
  readonly #backend: HostBackend;
  readonly #weights: Float32Array;
  /** Values in one sample. */
  readonly #sampleSize: number;
  readonly #parameters: Storage;
  /** Plans by number of samples, a power of two: nine plans serve every count. */
  readonly #plans = new Map<number, Plan>();
  #isDisposed = false;

  /** @param backend not in use by any other thread */
  constructor(stored: StoredModel, backend: HostBackend) {
    this.architecture = stored.model;
    const { role, names } = stored.targets;
    this.classes = role === 'index' ? names : [];
    this.values = role === 'value' ? names : [];
    this.standardization = stored.targets.standardization;
    this.samples = stored.samples;
    this.reading = stored.reading;
    this.seed = stored.metadata['seed'] === undefined ? undefined : Number(stored.metadata['seed']);
    this.weightsSha256 = stored.weightsSha256;
    this.#targets = stored.targets;
    this.#backend = backend;
    this.#weights = stored.weights;
    this.#sampleSize = inputSize(stored.model);
    this.#parameters = backend.allocate(parameterCount(stored.model));
    backend.upload(this.#parameters, stored.weights);
  }

  /**
   * Predicts the class of each sample. A sample gets the same bits alone as among others.
   * @param samples [count, ...samples.shape], one after another: images row by row, with the channels of a pixel
   * together; bytes if the model was trained on bytes, otherwise floats, scaled as in training: rows of a table as
   * `openDataset` encodes them (`predictRows` takes them as they are in the table)
   * @throws Error if samples are of another type, cannot be encoded rows of the table, if their length is not a multiple of a sample's, if the model
   * predicts values, or after `dispose`
   */
  async predict(samples: SampleValues): Promise<Prediction[]> {
    this.#requireOpen();
    if (this.#targets.role !== 'index') {
      throw new Error(`predict: expected a classifier, got ${otherModels[this.#targets.role]}`);
    }
    return this.#outputs('predict', samples).map((scores) => predictionOf(scores, this.classes));
  }

  /**
   * Predicts the values of each sample, in the order of `values` and in the unit of the training targets.
   * @param samples as for `predict`
   * @throws Error as `predict`, and if the model scores classes
   */
  async predictValues(samples: SampleValues): Promise<Float32Array[]> {
    this.#requireOpen();
    if (this.#targets.role !== 'value') {
      throw new Error(`predictValues: expected a regression model, got ${otherModels[this.#targets.role]}`);
    }
    return this.#outputs('predictValues', samples).map((values) => restoreValues(values, this.standardization));
  }

  /**
   * Predicts rows as they are in the training table, such as `[{ area: 100, zone: 'A' }]`: a class, or values by name.
   * Columns that the model does not know are ignored. null, undefined, NaN and an empty text are missing values, which
   * the model replaces if it was trained so.
   * @throws Error that names row and column if a value is missing or cannot be used; if the model was not trained on a
   * table; or after `dispose`
   */
  async predictRows(rows: readonly TableRow[]): Promise<RowPrediction[]> {
    this.#requireOpen();
    const outputs = this.#outputs('predictRows', this.#encoded(rows));
    if (this.#targets.role === 'index') return outputs.map((scores) => predictionOf(scores, this.classes));
    return outputs.map((output) => {
      const values = restoreValues(output, this.standardization);
      return { values: Object.fromEntries(this.values.map((name, index) => [name, values[index]!])) };
    });
  }

  #encoded(rows: readonly TableRow[]): SampleValues {
    const { reading } = this;
    const text = textColumnOf(this);
    if (text) return encodeRowTexts(rows, text, 'predictRows');
    if (reading?.type === 'rows') return encodeRows(rows, reading.columns, 'predictRows');
    const got = reading ? (reading.type === 'text' ? 'running text' : 'pictures') : 'samples without columns';
    throw new Error(`predictRows: expected a model that was trained on a table, got one of ${got}: use predict`);
  }

  /**
   * Writes a text that continues the prompt, and yields it piece by piece: `for await (const text of model.generate())`.
   * Equal options give equal texts, on every machine and in every browser.
   * @throws Error if the model was not trained on a text, if it does not know a character of the prompt, if an option is
   * not of its kind, or after `dispose`
   */
  async *generate(options: GenerateOptions = {}): AsyncGenerator<string, void, undefined> {
    this.#requireOpen();
    checkKinds(options, generateKinds);
    const { prompt, topK } = options;
    const { length, temperature, seed } = generateOptions;
    const most = options.length ?? length.default;
    const targets = this.#targets;
    if (targets.role !== 'next' || this.reading?.type !== 'text') {
      throw new Error('generate: expected a model that predicts the next token of a text, got one that does not');
    }
    const { vocabulary } = this.reading;
    const lines = targets.lines === true;
    const continuation = {
      ...{ vocabulary, lines, prompt: promptTokens(vocabulary, lines, prompt), topK },
      temperature: options.temperature ?? temperature.default,
      seed: options.seed ?? seed.default,
    };
    const generation = createGeneration(this.#backend, this.architecture, this.#parameters);
    try {
      let [count, turnAtMs] = [0, performance.now()];
      for (const text of continueText(generation, continuation)) {
        if (text !== '') yield text;
        count += 1;
        if (count === most) return;
        if (performance.now() - turnAtMs < generateTurnMs) continue;
        await nextTurn();
        this.#requireOpen();
        turnAtMs = performance.now();
      }
    } finally {
      generation.dispose();
    }
  }

  /**
   * Loss, accuracy and errors on labeled samples; loss and accuracy are bit-identical to a run's own evaluation. Target
   * values may be raw, or standardized as `targets` says.
   * @throws Error if samples and labels do not fit each other or the model, or after `dispose`
   */
  async evaluate(data: Dataset): Promise<ModelEvaluation> {
    this.#requireOpen();
    checkArguments('evaluate', [argumentKinds.dataset, data]);
    this.#requireFit(data);
    const { targets } = likeTraining(data, this.standardization);
    // Metrics call classes and values as the model does.
    const alike: Dataset = { ...data, targets: { ...targets, names: this.#targets.names } };
    const evaluator = createEvaluator(this.#backend, this.architecture, alike);
    const { metrics = null, ...quality } = await this.#run(evaluator, true);
    const measured = { ...quality, metrics };
    if (data.targets.role !== 'index') return { ...measured, confusion: null, topErrors: [] };
    const confusions = createConfusionEvaluator(this.#backend, this.architecture, data, topErrorCount);
    const { counts, topErrors } = await this.#run(confusions);
    const { length } = this.classes;
    const rowOf = (label: number): number[] => [...counts!.subarray(label * length, (label + 1) * length)];
    return { ...measured, confusion: counts && this.classes.map((_, label) => rowOf(label)), topErrors };
  }

  /** Frees the engine's memory; the model cannot be used afterwards. */
  dispose(): void {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    for (const plan of this.#plans.values()) plan.dispose();
    this.#backend.free(this.#parameters);
  }

  async #run<Result>(evaluator: DatasetEvaluator<Result>, hasMetrics = false): Promise<Result> {
    try {
      return await evaluator.evaluate(this.#weights, nextTurn, hasMetrics);
    } finally {
      evaluator.dispose();
    }
  }

  /** Outputs of the last layer for each sample, as copies. @param what method that was called; rows of `predictRows` are encoded */
  #outputs(what: 'predict' | 'predictValues' | 'predictRows', samples: SampleValues): Float32Array[] {
    this.#requireType(what, samples);
    const sampleSize = this.#sampleSize;
    const count = samples.length / sampleSize;
    if (!Number.isInteger(count)) {
      throw new Error(`${what}: expected samples of ${sampleSize} values each, got ${samples.length} values`);
    }
    if (what !== 'predictRows') this.#requireEncoded(what, samples);
    const { length } = this.#targets.names;
    const outputs: Float32Array[] = [];
    for (let from = 0; from < count; ) {
      const size = Math.min(mostSamples, 2 ** Math.floor(Math.log2(count - from)));
      const plan = this.#plans.get(size) ?? createPrediction(this.#backend, this.architecture, size, this.#parameters);
      this.#plans.set(size, plan);
      plan.run(samples.subarray(from * sampleSize, (from + size) * sampleSize));
      const batch = this.#backend.view(plan.output);
      for (let row = 0; row < size; row++) outputs.push(batch.slice(row * length, (row + 1) * length));
      from += size;
    }
    return outputs;
  }

  #requireOpen(): void {
    if (this.#isDisposed) throw new Error('model: expected a model in use, got one that was disposed');
  }

  /** Refuses rows of a table that were not encoded as in training, if they can be told from those that were. */
  #requireEncoded(what: string, samples: SampleValues): void {
    if (this.reading?.type !== 'rows') return;
    const { columns } = this.reading;
    for (let at = 0; at < samples.length; at += this.#sampleSize) {
      let first = at;
      for (const column of columns) {
        const size = column.type === 'number' ? 1 : column.categories.length;
        const wrong = unencoded(column, samples, first, first + size);
        if (wrong !== undefined) {
          const where = `column ${JSON.stringify(column.name)} of sample ${at / this.#sampleSize}`;
          throw new Error(
            `${what}: expected encoded samples, as openDataset gives them, got ${wrong} in ${where}: ${rowAdvice}`,
          );
        }
        first += size;
      }
    }
    if (lookRaw(columns, samples, this.#sampleSize)) {
      throw new Error(
        `${what}: expected standardized numbers, as openDataset gives them, got numbers as they are in the table: ${rowAdvice}`,
      );
    }
  }

  #requireType(what: string, samples: SampleValues): void {
    const expected = { u8: 'Uint8Array', u16: 'Uint16Array', f32: 'Float32Array' }[this.samples.dtype];
    if (samples?.constructor?.name !== expected) {
      const advice = this.reading?.type === 'rows' ? `: ${rowAdvice}` : '';
      throw new Error(
        `${what}: expected samples in a ${expected}, as in training, got ${shownValue(samples)}${advice}`,
      );
    }
    if (this.samples.role !== 'index') return;
    const { tokens } = this.samples;
    const wrong = samples.find((token) => token >= tokens);
    if (wrong !== undefined)
      throw new Error(`${what}: expected tokens below ${tokens}, as the model knows, got ${wrong}`);
  }

  #requireFit({ samples, count, targets }: Dataset): void {
    const size = sampleSize(this.architecture, this.#targets);
    const expected = count * size;
    if (count === 0 || samples.values.length !== expected) {
      const wanted = `${count} samples of ${size} values`;
      throw new Error(`evaluate: expected ${wanted}, got ${samples.values.length} values`);
    }
    this.#requireType('evaluate', samples.values);
    if (targets.role !== this.#targets.role) {
      throw new Error(
        `evaluate: expected ${targetWords[this.#targets.role].many} as targets, as the model predicts them, got ${targetWords[targets.role].many}`,
      );
    }
    const perSample = sizeOfField(this.#targets);
    const numbers = targets.values;
    if (numbers.length !== count * perSample) {
      throw new Error(
        `evaluate: expected ${count * perSample} targets, ${perSample} per sample, got ${numbers.length}`,
      );
    }
    if (targets.role === 'next') this.#requireTokens(targets.names);
    if (targets.role !== 'index') return;
    const wrong = targets.values.find((label) => label >= this.classes.length);
    if (wrong !== undefined)
      throw new Error(`evaluate: expected labels below ${this.classes.length}, the model's classes, got ${wrong}`);
    this.#requireNumbering(targets.names);
  }

  #requireTokens(names: readonly string[]): void {
    const known = this.#targets.names;
    const at = Array.from({ length: Math.max(known.length, names.length) }, (_, index) => index);
    const wrong = at.find((index) => names[index] !== known[index]);
    if (wrong === undefined) return;
    const [expected, got] = [known, names].map((list) => JSON.stringify(list[wrong]) ?? 'none');
    throw new Error(`evaluate: expected ${expected} as token ${wrong}, as in the model, got ${got}`);
  }

  /** Other names, such as numbers, are allowed; a name that the model knows must denote the same class. */
  #requireNumbering(names: readonly string[]): void {
    const numbers = new Map(this.classes.map((name, index) => [name, index]));
    const at = names.findIndex((name, index) => (numbers.get(name) ?? index) !== index);
    if (at < 0) return;
    const name = JSON.stringify(names[at]);
    throw new Error(
      `evaluate: expected ${name} to be class ${numbers.get(names[at]!)}, as in the model, got class ${at}: use the classes of the model`,
    );
  }
}

const rowAdvice = 'predictRows takes rows as they are in a table';

/** Returns what cannot be the encoding of a column in `samples[from, to)`; undefined if it can. */
function unencoded(column: FeatureColumn, samples: SampleValues, from: number, to: number): string | undefined {
  if (column.type === 'number') {
    const value = samples[from]!;
    return Math.abs(value) > mostDeviations ? `${significant(value)} deviations from the mean` : undefined;
  }
  let ones = 0;
  for (let at = from; at < to; at += 1) {
    const value = samples[at]!;
    if (value !== 0 && value !== 1) return `${significant(value)} for a category`;
    ones += value;
  }
  return ones === 1 ? undefined : `${ones} categories`;
}

/** Log-likelihood ratio, in nats, beyond which numbers are taken for those of the table: 22,000 to 1. */
const mostEvidence = 10;

/**
 * Whether numbers are far more likely as they are in the table than standardized, if both were normally distributed.
 * One column proves nothing: its number may be an outlier.
 */
function lookRaw(columns: readonly FeatureColumn[], samples: SampleValues, sampleSize: number): boolean {
  let [evidence, numbers, first] = [0, 0, 0];
  for (const column of columns) {
    if (column.type === 'number') {
      numbers += 1;
      for (let at = first; at < samples.length; at += sampleSize) {
        const standardized = (samples[at]! - column.mean) / column.deviation;
        evidence += (samples[at]! ** 2 - standardized ** 2) / 2 - Math.log(column.deviation);
      }
    }
    first += column.type === 'number' ? 1 : column.categories.length;
  }
  return numbers > 1 && evidence > mostEvidence;
}

function predictionOf(scores: Float32Array, classes: readonly string[]): Prediction {
  const index = largestScore(scores);
  const probabilities = probabilitiesOf(scores);
  return { class: classes[index]!, index, probability: probabilities[index]!, scores, probabilities };
}

/**
 * Loads a model for `predict` and `evaluate`, on the CPU.
 * It computes in WebAssembly if that has SIMD, otherwise in plain JavaScript.
 *
 * @param bytes of a safetensors file, as written by `--save` or by PyTorch
 * @throws Error with one sentence if the file is damaged, or does not say which model it contains
 */
export async function loadModel(bytes: Uint8Array, options: LoadModelOptions = {}): Promise<LoadedModel> {
  checkArguments('loadModel', [argumentKinds.bytes, bytes], [argumentKinds.options, options]);
  const stored = readStoredModel(bytes, options.model);
  const { backend } = await openBackend('auto');
  return new LoadedModel(stored, backend);
}

/** The same samples, with values standardized as in training. */
function likeTraining(data: Dataset, standardization: Standardization | undefined): Dataset {
  const { targets } = data;
  if (targets.role !== 'value') return data;
  const { mean, deviation } = targets.standardization ?? { mean: 0, deviation: 1 };
  const like = standardization ?? { mean: 0, deviation: 1 };
  if (mean === like.mean && deviation === like.deviation) return data;
  const values = standardizeValues(restoreValues(targets.values, targets.standardization), standardization);
  return { ...data, targets: valueTargets(values, targets.names, standardization) };
}

/** Returns the column whose texts a model of a table reads; undefined for other models. */
export function textColumnOf({ reading, samples }: Pick<LoadedModel, 'reading' | 'samples'>): TextColumn | undefined {
  if (reading?.type !== 'text' || !reading.table) return undefined;
  return { name: reading.table.column, vocabulary: reading.vocabulary, length: sizeOfField(samples) };
}

/** Options that read other data in the same way as a model's training samples. @param label column to predict */
export function optionsAlike(
  {
    reading,
    samples,
    classes,
    values,
    standardization,
  }: Pick<LoadedModel, 'reading' | 'samples' | 'classes' | 'values' | 'standardization'>,
  label?: string,
): OpenOptions {
  if (reading?.type === 'pictures') {
    const [height, width, channels] = samples.shape;
    return { size: { width: width!, height: height! }, gray: channels === 1, fit: reading.fit, classes, label };
  }
  const text = textColumnOf({ reading, samples });
  if (reading?.type === 'text' && !text) {
    const { vocabulary, lines } = reading;
    return { vocabulary, context: sizeOfField(samples) - 1, lines };
  }
  const read = reading?.type === 'text' ? { ...reading.table, text } : { ...reading, bytes: samples.role === 'scaled' };
  const like = { ...read, classes: classes.length > 0 ? classes : undefined, standardization };
  const known = read.label ?? (reading && values.length === 1 ? values[0] : undefined);
  return { like, label: label ?? known };
}

/** Yields to the event loop between two slices of an evaluation. */
function nextTurn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve));
}
