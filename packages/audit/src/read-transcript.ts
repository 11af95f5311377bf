/** Reads a transcript: checks its chain and its signatures, and returns the steps that stand. */
import { createPublicKey, type KeyObject, verify } from 'node:crypto';
import { errorMessage, thousands } from '@lockstep/data/shown';
import { shortHash } from '@lockstep/record';
import {
  Chain,
  formatPrefix,
  headBytes,
  linkBytes,
  magic,
  outcomes,
  type RecordedShard,
  type RecordType,
  recordTypes,
  type SealedState,
  sealPlaces,
  shardBytes,
  signedBytes,
  type TranscriptEnd,
  type TranscriptHeader,
  type TranscriptWorker,
  tagBytes,
  type WentBack,
} from './format.ts';

/** Most bytes of a transcript. */
export const maxTranscriptBytes = 2 ** 30;

/** A step as the transcript records it. */
interface RecordedStep {
  /** From 0. */
  readonly step: number;
  /** Key of the shards' tags. */
  readonly key: Uint8Array;
  readonly shards: Uint8Array;
  /** Shards in the segment before this step. */
  readonly shardsBefore: number;
  /** Tag of the state after the step. */
  readonly stateTag: Uint8Array;
  /** Index of the leader that signed it. */
  readonly leader: number;
}

/** A coordinator that signed records. */
interface Leader {
  /** Ed25519 public key, in hex. */
  readonly publicKey: string;
  /** Name of its machine; undefined outside a fleet. */
  readonly name: string | undefined;
}

/** Consecutive steps that a leader signed, counted from 1. */
export interface LedSteps extends Leader {
  readonly from: number;
  readonly to: number;
}

/** A state that a leader signed. */
interface RecordedSeal extends SealedState {
  readonly leader: number;
}

/** A transcript whose chain is whole and whose signatures are valid. */
export interface Transcript {
  readonly header: TranscriptHeader;
  /** One; in a fleet each that took over. */
  readonly leaders: readonly Leader[];
  /** Worker `n` is at index `n - 1`. */
  readonly workers: readonly TranscriptWorker[];
  /** The steps that stand, by number: a run that went back took some again. */
  readonly steps: readonly RecordedStep[];
  /** States that stand, in the order of their steps; the first is the one before any step. */
  readonly seals: readonly RecordedSeal[];
  readonly backs: readonly WentBack[];
  /** Steps of the whole run. */
  readonly plannedSteps: number;
  /** How the run ended; undefined if it was killed, or had not ended. */
  readonly end: TranscriptEnd | undefined;
  /** The chain after the last seal. */
  readonly chain: Chain;
}

/** One sentence about a file that is no whole transcript. */
export class TranscriptError extends Error {
  override readonly name = 'TranscriptError';
  /** Bytes up to the last valid seal; 0 if there is none. */
  readonly sealedBytes: number;

  constructor(message: string, sealedBytes = 0) {
    super(message);
    this.sealedBytes = sealedBytes;
  }
}

/** @throws TranscriptError with one sentence unless the file is a whole transcript that nobody has changed */
export function readTranscript(file: Uint8Array): Transcript {
  return new TranscriptReader(file).read();
}

type Mutable<T> = { -readonly [Name in keyof T]: T[Name] };

class TranscriptReader {
  readonly #file: Buffer;
  readonly #chain = new Chain();
  readonly #workers: TranscriptWorker[] = [];
  readonly #steps: Mutable<RecordedStep>[] = [];
  /** Steps since the last seal, which reveals their key. */
  readonly #unsealed = new Set<Mutable<RecordedStep>>();
  readonly #seals: RecordedSeal[] = [];
  readonly #leaders: Leader[] = [];
  readonly #backs: WentBack[] = [];
  #header: TranscriptHeader | undefined;
  #publicKey: KeyObject | undefined;
  #plannedSteps = 0;
  #end: TranscriptEnd | undefined;
  #at = 0;
  #sealedBytes = 0;
  #shardsInSegment = 0;

  constructor({ buffer, byteOffset, byteLength }: Uint8Array) {
    this.#file = Buffer.from(buffer, byteOffset, byteLength);
  }

