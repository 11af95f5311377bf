/**
 * A transcript as bytes: who computed each shard of each step. Its records form a chain of hashes, which seals sign.
 *
 *     file    magic record*
 *     record  type u8, length u32, payload, link: the first 12 bytes of the chain's hash after the record
 *     header  JSON, the first record
 *     worker  JSON; workers are numbered from 1, and 0 is the coordinator
 *     step    step u32, for each shard { lo u32, log2(n) u8, worker u32, tag 16 }, tag of the state after the step 16
 *     back    JSON: the steps from `to` on were taken again; in a fleet, perhaps by another leader, whose key signs now
 *     end     JSON: how the run ended, and the weights that it kept
 *     seal    steps u32, SHA-256 of the weights 32, of the optimizer's state 32, key of the tags since the last seal 32,
 *             Ed25519 signature 64
 *
 * Integers are little-endian. The chain begins with SHA-256(magic) and continues with SHA-256(hash, record without
 * link). A seal's signature covers the hash before the seal, and the seal's other fields.
 *
 * A shard's tag is the ChaCha20-Poly1305 tag of its sum [parameters + 2] as associated data. The nonce is the number of
 * shards since the last seal. The key is random and secret until the seal, so that no worker can compute another sum
 * with the same tag. The tag of a state is the beginning of SHA-256(tag of the state before, optimizer's step, lanes of
 * the checksums of weights and slots), and 16 zeros before the first step. It has no key, so that the states of two
 * transcripts can be compared: once they differ, all later tags do, even if rounding makes the states equal again.
 */
import {
  type CipherChaCha20Poly1305,
  createCipheriv,
  createHash,
  getCiphers,
  type KeyObject,
  randomBytes,
  sign,
} from 'node:crypto';
import type { OptimizerState } from '@lockstep/nn';
import type { ReadBy } from '@lockstep/prepare';
import { bytesOf, type Lanes } from '@lockstep/protocol';
import type { RunIdentity } from '@lockstep/record';
import type { Shard, WorkerRecord } from '@lockstep/rules';

/** Everything that fixes the bits of the run that a transcript is of, and how to read its data again. */
export interface TranscriptHeader {
  /** Version of the program. */
  readonly lockstep: string;
  /** Ed25519 public key of the coordinator, in hex. */
  readonly publicKey: string;
  /** Name of the machine of a fleet's first leader. */
  readonly leader?: string | undefined;
  readonly identity: RunIdentity;
  /** Steps of the whole run. */
  readonly steps: number;
  /** Numeric mode of the coordinator, and the hash of its gradient in the numerics check. */
  readonly numericMode: string;
  readonly numericsHash: string;
  /** Name of the data, for people, and how they were read; neither is known of data from a program. */
  readonly data: { readonly name: string | null; readonly readBy?: ReadBy | undefined };
  /** Fraction of the training samples that was held out for validation; omitted if there was none. */
  readonly heldOut?: number | undefined;
}

/** A worker as the transcript names it. */
export type TranscriptWorker = Pick<WorkerRecord, 'id' | 'name' | 'kind' | 'backend' | 'numericMode' | 'numericsHash'>;

/** The steps from `to` on do not count: a resumed run, or one that went back, took them again. */
export interface WentBack {
  /** Number of steps that stand. */
  readonly to: number;
  readonly cause: 'resumed' | 'rewound';
  /** Steps of the whole run, from now on. */
  readonly steps: number;
  /** Public key of the leader that took over, in hex, and the name of its machine; omitted if none did. */
  readonly publicKey?: string | undefined;
  readonly leader?: string | undefined;
}

export const outcomes = ['finished', 'stopped', 'failed'] as const;

export interface TranscriptEnd {
  readonly outcome: (typeof outcomes)[number];
  /** Steps taken by the weights that the run ended with, and their SHA-256. */
  readonly step: number;
  readonly weightsSha256: string;
}

/** The state of a run between two steps, as its seal states it. */
export interface SealedState {
  /** Steps taken. */
  readonly steps: number;
  /** In hex. */
  readonly weightsSha256: string;
  readonly optimizerSha256: string;
}

