/**
 * Writes the transcript of a run while it trains, and continues that of a run that resumes: to its file, or in a fleet
 * to the store in parts, each with a checkpoint. A leader continues the chain that its checkpoint names with a key of
 * its own, so no later part of an earlier leader belongs to the transcript.
 */
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { closeSync, fdatasyncSync, fstatSync, openSync, truncateSync, writeSync } from 'node:fs';
import { lanesIn, type ParameterServer } from '@lockstep/compute';
import type { SumRecorder } from '@lockstep/coordinator';
import { FileError, readRegularFile, reasonOf, shownPath } from '@lockstep/data/files';
import { errorMessage, thousands } from '@lockstep/data/shown';
import { identityOf, type Prepared } from '@lockstep/prepare';
import type { Lanes } from '@lockstep/protocol';
import {
  type Checkpoint,
  identityDifference,
  type RunIdentity,
  type SavedTranscript,
  type SharedCheckpoints,
  shortHash,
  type TranscriptPart,
  version,
} from '@lockstep/record';
import { keptSecret, newSha256, type OpenedCheckpoints } from '@lockstep/record/node';
import type { Shard, WorkerRecord } from '@lockstep/rules';
import { configurationError, optionName } from '@lockstep/worker';
import {
  type BegunTag,
  Chain,
  engineFault,
  isSameState,
  sealedState,
  stateTagOf,
  type TrainingState,
  TranscriptEncoder,
  type TranscriptEnd,
  type TranscriptHeader,
  type TranscriptWorker,
  tagBytes,
  type WentBack,
  wordsOf,
} from './format.ts';
import { maxTranscriptBytes, readTranscript, type Transcript, TranscriptError } from './read-transcript.ts';

/** Most steps in a segment; a killed coordinator loses the record of at most one segment. */
const segmentSteps = 256;
/** Shards after which a segment ends with the step: their ciphers take memory. */
const segmentShards = 8192;

/** The run that a transcript records. */
interface RecordedRun {
  readonly parameterServer: Pick<ParameterServer, 'backend' | 'view'>;
  /** The coordinator's numeric mode, and the hash of its gradient in the numerics check. */
  readonly numericMode: string;
  readonly numericsHash: string;
  /** Receives a sentence if the transcript cannot be continued; `guestLine` names nothing on this machine. */
  readonly warn: (line: string, guestLine: string) => void;
}

type PartStore = Pick<SharedCheckpoints, 'name' | 'place' | 'writePart' | 'readParts'>;

interface TranscriberOptions {
  readonly file: string;
  readonly privateKey: KeyObject;
  readonly header: Omit<TranscriptHeader, 'numericMode' | 'numericsHash'>;
  /** The transcript of the steps before, up to a seal; in a file, that many bytes. */
  readonly before?: (SavedTranscript & { readonly bytes?: number }) | undefined;
  /** The store of a fleet's parts; the file then gets the whole transcript at the end. */
  readonly store?: PartStore | undefined;
  /** Steps taken before this process. */
  readonly firstStep: number;
}

/**
 * Opens a run's transcript; undefined in a run without one.
 * @throws ConfigurationError if a resumed run's transcript cannot be continued
 */