  read(): Transcript {
    this.#readMagic();
    while (this.#at < this.#file.length) this.#readRecord();
    if (this.#sealedBytes < this.#file.length) throw this.#torn();
    const [header, plannedSteps] = [this.#header!, this.#plannedSteps];
    const [workers, steps, seals, backs] = [this.#workers, this.#steps, this.#seals, this.#backs];
    const [leaders, end, chain] = [this.#leaders, this.#end, this.#chain];
    return { header, leaders, workers, steps, seals, backs, plannedSteps, end, chain };
  }

  #readMagic(): void {
    const start = this.#file.subarray(0, magic.length);
    const text = start.toString('latin1');
    if (start.equals(magic)) this.#at = magic.length;
    else if (magic.toString('latin1').startsWith(text)) throw this.#torn();
    else if (text.startsWith(formatPrefix)) {
      const [version] = this.#file.toString('latin1', formatPrefix.length, formatPrefix.length + 16).split('\n');
      throw new TranscriptError(
        `expected a transcript in format v2, got format ${JSON.stringify(version)}: another version of Lockstep wrote it`,
      );
    } else throw new TranscriptError('expected a transcript, got another kind of file');
  }

  #readRecord(): void {
    const at = this.#at;
    if (this.#file.length < at + headBytes) throw this.#torn();
    const type = recordTypes[this.#file.readUInt8(at) - 1];
    const end = at + headBytes + this.#file.readUInt32LE(at + 1);
    if (type === undefined) throw this.#changed();
    if (this.#file.length < end + linkBytes) throw this.#torn();
    const before = this.#chain.hash;
    const link = this.#chain.take(this.#file.subarray(at, end));
    if (!link.equals(this.#file.subarray(end, end + linkBytes))) throw this.#changed();
    this.#at = end + linkBytes;
    const payload = this.#file.subarray(at + headBytes, end);
    // The chain is whole, so the rest is as its author wrote it.
    if ((type === 'header') !== (this.#header === undefined)) throw this.#forged('a header as its first record');
    this.#take(type, payload, before);
  }

  #take(recordType: RecordType, payload: Buffer, before: Buffer): void {
    switch (recordType) {
      case 'header':
        this.#takeHeader(this.#json(payload, isHeader));
        return;
      case 'worker':
        this.#workers.push(this.#json(payload, isWorker));
        return;
      case 'step':
        this.#takeStep(payload);
        return;
      case 'back':
        this.#goBack(this.#json(payload, isBack));
        return;
      case 'end':
        this.#takeEnd(this.#json(payload, isEnd));
        return;
      case 'seal':
        this.#takeSeal(payload, before);
        return;
      default:
        recordType satisfies never;
    }
  }

  #takeHeader(header: TranscriptHeader): void {
    this.#header = header;
    this.#plannedSteps = header.steps;
    this.#lead(header.publicKey, header.leader);
  }

  /** A leader signs from here on. */
  #lead(publicKey: string, name: string | undefined): void {
    try {
      const key = { kty: 'OKP', crv: 'Ed25519', x: Buffer.from(publicKey, 'hex').toString('base64url') };
      this.#publicKey = createPublicKey({ format: 'jwk', key });
    } catch {
      throw this.#forged('the Ed25519 public key of a leader');
    }
    this.#leaders.push({ publicKey, name });
  }

  get #leader(): number {
    return this.#leaders.length - 1;
  }

  #takeStep(payload: Buffer): void {
    const end = payload.length - tagBytes;
    if (end < 4 || (end - 4) % shardBytes !== 0) throw this.#forged('whole shards in a step');
    const step = payload.readUInt32LE(0);
    if (step !== this.#steps.length) throw this.#forged(`step ${thousands(this.#steps.length + 1)} next`);
    if (step >= this.#plannedSteps) throw this.#forged(`at most the ${thousands(this.#plannedSteps)} steps of the run`);
    const shards = payload.subarray(4, end);
    const shardsBefore = this.#shardsInSegment;
    const [stateTag, leader] = [payload.subarray(end), this.#leader];
    const recorded = { step, shards, shardsBefore, stateTag, key: new Uint8Array(), leader };
    for (const { worker } of decodeShards(recorded)) {
      if (worker > this.#workers.length) throw this.#forged('a known worker for each shard');
    }
    this.#shardsInSegment += shards.length / shardBytes;
    this.#steps.push(recorded);
    this.#unsealed.add(recorded);
    this.#end = undefined;
  }

  #goBack(back: WentBack): void {
    if (back.to > this.#steps.length) throw this.#forged('a run that goes back to a step that it took');
    if (back.publicKey !== undefined) {
      if (this.#unsealed.size > 0) throw this.#forged('a seal before another leader');
      this.#lead(back.publicKey, back.leader);
    }
    this.#backs.push(back);
    this.#plannedSteps = back.steps;
    this.#steps.length = back.to;
    while ((this.#seals.at(-1)?.steps ?? 0) > back.to) this.#seals.pop();
    this.#end = undefined;
  }

  #takeEnd(end: TranscriptEnd): void {
    // An audit compares the final weights once it has taken their step.
    if (end.step > this.#steps.length) throw this.#forged('final weights of a step that was taken');
    this.#end = end;
  }

  #takeSeal(payload: Buffer, before: Buffer): void {
    if (payload.length !== sealPlaces.end) throw this.#forged(`a seal of ${sealPlaces.end} bytes`);
    const steps = payload.readUInt32LE(0);
    const fields = payload.subarray(0, sealPlaces.signature);
    const isSigned = verify(
      null,
      signedBytes(before, fields),
      this.#publicKey!,
      payload.subarray(sealPlaces.signature),
    );
    if (!isSigned) {
      throw new TranscriptError(
        `expected a signature with the key ${shortHash(this.#leaders.at(-1)!.publicKey)} at the seal after step ${thousands(steps)}, got a wrong one: somebody else has written it`,
        this.#sealedBytes,
      );
    }
    if (steps !== this.#steps.length) throw this.#forged(`a seal after step ${thousands(this.#steps.length)}`);
    const key = payload.subarray(sealPlaces.key, sealPlaces.signature);
    for (const step of this.#unsealed) step.key = key;
    this.#unsealed.clear();
    this.#shardsInSegment = 0;
    this.#seals.push({
      ...{ steps, leader: this.#leader },
      weightsSha256: payload.toString('hex', sealPlaces.weights, sealPlaces.optimizer),
      optimizerSha256: payload.toString('hex', sealPlaces.optimizer, sealPlaces.key),
    });
    this.#sealedBytes = this.#at;
  }

  #json<Value>(payload: Buffer, isValue: (value: Record<string, unknown>) => boolean): Value {
    try {
      const value: unknown = JSON.parse(payload.toString());
      if (typeof value === 'object' && value !== null && isValue(value as Record<string, unknown>)) {
        return value as Value;
      }
    } catch (error) {
      throw this.#forged(`JSON that can be read (${errorMessage(error)})`);
    }
    throw this.#forged('a record with all its fields');
  }

  get #place(): string {
    const taken = this.#steps.length;
    return taken === 0 ? 'before the first step' : `after step ${thousands(taken)}`;
  }

  #torn(): TranscriptError {
    const rest = thousands(this.#file.length - this.#sealedBytes);
    const repair = this.#sealedBytes > 0 ? '; resuming a killed run repairs it' : '';
    const message = `expected a seal at the end, got ${rest} bytes without one ${this.#place}: the file is torn or was changed${repair}`;
    return new TranscriptError(message, this.#sealedBytes);
  }

  #changed(): TranscriptError {
    return new TranscriptError(
      `expected a record that continues the chain ${this.#place}, got another one: the file was changed`,
      this.#sealedBytes,
    );
  }

  #forged(expected: string): TranscriptError {
    const message = `expected ${expected}, got something else ${this.#place}: no coordinator writes such a transcript`;
    return new TranscriptError(message, this.#sealedBytes);
  }
}

/** Returns the shards of a step in the order of their microbatches, each with the number of its tag. */
export function decodeShards({ shards, shardsBefore }: Pick<RecordedStep, 'shards' | 'shardsBefore'>) {
  const bytes = Buffer.from(shards.buffer, shards.byteOffset, shards.byteLength);
  const decoded = Array.from({ length: bytes.length / shardBytes }, (_, index) => {
    const at = index * shardBytes;
    const [lo, n, worker] = [bytes.readUInt32LE(at), 2 ** bytes.readUInt8(at + 4), bytes.readUInt32LE(at + 5)];
    const tag = bytes.subarray(at + 9, at + shardBytes);
    return { lo, n, worker, tag, number: shardsBefore + index } satisfies RecordedShard & { number: number };
  });
  return decoded.sort((a, b) => a.lo - b.lo);
}

/** Groups the steps that stand, in their order, by the leader that signed them. */
export function ledSteps({ steps, leaders }: Transcript): LedSteps[] {
  const led: Mutable<LedSteps>[] = [];
  for (const { step, leader } of steps) {
    const { publicKey, name } = leaders[leader]!;
    const last = led.at(-1);
    if (last?.publicKey === publicKey) last.to = step + 1;
    else led.push({ publicKey, name, from: step + 1, to: step + 1 });
  }
  return led;
}

const areText = (value: Record<string, unknown>, ...names: string[]): boolean =>
  names.every((name) => typeof value[name] === 'string');
const areObjects = (value: Record<string, unknown>, ...names: string[]): boolean =>
  names.every((name) => typeof value[name] === 'object' && value[name] !== null);
const areCounts = (value: Record<string, unknown>, ...names: string[]): boolean =>
  names.every((name) => Number.isSafeInteger(value[name]) && (value[name] as number) >= 0);

const isHeader = (value: Record<string, unknown>): boolean =>
  areText(value, 'lockstep', 'publicKey', 'numericMode', 'numericsHash') &&
  areObjects(value, 'identity', 'data') &&
  areCounts(value, 'steps') &&
  isIdentity(value['identity'] as Record<string, unknown>);
const isIdentity = (value: Record<string, unknown>): boolean =>
  areText(value, 'data') && areCounts(value, 'seed') && (value['seed'] as number) < 2 ** 32;
const isWorker = (value: Record<string, unknown>): boolean =>
  areText(value, 'id', 'name', 'kind', 'backend', 'numericMode');
const isBack = (value: Record<string, unknown>): boolean =>
  areText(value, 'cause', ...('publicKey' in value ? ['publicKey', 'leader'] : [])) && areCounts(value, 'to', 'steps');
const isEnd = (value: Record<string, unknown>): boolean =>
  areText(value, 'outcome', 'weightsSha256') &&
  outcomes.includes(value['outcome'] as TranscriptEnd['outcome']) &&
  areCounts(value, 'step');