/** A shard whose sum was added, and by whom it was computed. */
export interface RecordedShard extends Shard {
  /** 0 for the coordinator. */
  readonly worker: number;
  readonly tag: Uint8Array;
}

export const recordTypes = ['header', 'worker', 'step', 'back', 'end', 'seal'] as const;
export type RecordType = (typeof recordTypes)[number];

export const formatPrefix = 'lockstep-transcript.';
export const magic = Buffer.from(`${formatPrefix}v2\n`);
export const headBytes = 5;
export const linkBytes = 12;
export const tagBytes = 16;
export const shardBytes = 4 + 1 + 4 + tagBytes;
const hashBytes = 32;
/** Offsets of a seal's fields. */
export const sealPlaces = { weights: 4, optimizer: 36, key: 68, signature: 100, end: 164 } as const;

/** The hash of all records so far. */
export class Chain {
  #hash: Buffer;

  constructor(hash = createHash('sha256').update(magic).digest()) {
    this.#hash = hash;
  }

  get hash(): Buffer {
    return this.#hash;
  }

  /** Takes a record without its link. @returns the link */
  take(record: Uint8Array): Buffer {
    this.#hash = createHash('sha256').update(this.#hash).update(record).digest();
    return this.#hash.subarray(0, linkBytes);
  }
}

/** Returns the bytes that a seal's signature covers. @param fields those before the signature */
export function signedBytes(before: Uint8Array, fields: Uint8Array): Buffer {
  return Buffer.concat([magic, before, fields]);
}

const cipherName = 'chacha20-poly1305';

/** The fault of an engine that cannot compute tags; undefined if it can. */
export function engineFault(): string | undefined {
  if (getCiphers().includes(cipherName)) return undefined;
  return 'expected an engine that has ChaCha20-Poly1305, such as Node, got one that lacks it';
}

const nonce = Buffer.alloc(12);

function cipherOf(key: Uint8Array, number: number): CipherChaCha20Poly1305 {
  nonce.writeUInt32LE(number, 0);
  return createCipheriv(cipherName, key, nonce, { authTagLength: tagBytes });
}

/** A tag whose values have been read. */
export type BegunTag = Pick<CipherChaCha20Poly1305, 'final' | 'getAuthTag'>;

function read(cipher: CipherChaCha20Poly1305, values: Float32Array): BegunTag {
  return cipher.setAAD(bytesOf(values), { plaintextLength: 0 });
}

function endTag(begun: BegunTag): Buffer {
  begun.final();
  return begun.getAuthTag();
}

/** Returns the Poly1305 tag of values under the one-time key that ChaCha20 makes of key and number (RFC 8439). */
export function tagOf(key: Uint8Array, number: number, values: Float32Array): Buffer {
  return endTag(read(cipherOf(key, number), values));
}

/** Begins tags whose numbers mostly follow one another. */
class Tagger {
  readonly #key: Uint8Array;
  /** Made many at once: between two steps, code and data of making a cipher are not in the caches. */
  #ready: CipherChaCha20Poly1305[] = [];
  /** Number of the last cipher that is ready. */
  #next = 0;

  constructor(key: Uint8Array) {
    this.#key = key;
  }