export async function openTranscript(
  prepared: Prepared,
  checkpoints: Pick<OpenedCheckpoints, 'identity' | 'resumeFrom'> | undefined,
): Promise<Transcriber | undefined> {
  const { resumeFrom } = checkpoints ?? {};
  const { transcript: file, checkpoint, data, plan, heldOut } = prepared;
  if (file === undefined) return undefined;
  const fault = engineFault();
  if (fault !== undefined) throw configurationError`${optionName('transcript', file)}: ${fault}`;
  const privateKey = parseKey(
    await keptSecret({ checkpoint, fileName: 'transcript-key', isValid: isKey, create: newKey }),
  );
  const publicKey = publicHex(privateKey);
  const identity = checkpoints?.identity ?? identityOf(prepared, newSha256);
  const store = checkpoint?.store;
  const header = {
    ...{ lockstep: version, publicKey, ...(store && { leader: store.name }), identity, steps: plan.steps },
    data: { name: data.name ?? null, readBy: data.readBy },
    ...(heldOut !== undefined && { heldOut }),
  };
  const options = { file, privateKey, header, store };
  if (!resumeFrom) return new Transcriber({ ...options, firstStep: 0 });
  const { step: firstStep, transcript: saved } = resumeFrom;
  if (store) {
    if (saved) return new Transcriber({ ...options, before: saved, firstStep });
    throw configurationError`${optionName('transcript', file)}: expected a checkpoint of a run with a transcript, got one without; use another name for another run`;
  }
  try {
    const { transcript, bytes } = readSealed(file);
    requireContinued(transcript, { identity, publicKey, resumeFrom });
    const { chain, workers, steps } = transcript;
    const stateTag = Buffer.from(steps[firstStep - 1]?.stateTag ?? '').toString('hex');
    const before = { bytes, chain: chain.hash.toString('hex'), workers: workers.length, stateTag };
    return new Transcriber({ ...options, before, firstStep });
  } catch (error) {
    const advice = 'resume without a transcript, or give the one that the run began with';
    const option = error instanceof FileError ? optionName('transcript') : optionName('transcript', file);
    throw configurationError`${option}: ${errorMessage(error)}; ${advice}`;
  }
}

/** Reads a transcript up to its last seal: what a killed coordinator wrote after it is torn. */
function readSealed(file: string): { readonly transcript: Transcript; readonly bytes: number } {
  const bytes = readRegularFile(file, maxTranscriptBytes);
  try {
    return { transcript: readTranscript(bytes), bytes: bytes.length };
  } catch (error) {
    if (!(error instanceof TranscriptError) || error.sealedBytes === 0) throw error;
    return { transcript: readTranscript(bytes.subarray(0, error.sealedBytes)), bytes: error.sealedBytes };
  }
}

interface Continuing {
  readonly identity: RunIdentity;
  readonly publicKey: string;
  readonly resumeFrom: Checkpoint;
}

/** @throws Error unless the run resumes from a state of the transcript */
function requireContinued({ header, steps, seals }: Transcript, { identity, publicKey, resumeFrom }: Continuing): void {
  const difference = identityDifference(identity, header.identity);
  if (difference !== undefined) throw new Error(`it belongs to another run: ${difference}`);
  if (header.publicKey !== publicKey) {
    const [expected, got] = [publicKey, header.publicKey].map(shortHash);
    throw new Error(`expected a transcript signed with the key in the folder of checkpoints, ${expected}, got ${got}`);
  }
  const { step } = resumeFrom;
  if (step > steps.length) {
    const [expected, got] = [step, steps.length].map(thousands);
    throw new Error(`expected the ${expected} steps that the run had taken, got ${got}`);
  }
  const state = sealedState(step, resumeFrom);
  if (!seals.some((seal) => isSameState(seal, state)))
    throw new Error(`expected the state after step ${thousands(step)} from which the run resumes, got another`);
}

/** A shard whose worker has no number yet. */
interface AddedShard extends Shard {
  readonly worker: WorkerRecord | undefined;
  readonly tag: BegunTag;
}

interface TakenStep {
  readonly step: number;
  readonly shards: readonly AddedShard[];
  /** Words of the tag of the state after the step; omitted until they are read. */
  words?: readonly Int32Array[];
}

