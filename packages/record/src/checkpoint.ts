/** A checkpoint as a value: everything the next step depends on, in one safetensors file with its own checksum. */
import { type OptimizerState, readSafetensors, writeSafetensors } from '@lockstep/nn';
import type { RunHistory } from '@lockstep/rules';
import type { CurveState, SampleSums } from './curve.ts';
import type { SavedChoice, ValidationConfig } from './epoch-choice.ts';
import type { Report, TrainedEpoch } from './report.ts';
import { shortHash } from './words.ts';

/** Everything that determines the bits of a run: two runs with the same identity take the same steps. */
export interface RunIdentity {
  /** The layer list. */
  readonly model: unknown;
  /** SHA-256 of the training samples. */
  readonly data: string;
  readonly seed: number;
  readonly batch: number;
  readonly microbatchSize: number;
  readonly optimizer: unknown;
  /** The inner steps of a microbatch; omitted if it has none. */
  readonly innerSteps?: unknown;
  /** How workers round their gradients. */
  readonly gradients: string;
  /** SHA-256 of the initial weights; omitted if the seed drew them. */
  readonly initSha256?: string;
  /** Weights of the classes in the loss; omitted if they have none. */
  readonly classWeights?: readonly number[];
  /** Names of the augmentations, with commas; omitted if there are none. */
  readonly augment?: string;
  /** Number of first layers that keep their weights; omitted if all are trained. */
  readonly freeze?: number;
  /** SHA-256 of the validation samples, and how they choose the epoch; omitted if there are none. */
  readonly validation?: ValidationConfig & { readonly data: string };
}

export interface Checkpoint {
  /** Steps taken, which is also the number of the next step. With seed and batch it gives the position in the data. */
  readonly step: number;
  readonly identity: RunIdentity;
  /** [parameters], in model order. */
  readonly weights: Float32Array<ArrayBuffer>;
  readonly optimizer: OptimizerState;
  readonly progress: SavedProgress;
  readonly history: RunHistory;
  readonly unevaluated: readonly UnevaluatedEpoch[];
  /** Weights with which the model has not written its text yet; omitted in a run whose model writes none. */
  readonly unwritten?: readonly UnwrittenSample[];
  /** The choice among the evaluated epochs; omitted in a run without validation samples. */
  readonly choice?: SavedChoice;
  /** Omitted outside a fleet, and in a run without a transcript. */
  readonly transcript?: SavedTranscript | undefined;
}

/** End of a fleet's transcript, from which the next leader continues it; digits are hexadecimal. */
export interface SavedTranscript {
  /** Hash of all records up to the checkpoint, which names the last part. */
  readonly chain: string;
  /** Number of workers that the records name. */
  readonly workers: number;
  /** Tag of the checkpoint's state. */
  readonly stateTag: string;
}

/** An epoch that has not been evaluated, with the weights at its end. */
export interface UnevaluatedEpoch {
  readonly epoch: TrainedEpoch;
  readonly weights: Float32Array<ArrayBuffer>;
  /** Figures at its end, which become the run's if it stops there; omitted in a run without patience. */
  readonly end?: Pick<SavedProgress, 'images' | 'seconds' | 'curve'>;
}

/** A text that the model has not written yet, with the weights to write it. */
export interface UnwrittenSample {
  readonly step: number;
  readonly weights: Float32Array<ArrayBuffer>;
}

/** Figures of the steps before a checkpoint, for the report of a run that resumes from it; sums are of its epoch. */
export interface SavedProgress
  extends SampleSums,
    Pick<Report, 'epochs' | 'samples' | 'initialLoss' | 'wire' | 'resumedAtSteps'> {
  /** Omitted in checkpoints of earlier releases. */
  readonly rewinds?: Report['rewinds'];
  /** Samples of all steps. */
  readonly images: number;
  /** Seconds of training in total, and in the current epoch. */
  readonly seconds: number;
  readonly epochSeconds: number;
  readonly curve: CurveState;
}

export interface WrittenCheckpoint {
  readonly file: string;
  readonly step: number;
}

export const checkpointFormat = 'lockstep-checkpoint.v1';
/** Placeholder for the hash while the hash is computed. */
const blank = '0'.repeat(64);
const slotPrefix = 'optimizer.';
const epochPrefix = 'epoch.';
const samplePrefix = 'sample.';
const keptName = 'kept';