  begin(number: number, values: Float32Array): BegunTag {
    if (this.#ready.length === 0 || number !== this.#next) {
      this.#ready = Array.from({ length: 64 }, (_, index) => cipherOf(this.#key, number + index)).reverse();
    }
    this.#next = number + 1;
    return read(this.#ready.pop()!, values);
  }
}

/** Everything that the steps of a run depend on besides their samples. */
export interface TrainingState {
  /** [parameters], in model order. */
  readonly weights: Float32Array;
  readonly optimizer: OptimizerState;
}

/** Returns the words of which a state's tag is made. */
export function wordsOf({ weights, optimizer: { step, slots } }: TrainingState, lanesBy: Lanes): Int32Array[] {
  const words = [Int32Array.of(step), lanesBy(bytesOf(weights)).slice()];
  for (const name of Object.keys(slots).sort()) words.push(lanesBy(bytesOf(slots[name]!)).slice());
  return words;
}

/** Returns the tag of a state. @param before the tag of the state one step before */
export function stateTagOf(before: Uint8Array, words: readonly Int32Array[]): Buffer {
  const hash = createHash('sha256').update(before);
  for (const each of words) hash.update(each);
  return hash.digest().subarray(0, tagBytes);
}

/** Returns the hashes of a run's state. */
export function sealedState(steps: number, { weights, optimizer: { step, slots } }: TrainingState): SealedState {
  const optimizer = createHash('sha256').update(`${step}\n`);
  for (const name of Object.keys(slots).sort()) optimizer.update(`${name}\n`).update(bytesOf(slots[name]!));
  return {
    steps,
    weightsSha256: createHash('sha256').update(bytesOf(weights)).digest('hex'),
    optimizerSha256: optimizer.digest('hex'),
  };
}

/** Whether two states are the same, after the same number of steps. */
export function isSameState(one: SealedState, other: SealedState): boolean {
  return (['steps', 'weightsSha256', 'optimizerSha256'] as const).every((name) => one[name] === other[name]);
}

/** A shard whose sum has been read. */
interface ReadShard extends Omit<RecordedShard, 'tag'> {
  readonly tag: BegunTag;
}

/** The records that are JSON. */
interface JsonRecords {
  readonly header: TranscriptHeader;
  readonly worker: TranscriptWorker;
  readonly back: WentBack;
  readonly end: TranscriptEnd;
}

/** Writes the records of a transcript, one segment after another; each ends with a seal. */
export class TranscriptEncoder {
  readonly #chain: Chain;
  readonly #privateKey: KeyObject;
  /** Records since the last seal. */
  #records: Buffer[];
  /** Secret key of the shards' tags in this segment. */
  #key = randomBytes(hashBytes);
  /** Computes the tags of shards' sums; their number is that of the shards before them in this segment. */
  tagger = new Tagger(this.#key);

  /** @param chain that of an earlier process, whose transcript continues */
  constructor(privateKey: KeyObject, chain?: Chain) {
    this.#privateKey = privateKey;
    this.#records = chain ? [] : [magic];
    this.#chain = chain ?? new Chain();
  }

  /** Hash of all records so far, in hex. */
  get hash(): string {
    return this.#chain.hash.toString('hex');
  }

  json<Type extends keyof JsonRecords>(type: Type, value: JsonRecords[Type]): void {
    this.#record(type, Buffer.from(JSON.stringify(value)));
  }

  /** @param shards in the order of their numbers */
  step(step: number, shards: readonly ReadShard[], stateTag: Uint8Array): void {
    const payload = Buffer.alloc(4 + shardBytes * shards.length + tagBytes);
    payload.writeUInt32LE(step, 0);
    let at = 4;
    for (const { lo, n, worker, tag } of shards) {
      payload.writeUInt32LE(lo, at);
      payload.writeUInt8(Math.log2(n), at + 4);
      payload.writeUInt32LE(worker, at + 5);
      payload.set(endTag(tag), at + 9);
      at += shardBytes;
    }
    payload.set(stateTag, at);
    this.#record('step', payload);
  }

  /** Ends a segment. @returns its bytes, for the end of the file */
  seal({ steps, weightsSha256, optimizerSha256 }: SealedState): Buffer {
    const payload = Buffer.alloc(sealPlaces.end);
    payload.writeUInt32LE(steps, 0);
    payload.write(weightsSha256, sealPlaces.weights, 'hex');
    payload.write(optimizerSha256, sealPlaces.optimizer, 'hex');
    payload.set(this.#key, sealPlaces.key);
    const signed = signedBytes(this.#chain.hash, payload.subarray(0, sealPlaces.signature));
    payload.set(sign(null, signed, this.#privateKey), sealPlaces.signature);
    this.#record('seal', payload);
    const segment = Buffer.concat(this.#records);
    this.#records = [];
    this.#key = randomBytes(hashBytes);
    this.tagger = new Tagger(this.#key);
    return segment;
  }

  #record(type: RecordType, payload: Buffer): void {
    const head = Buffer.alloc(headBytes);
    head.writeUInt8(recordTypes.indexOf(type) + 1, 0);
    head.writeUInt32LE(payload.length, 1);
    const record = Buffer.concat([head, payload]);
    this.#records.push(record, this.#chain.take(record));
  }
}
