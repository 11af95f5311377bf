/** A checkpoint as a value: all that the next step depends on, in one safetensors file that proves itself whole. */
import { type OptimizerState, readSafetensors, writeSafetensors } from '@lockstep/nn';
import type { EpochReport } from './report.ts';

/** What a report needs of the steps that were taken before. */
export interface Progress {
  /** Of the epochs that are over. */
  readonly epochs: readonly EpochReport[];
  /** Sums over the current epoch's steps. */
  readonly lossSum: number;
  readonly correct: number;
  readonly count: number;
  /** Mean loss of the first batch, with the initial weights. */
  readonly initialLoss: number | null;
  /** Samples of all steps. */
  readonly images: number;
  /** Seconds of training, and those of the current epoch. */
  readonly seconds: number;
  readonly epochSeconds: number;
}

/** What fixes the bits of a run: two runs that agree in all of it take the same steps. */
export interface RunIdentity {
  /** The layer list. */
  readonly model: unknown;
  /** SHA-256 of the training samples. */
  readonly data: string;
  readonly seed: number;
  readonly batch: number;
  readonly microbatchSize: number;
  readonly optimizer: unknown;
  /** How workers round their gradients. */
  readonly gradients: string;
}

export interface Checkpoint {
  /** Steps taken; the next one has this number. */
  readonly step: number;
  readonly identity: RunIdentity;
  /** [parameters], in model order. */
  readonly weights: Float32Array;
  readonly optimizer: OptimizerState;
  readonly progress: Progress;
}

type Hash = (bytes: Uint8Array) => string;

const format = 'lockstep-checkpoint.v1';
/** Stands for the hash while the hash is computed. */
const blank = '0'.repeat(64);
const slotPrefix = 'optimizer.';

/** The bytes of a file. `sha256` gives 64 hexadecimal digits. */
export function encodeCheckpoint(checkpoint: Checkpoint, sha256: Hash): Uint8Array {
  const { step, identity, weights, optimizer, progress } = checkpoint;
  const metadata = {
    format,
    sha256: blank,
    step: `${step}`,
    optimizerStep: `${optimizer.step}`,
    identity: JSON.stringify(identity),
    progress: JSON.stringify(progress),
  };
  const slots = Object.entries(optimizer.slots).map(([name, values]) => tensorOf(`${slotPrefix}${name}`, values));
  const bytes = writeSafetensors({ tensors: [tensorOf('weights', weights), ...slots], metadata });
  const place = placeOfHash(bytes);
  if (place === undefined) throw new Error('checkpoint: expected a place for the hash in the header');
  bytes.set(new TextEncoder().encode(sha256(bytes)), place);
  return bytes;
}

/** @throws Error with one message where the file is torn, was changed, or is something else */
export function decodeCheckpoint(bytes: Uint8Array, sha256: Hash): Checkpoint {
  verify(bytes, sha256);
  const { tensors, metadata } = readSafetensors(bytes);
  if (metadata['format'] !== format) {
    throw new Error(`checkpoint: expected the format ${format}, got ${metadata['format'] ?? 'none'}`);
  }
  const valuesOf = new Map(tensors.map(({ name, values }) => [name, values]));
  const weights = valuesOf.get('weights');
  if (!weights) throw new Error('checkpoint: expected a tensor named weights, got none');
  const slots = [...valuesOf].filter(([name]) => name.startsWith(slotPrefix));
  return {
    step: Number(metadata['step']),
    identity: JSON.parse(metadata['identity'] ?? 'null') as RunIdentity,
    weights,
    optimizer: {
      step: Number(metadata['optimizerStep']),
      slots: Object.fromEntries(slots.map(([name, values]) => [name.slice(slotPrefix.length), values])),
    },
    progress: JSON.parse(metadata['progress'] ?? 'null') as Progress,
  };
}

/** Why a run cannot go on from a checkpoint, or undefined where it can. */
export function identityFault(expected: RunIdentity, got: RunIdentity): string | undefined {
  for (const key of Object.keys(expected) as (keyof RunIdentity)[]) {
    const [wanted, found] = [shown(expected[key]), shown(got[key])];
    if (wanted !== found) return `it belongs to another run: expected ${key} ${brief(wanted)}, got ${brief(found)}`;
  }
  return undefined;
}

/** Checks the hash of the whole file, taken with the hash's own place blank. */
function verify(bytes: Uint8Array, sha256: Hash): void {
  const place = placeOfHash(bytes);
  if (place === undefined) throw new Error('checkpoint: expected a SHA-256 in the header, got none');
  const claimed = new TextDecoder().decode(bytes.subarray(place, place + blank.length));
  const copy = bytes.slice();
  copy.set(new TextEncoder().encode(blank), place);
  const actual = sha256(copy);
  if (claimed !== actual) throw new Error(`checkpoint: expected SHA-256 ${brief(claimed)}, got ${brief(actual)}`);
}

/** Where the hash's digits begin. Metadata stand first in the header, so that the first match is the right one. */
function placeOfHash(bytes: Uint8Array): number | undefined {
  const mark = `{"__metadata__":{"format":"${format}","sha256":"`;
  const start = 8;
  const head = new TextDecoder('latin1').decode(bytes.subarray(start, start + mark.length));
  return head === mark && bytes.length >= start + mark.length + blank.length ? start + mark.length : undefined;
}

function tensorOf(name: string, values: Float32Array) {
  return { name, shape: [values.length], values };
}

function shown(value: unknown): string {
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? 'none');
}

function brief(text: string): string {
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}
