/** Writes the transcript of a run while it trains, and continues that of a run that resumes. */
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { closeSync, fdatasyncSync, openSync, truncateSync, writeSync } from 'node:fs';
import { lanesIn, type ParameterServer } from '@lockstep/compute';
import { FileError, readRegularFile, reasonOf, shownPath } from '@lockstep/data/files';
import { errorMessage, thousands } from '@lockstep/data/shown';
import type { Lanes } from '@lockstep/protocol';
import type { Shard, WorkerRecord } from '@lockstep/rules';
import { configurationError, optionName } from '@lockstep/worker';
import { type Checkpoint, identityDifference, type RunIdentity } from '../checkpoint/checkpoint.ts';
import type { OpenedCheckpoints } from '../checkpoint/checkpoints.ts';
import type { SumRecorder } from '../coordinator/run-options.ts';
import { newSha256 } from '../node/sha256.ts';
import { identityOf, type Prepared } from '../prepared.ts';
import { keptSecret } from '../site/secrets.ts';
import { version } from '../version.ts';
import {
  type BegunTag,
  engineFault,
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
import { maxTranscriptBytes, readTranscript, shortKey, type Transcript, TranscriptError } from './read-transcript.ts';

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

interface TranscriberOptions {
  readonly file: string;
  readonly privateKey: KeyObject;
  readonly header: Omit<TranscriptHeader, 'numericMode' | 'numericsHash'>;
  /** The transcript of the steps before, up to its last seal, and that many bytes of its file. */
  readonly before?: { readonly transcript: Transcript; readonly bytes: number } | undefined;
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
  if (checkpoint?.store) {
    throw configurationError`${optionName('transcript', file)}: cannot be combined with ${optionName('checkpoint.store')}, whose coordinators would each need the records of the others`;
  }
  const fault = engineFault();
  if (fault !== undefined) throw configurationError`${optionName('transcript', file)}: ${fault}`;
  const privateKey = parseKey(
    await keptSecret({ checkpoint, fileName: 'transcript-key', isValid: isKey, create: newKey }),
  );
  const publicKey = publicHex(privateKey);
  const identity = checkpoints?.identity ?? identityOf(prepared, newSha256);
  const header = {
    ...{ lockstep: version, publicKey, identity, steps: plan.steps },
    data: { name: data.name ?? null, readBy: data.readBy },
    ...(heldOut !== undefined && { heldOut }),
  };
  if (!resumeFrom) return new Transcriber({ file, privateKey, header, firstStep: 0 });
  try {
    const before = readSealed(file);
    requireContinued(before.transcript, { identity, publicKey, resumeFrom });
    return new Transcriber({ file, privateKey, header, before, firstStep: resumeFrom.step });
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
    const [expected, got] = [publicKey, header.publicKey].map(shortKey);
    throw new Error(`expected a transcript signed with the key in the folder of checkpoints, ${expected}, got ${got}`);
  }
  const { step } = resumeFrom;
  if (step > steps.length) {
    const [expected, got] = [step, steps.length].map(thousands);
    throw new Error(`expected the ${expected} steps that the run had taken, got ${got}`);
  }
  const state = sealedState(step, resumeFrom);
  const isKnown = seals.some(
    ({ steps: taken, weightsSha256, optimizerSha256 }) =>
      taken === step && weightsSha256 === state.weightsSha256 && optimizerSha256 === state.optimizerSha256,
  );
  if (!isKnown)
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
  /** The words that tag the state after the step. */
  readonly words: readonly Int32Array[];
}

/** Records the sums of a run's steps. Does nothing any more once the file cannot be written. */
export class Transcriber implements SumRecorder {
  readonly #options: TranscriberOptions;
  readonly #encoder: TranscriptEncoder;
  /** The number of each worker, by its record as JSON. */
  readonly #workers = new Map<string, number>();
  /** The tag after each number of steps, because the run may go back to any; memory for later ones may follow. */
  #stateTags = new Uint8Array(tagBytes * segmentSteps);
  #run: RecordedRun | undefined;
  #lanesBy: Lanes = lanesIn(undefined);
  #descriptor: number | undefined;
  #shards: AddedShard[] = [];
  /** Shards since the last seal. */
  #shardsInSegment = 0;
  /** Steps to encode with the next seal: between two steps, the code for that is not in the caches. */
  #taken: TakenStep[] = [];
  #steps: number;

  constructor(options: TranscriberOptions) {
    this.#options = options;
    const { before, firstStep, privateKey } = options;
    this.#encoder = new TranscriptEncoder(privateKey, before?.transcript.chain);
    this.#steps = firstStep;
    for (const { step, stateTag } of before?.transcript.steps.slice(0, firstStep) ?? [])
      this.#setStateTag(step + 1, stateTag);
    for (const worker of before?.transcript.workers ?? [])
      this.#workers.set(JSON.stringify(worker), this.#workers.size + 1);
  }

  /**
   * Opens the file, and seals the state before the first step.
   * @returns a line for people; undefined if the disk takes nothing
   * @throws ConfigurationError if the file cannot be opened
   */
  begin(run: RecordedRun): string | undefined {
    this.#run = run;
    this.#lanesBy = lanesIn(run.parameterServer.backend.codec);
    const { file, before, header, firstStep } = this.#options;
    try {
      if (before) truncateSync(file, before.bytes);
      this.#descriptor = openSync(file, before ? 'a' : 'w');
    } catch (error) {
      throw configurationError`${optionName('transcript')}: expected a file that can be written, got ${shownPath(file)} (${reasonOf(error)})`;
    }
    const { numericMode, numericsHash } = run;
    if (before) this.#back({ to: firstStep, cause: 'resumed', steps: header.steps });
    else this.#encoder.header({ ...header, numericMode, numericsHash });
    this.seal();
    if (this.#descriptor === undefined) return undefined;
    return `Transcript: ${shownPath(file)}, signed with the key ${header.publicKey}`;
  }

  add(place: Shard & { readonly step: number }, worker: WorkerRecord | undefined, sum: Float32Array): void {
    if (this.#descriptor === undefined) return;
    this.#sealIfDue();
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
    if (this.#descriptor === undefined) return;
    // Read at once, because the step has left the weights in the cache, from which they will be sent.
    this.#taken.push({ step, shards: this.#shards, words: wordsOf(this.#state, this.#lanesBy) });
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

  /** Seals what a checkpoint is about to hold, and waits for the disk: a run resumes only from a recorded state. */
  sealForCheckpoint(): void {
    this.#write(true);
  }

  /** Records how the run ended, and ends the file. @returns a line for people; undefined if the file is not whole */
  end(end: TranscriptEnd): string | undefined {
    this.#encodeSteps();
    this.#encoder.end(end);
    this.#write(true);
    if (this.#descriptor === undefined) return undefined;
    this.close();
    return `Transcript written to ${shownPath(this.#options.file)}`;
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
    this.#encoder.back(back);
    this.#steps = back.to;
  }

  #numberOf(record: WorkerRecord | undefined): number {
    if (!record) return 0;
    const { id, name, kind, backend, numericMode, numericsHash } = record;
    const worker: TranscriptWorker = { id, name, kind, backend, numericMode, numericsHash };
    const key = JSON.stringify(worker);
    const known = this.#workers.get(key);
    if (known !== undefined) return known;
    this.#encoder.worker(worker);
    this.#workers.set(key, this.#workers.size + 1);
    return this.#workers.size;
  }

  /** Must be called before a result of the next step is added. */
  #sealIfDue(): void {
    if (this.#isDue) this.seal();
  }

  get #isDue(): boolean {
    const isBetweenSteps = this.#shards.length === 0;
    return isBetweenSteps && (this.#taken.length >= segmentSteps || this.#shardsInSegment >= segmentShards);
  }

  #encodeSteps(): void {
    for (const { step, shards, words } of this.#taken) {
      const numbered = shards.map((shard) => ({ ...shard, worker: this.#numberOf(shard.worker) }));
      const before = this.#stateTags.subarray(tagBytes * step, tagBytes * (step + 1));
      const stateTag = stateTagOf(before, words);
      this.#setStateTag(step + 1, stateTag);
      this.#encoder.step(step, numbered, stateTag);
    }
    this.#taken = [];
  }

  #setStateTag(steps: number, tag: Uint8Array): void {
    const end = tagBytes * (steps + 1);
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
    try {
      for (let at = 0; at < segment.length; ) at += writeSync(this.#descriptor, segment, at);
      if (isSynced) fdatasyncSync(this.#descriptor);
    } catch (error) {
      const what = `the transcript could not be written at step ${thousands(this.#steps)}`;
      const rest = 'training continues without it';
      this.#run!.warn(`${what}: ${reasonOf(error)}; ${rest}`, `${what}; ${rest}`);
      this.close();
    }
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