/** The bytes of a file. @param sha256 returns 64 hexadecimal digits */
export async function encodeCheckpoint(
  checkpoint: Checkpoint,
  sha256: (bytes: Uint8Array) => string | Promise<string>,
): Promise<Uint8Array> {
  const { step, identity, weights, optimizer, progress, history, unevaluated, unwritten = [], choice } = checkpoint;
  const { transcript } = checkpoint;
  const metadata = {
    format: checkpointFormat,
    sha256: blank,
    step: `${step}`,
    optimizerStep: `${optimizer.step}`,
    identity: JSON.stringify(identity),
    progress: stringifyNumbers(progress),
    history: stringifyNumbers(history),
    unevaluated: stringifyNumbers(unevaluated.map(({ epoch }) => epoch)),
    ends: stringifyNumbers(unevaluated.map(({ end }) => end ?? null)),
    ...(unwritten.length > 0 && { unwritten: JSON.stringify(unwritten.map((sample) => sample.step)) }),
    ...(choice && { choice: stringifyNumbers({ ...choice, weights: choice.weights && keptName }) }),
    ...(transcript && { transcript: JSON.stringify(transcript) }),
  };
  const slots = Object.entries(optimizer.slots).map(([name, values]) => tensorOf(`${slotPrefix}${name}`, values));
  const ends = unevaluated.map(({ epoch, weights: values }) => tensorOf(`${epochPrefix}${epoch.epoch}`, values));
  const texts = unwritten.map((sample) => tensorOf(`${samplePrefix}${sample.step}`, sample.weights));
  const kept = choice?.weights ? [tensorOf(keptName, choice.weights)] : [];
  const tensors = [tensorOf('weights', weights), ...slots, ...ends, ...texts, ...kept];
  const bytes = writeSafetensors({ tensors, metadata });
  const place = placeOfHash(bytes);
  if (place === undefined) throw new Error('checkpoint: expected a place for the hash in the header');
  bytes.set(new TextEncoder().encode(await sha256(bytes)), place);
  return bytes;
}

/** @throws Error with one message if the file is truncated, was changed, or is something else */
export function decodeCheckpoint(bytes: Uint8Array, sha256: (bytes: Uint8Array) => string): Checkpoint {
  verify(bytes, sha256);
  const { tensors, metadata } = readSafetensors(bytes);
  const valuesOf = new Map(tensors.map(({ name, values }) => [name, values as Float32Array<ArrayBuffer>]));
  const tensor = (name: string): Float32Array<ArrayBuffer> => {
    const values = valuesOf.get(name);
    if (!values) throw new Error(`checkpoint: expected a tensor named ${name}, got none`);
    return values;
  };
  const field = <T>(name: string): T => {
    const text = metadata[name];
    if (text === undefined) throw new Error(`checkpoint: expected ${name} in the metadata, got none`);
    return parseNumbers(text) as T;
  };
  const choice = metadata['choice'] === undefined ? undefined : field<SavedChoice>('choice');
  const ends = metadata['ends'] === undefined ? [] : field<(UnevaluatedEpoch['end'] | null)[]>('ends');
  const unwritten = metadata['unwritten'] === undefined ? [] : field<number[]>('unwritten');
  const slots = [...valuesOf].filter(([name]) => name.startsWith(slotPrefix));
  return {
    step: field('step'),
    identity: field('identity'),
    weights: tensor('weights'),
    optimizer: {
      step: field('optimizerStep'),
      slots: Object.fromEntries(slots.map(([name, values]) => [name.slice(slotPrefix.length), values])),
    },
    progress: field('progress'),
    history: field('history'),
    unevaluated: field<TrainedEpoch[]>('unevaluated').map((epoch, index) => ({
      epoch,
      weights: tensor(`${epochPrefix}${epoch.epoch}`),
      ...(ends[index] && { end: ends[index] }),
    })),
    ...(unwritten.length > 0 && {
      unwritten: unwritten.map((step) => ({ step, weights: tensor(`${samplePrefix}${step}`) })),
    }),
    ...(choice && { choice: { ...choice, weights: choice.weights && tensor(keptName) } }),
    ...(metadata['transcript'] !== undefined && { transcript: field<SavedTranscript>('transcript') }),
  };
}

/** Checks the hash of the whole file, computed with the hash itself blanked. */
function verify(bytes: Uint8Array, sha256: (bytes: Uint8Array) => string): void {
  const place = placeOfHash(bytes);
  if (place === undefined)
    throw new Error(
      `checkpoint: expected a file in the format ${checkpointFormat}, got another format or a truncated file`,
    );
  const claimed = new TextDecoder().decode(bytes.subarray(place, place + blank.length));
  // `slice` of a Buffer would share its memory.
  const copy = new Uint8Array(bytes);
  copy.set(new TextEncoder().encode(blank), place);
  const actual = sha256(copy);
  if (claimed === actual) return;
  const [expected, got] = [claimed, actual].map(shortHash);
  throw new Error(`checkpoint: expected SHA-256 ${expected}, got ${got}: the file is truncated or was changed`);
}