/** Records the sums of a run's steps. Does nothing any more once the file cannot be written. */
export class Transcriber implements SumRecorder {
  readonly #options: TranscriberOptions;
  readonly #encoder: TranscriptEncoder;
  readonly #unsent: UnsentParts | undefined;
  /** The number of each worker that this process has named, by its record as JSON. */
  readonly #workers = new Map<string, number>();
  /**
   * The tag after each number of steps from the first on, because the run may go back to any; memory for later ones may
   * follow.
   */
  #stateTags = new Uint8Array(tagBytes * segmentSteps);
  #run: RecordedRun | undefined;
  #lanesBy: Lanes = lanesIn(undefined);
  #descriptor: number | undefined;
  /** Size of the file, unless another process writes to it. */
  #fileBytes = 0;
  #shards: AddedShard[] = [];
  /** Shards since the last seal. */
  #shardsInSegment = 0;
  /** Steps to encode with the next seal: between two steps, the code for that is not in the caches. */
  #taken: TakenStep[] = [];
  #steps: number;
  #hasTaken = false;

  constructor(options: TranscriberOptions) {
    this.#options = options;
    const { before, firstStep, privateKey, store } = options;
    this.#encoder = new TranscriptEncoder(privateKey, before && new Chain(Buffer.from(before.chain, 'hex')));
    this.#unsent = store && new UnsentParts(store, before?.chain);
    this.#steps = firstStep;
    this.#setStateTag(firstStep, Buffer.from(before?.stateTag ?? '', 'hex'));
  }

  get dataSha256(): string {
    return this.#options.header.identity.data;
  }

  /**
   * Opens the file, and seals the state before the first step.
   * @returns a line for people; undefined if the disk takes nothing
   * @throws ConfigurationError if the file cannot be opened
   */
  begin(run: RecordedRun): string | undefined {
    this.#run = run;
    this.#lanesBy = lanesIn(run.parameterServer.backend.codec);
    const { file, before, header, firstStep, store } = this.#options;
    const { publicKey, leader } = header;
    const isContinued = before?.bytes !== undefined;
    try {
      if (isContinued) truncateSync(file, before.bytes);
      this.#fileBytes = before?.bytes ?? 0;
      this.#descriptor = openSync(file, isContinued ? 'a' : 'w');
    } catch (error) {
      throw configurationError`${optionName('transcript')}: expected a file that can be written, got ${shownPath(file)} (${reasonOf(error)})`;
    }
    const { numericMode, numericsHash } = run;
    const resumed = { to: firstStep, cause: 'resumed', steps: header.steps } as const;
    if (before) this.#back({ ...resumed, ...(store && { publicKey, leader }) });
    else this.#encoder.json('header', { ...header, numericMode, numericsHash });
    this.seal();
    if (this.#descriptor === undefined) return undefined;
    const place = store ? `in ${store.place}, at the end in ${shownPath(file)}` : shownPath(file);
    return `Transcript: ${place}, signed with the key ${publicKey}`;
  }

  add(place: Shard & { readonly step: number }, worker: WorkerRecord | undefined, sum: Float32Array): void {
    if (this.#descriptor === undefined) return;
    this.#sealIfDue();
    // Reading the state right after the step would delay the weights, for which all workers wait.
    this.#readState();
    this.#shards.push({
      lo: place.lo,
      n: place.n,
      worker,
      tag: this.#encoder.tagger.begin(this.#shardsInSegment, sum),
    });
    this.#shardsInSegment += 1;
  }

  restart(): void {
    // Nobody has seen the tags that had these numbers.
    this.#shardsInSegment -= this.#shards.length;
    this.#shards = [];
  }