/** Offset of the hash's digits. Metadata come first in the header, so the first match is the right one. */
function placeOfHash(bytes: Uint8Array): number | undefined {
  const mark = `{"__metadata__":{"format":"${checkpointFormat}","sha256":"`;
  const start = 8;
  const head = new TextDecoder('latin1').decode(bytes.subarray(start, start + mark.length));
  return head === mark && bytes.length >= start + mark.length + blank.length ? start + mark.length : undefined;
}

function tensorOf(name: string, values: Float32Array) {
  return { name, shape: [values.length], values };
}

/** The first difference, such as `expected optimizer.learningRate 0.05, got 0.1`; undefined if there is none. */
export function identityDifference(expected: unknown, got: unknown, path = ''): string | undefined {
  if (!isObject(expected) || !isObject(got)) {
    return expected === got ? undefined : `expected ${path} ${brief(expected)}, got ${brief(got)}`;
  }
  for (const key of new Set([...Object.keys(expected), ...Object.keys(got)])) {
    const difference = identityDifference(expected[key], got[key], path === '' ? key : `${path}.${key}`);
    if (difference) return difference;
  }
  return undefined;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}

function brief(value: unknown): string {
  const text = typeof value === 'string' ? value : (JSON.stringify(value) ?? 'none');
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}

/** JSON has no infinity and no NaN. */
const tag = 'nonFinite';

function stringifyNumbers(value: unknown): string {
  return JSON.stringify(value, (_key, item: unknown) =>
    typeof item === 'number' && !Number.isFinite(item) ? { [tag]: String(item) } : item,
  );
}

function parseNumbers(text: string): unknown {
  return JSON.parse(text, (_key, item: unknown) =>
    typeof item === 'object' && item !== null && tag in item ? Number(item[tag]) : item,
  );
}

export const defaultInterval: CheckpointInterval = { minutes: 1 };
export const defaultKeptCheckpoints = 3;

/** Place and interval of a run's checkpoints. */
export interface CheckpointOptions {
  /** Folder of the checkpoints; omitted if there is a store. */
  readonly folder?: string | undefined;
  /**
   * Store shared by several coordinators of one run, instead of a folder; the run resumes from its newest checkpoint.
   */
  readonly store?: SharedCheckpoints | undefined;
  /** Steps or minutes between two checkpoints, above 0; by default one minute. */
  readonly every?: CheckpointInterval | undefined;
  /** Number of the newest checkpoints to keep in the folder, of at least 1; by default 3. */
  readonly keep?: number | undefined;
  /** Whether the run resumes from the newest checkpoint that fits it. */
  readonly resume?: boolean | undefined;
}

/** Steps or minutes between two checkpoints. */
export type CheckpointInterval = { readonly steps: number } | { readonly minutes: number };

/** A store of checkpoints that the coordinators of a run share, such as a fleet's. */
export interface SharedCheckpoints {
  /** Description for people. */
  readonly place: string;
  /** Name of this machine, for people. */
  readonly name: string;
  /**
   * Called before anything is read; resolves when it is this process's turn to train.
   * @throws Error if it must not train
   */
  open(claim: RunClaim): Promise<void>;
  /** Returns the name of the written checkpoint. @throws Error if it cannot be written */
  write(run: string, step: number, bytes: Uint8Array): Promise<string>;
  /** Called before the last checkpoint of a finished run is written; may wait for a store that does not answer. */
  untilItAnswers(): Promise<void>;
  /** Removes the checkpoints of later steps, because the run has gone back. @throws Error if they may still be there */
  removeAfter(run: string, step: number): Promise<void>;
  /** All checkpoints, newest first. */
  list(): Promise<StoredCheckpoint[]>;
  /** Stores a part of the run's transcript, which then ends with it. @throws Error if it cannot be written */
  writePart(part: TranscriptPart): Promise<void>;
  /**
   * Returns the transcript up to a part, by default the last one of the newest coordinator; undefined if there is none.
   * @throws Error if a part is missing
   */
  readParts(last?: string): Promise<Uint8Array | undefined>;
}

/** Records of a transcript that one coordinator has added after those of the part before. */
export interface TranscriptPart {
  /** 64 hexadecimal digits. */
  readonly name: string;
  /** Name of the part that it continues; undefined for the first. */
  readonly before: string | undefined;
  readonly bytes: Uint8Array;
}

export interface StoredCheckpoint {
  readonly name: string;
  /** The name of the run that wrote the checkpoint. */
  readonly run: string;
  readonly step: number;
  readonly read: () => Promise<Uint8Array>;
}

/** The run that a coordinator wants to train. */
export interface RunClaim {
  /** Everything that determines the bits of the run, as JSON. */
  readonly config: string;
  /** Returns a phrase such as `expected seed 1, got 2` if the other configuration belongs to another run. */
  readonly differenceFrom: (other: string) => string | undefined;
}