  stepped(step: number): void {
    this.#steps = step + 1;
    this.#hasTaken = true;
    if (this.#descriptor === undefined) return;
    this.#taken.push({ step, shards: this.#shards });
    this.#shards = [];
    // First the workers are sent the weights.
    if (this.#isDue) setImmediate(() => this.#sealIfDue());
  }

  goBack(step: number): void {
    this.#back({ to: step, cause: 'rewound', steps: this.#options.header.steps });
  }

  /** Writes everything so far, with the state between two steps, so that the file is whole. */
  seal(): void {
    this.#write(false);
  }

  /**
   * Seals what a checkpoint is about to hold, and waits for the disk: a run resumes only from a recorded state.
   * @returns what the checkpoint keeps in a fleet, for the next leader
   */
  sealForCheckpoint(): SavedTranscript | undefined {
    this.#write(true);
    const chain = this.#unsent?.cut(this.#encoder.hash);
    const stateTag = Buffer.from(this.#stateTagAfter(this.#steps)).toString('hex');
    return chain === undefined ? undefined : { chain, workers: this.#workersSoFar, stateTag };
  }

  /** Sends the parts of a fleet's transcript up to the last checkpoint. @throws Error if the store does not take them */
  async sendParts(): Promise<void> {
    await this.#unsent?.send();
  }

  /** Records how the run ended, and ends the file. @returns a line for people; undefined if the file is not whole */
  async end(end: TranscriptEnd): Promise<string | undefined> {
    const { store, file } = this.#options;
    // A leader that finds the run at its end has nothing to add.
    const ended = store && !this.#hasTaken ? await endedTranscript(store) : undefined;
    if (!ended) {
      this.#encodeSteps();
      this.#encoder.json('end', end);
      this.#write(true);
    }
    try {
      if (this.#descriptor !== undefined && store) this.#append(ended ?? (await this.#sent(store)), true);
    } catch (error) {
      this.#fail(error);
    }
    if (this.#descriptor === undefined) return undefined;
    this.close();
    return `Transcript written to ${shownPath(file)}`;
  }

  /** Sends what is left. @returns the whole transcript */
  async #sent(store: PartStore): Promise<Uint8Array> {
    const last = this.#unsent!.cut(this.#encoder.hash);
    await this.#unsent!.send();
    return (await store.readParts(last))!;
  }

  /** Closes the file; without `end` it is the transcript of a run that has not ended. */
  close(): void {
    if (this.#descriptor !== undefined) closeSync(this.#descriptor);
    this.#descriptor = undefined;
  }

  /** Records that steps will be taken again, before the weights go back. */
  #back(back: WentBack): void {
    this.#encodeSteps();
    this.restart();
    this.#encoder.json('back', back);
    this.#steps = back.to;
  }

  #numberOf(record: WorkerRecord | undefined): number {
    if (!record) return 0;
    const { id, name, kind, backend, numericMode, numericsHash } = record;
    const worker: TranscriptWorker = { id, name, kind, backend, numericMode, numericsHash };
    const key = JSON.stringify(worker);
    const known = this.#workers.get(key);
    if (known !== undefined) return known;
    this.#encoder.json('worker', worker);
    this.#workers.set(key, this.#workersSoFar + 1);
    return this.#workersSoFar;
  }

  get #workersSoFar(): number {
    return (this.#options.before?.workers ?? 0) + this.#workers.size;
  }

  /** Must be called before a result of the next step is added. */
  #sealIfDue(): void {
    if (this.#isDue) this.seal();
  }

  get #isDue(): boolean {
    const isBetweenSteps = this.#shards.length === 0;
    return isBetweenSteps && (this.#taken.length >= segmentSteps || this.#shardsInSegment >= segmentShards);
  }

  /** Reads the state after the last step. Must be called before it changes. */
  #readState(): void {
    const last = this.#taken.at(-1);
    if (last) last.words ??= wordsOf(this.#state, this.#lanesBy);
  }

  #encodeSteps(): void {
    this.#readState();
    for (const { step, shards, words } of this.#taken) {
      const numbered = shards.map((shard) => ({ ...shard, worker: this.#numberOf(shard.worker) }));
      const stateTag = stateTagOf(this.#stateTagAfter(step), words!);
      this.#setStateTag(step + 1, stateTag);
      this.#encoder.step(step, numbered, stateTag);
    }
    this.#taken = [];
  }

  #stateTagAfter(steps: number): Uint8Array {
    const at = tagBytes * (steps - this.#options.firstStep);
    return this.#stateTags.subarray(at, at + tagBytes);
  }

  #setStateTag(steps: number, tag: Uint8Array): void {
    const end = tagBytes * (steps - this.#options.firstStep + 1);
    if (end > this.#stateTags.length) {
      const shorter = this.#stateTags;
      this.#stateTags = new Uint8Array(2 * end);
      this.#stateTags.set(shorter);
    }
    this.#stateTags.set(tag, end - tagBytes);
  }

  get #state(): TrainingState {
    return this.#run!.parameterServer.view();
  }

  #write(isSynced: boolean): void {
    this.#encodeSteps();
    if (this.#descriptor === undefined) return;
    const segment = this.#encoder.seal(sealedState(this.#steps, this.#state));
    this.#shardsInSegment = 0;
    if (this.#unsent) this.#unsent.add(segment);
    else this.#append(segment, isSynced);
  }

  #append(bytes: Uint8Array, isSynced: boolean): void {
    try {
      const stats = fstatSync(this.#descriptor!);
      // Such as another coordinator that resumes the same run.
      if (stats.isFile() && stats.size !== this.#fileBytes) throw new Error('another process has changed the file');
      for (let at = 0; at < bytes.length; ) at += writeSync(this.#descriptor!, bytes, at);
      this.#fileBytes += bytes.length;
      if (isSynced) fdatasyncSync(this.#descriptor!);
    } catch (error) {
      this.#fail(error);
    }
  }

  #fail(error: unknown): void {
    const what = `the transcript could not be written at step ${thousands(this.#steps)}`;
    const rest = 'training continues without it';
    this.#run!.warn(`${what}: ${reasonOf(error)}; ${rest}`, `${what}; ${rest}`);
    this.close();
  }
}

/** Records of a fleet's leader that are not in the store yet. */
class UnsentParts {
  readonly #store: PartStore;
  #parts: TranscriptPart[] = [];
  /** Segments after the last part. */
  #segments: Uint8Array[] = [];
  #last: string | undefined;
  #sending = Promise.resolve();

  /** @param last name of the part that the first one continues */
  constructor(store: PartStore, last: string | undefined) {
    this.#store = store;
    this.#last = last;
  }

  add(segment: Uint8Array): void {
    this.#segments.push(segment);
  }

  /** Ends a part. @param chain hash of all records so far, in hex @returns the part's name */
  cut(chain: string): string {
    if (this.#segments.length > 0) {
      this.#parts.push({ name: chain, before: this.#last, bytes: Buffer.concat(this.#segments) });
    }
    this.#segments = [];
    this.#last = chain;
    return chain;
  }

  /** @throws Error if the store does not take a part, which is then sent the next time */
  send(): Promise<void> {
    const sendAll = async (): Promise<void> => {
      for (; this.#parts.length > 0; this.#parts.shift()) await this.#store.writePart(this.#parts[0]!);
    };
    this.#sending = this.#sending.then(sendAll, sendAll);
    return this.#sending;
  }
}

/** The bytes of a fleet's transcript if it has its end. */
async function endedTranscript(store: PartStore): Promise<Uint8Array | undefined> {
  try {
    const bytes = await store.readParts();
    return bytes && readTranscript(bytes).end && bytes;
  } catch {
    return undefined;
  }
}

function newKey(): string {
  const { privateKey } = generateKeyPairSync('ed25519');
  return privateKey.export({ type: 'pkcs8', format: 'der' }).toString('base64');
}

function parseKey(text: string): KeyObject {
  return createPrivateKey({ key: Buffer.from(text, 'base64'), format: 'der', type: 'pkcs8' });
}

function isKey(text: string): boolean {
  try {
    return parseKey(text).asymmetricKeyType === 'ed25519';
  } catch {
    return false;
  }
}

function publicHex(privateKey: KeyObject): string {
  return Buffer.from(createPublicKey(privateKey).export({ format: 'jwk' }).x!, 'base64url').toString('hex');
}
