/** Audits a run by its transcript: computes steps again and names the first that is wrong, and who computed it. */
import { randomInt } from 'node:crypto';
import {
  checkKinds,
  fractionKind,
  functionKind,
  joinKinds,
  type KindsOf,
  kindOf,
  listKind,
  objectKind,
  textKind,
  threads as threadsKind,
} from '@lockstep/command/options';
import { createPause } from '@lockstep/compute';
import { argumentKinds, checkArguments, DataError, movableSamples } from '@lockstep/data';
import { reasonOf, shownPath } from '@lockstep/data/files';
import { loadMnist, openDataset, openDefaultText } from '@lockstep/data/node';
import { splitDataset } from '@lockstep/data/readers';
import { errorMessage, percent, plural, thousands } from '@lockstep/data/shown';
import { dataKind, modelFileKind, type TrainingData } from '@lockstep/prepare';
import { decodeCheckpoint, identityDifference, shortHash } from '@lockstep/record';
import { CheckpointFolder, sha256 } from '@lockstep/record/node';
import { usedMicrobatches } from '@lockstep/rules';
import { systemClock } from '@lockstep/worker';
import { type Finding, leaderIn, nameOf, sentenceOf } from './findings.ts';
import {
  engineFault,
  isSameState,
  type RecordedShard,
  sealedState,
  type TranscriptHeader,
  tagBytes,
  tagOf,
} from './format.ts';
import {
  decodeShards,
  type LedSteps,
  ledSteps,
  readTranscript,
  type Transcript,
  TranscriptError,
} from './read-transcript.ts';
import { Replay, type ReplayState } from './replay.ts';

/** Options of an audit; each has a default. */
export interface AuditOptions {
  /** The run's data, or the path of a file or folder; by default what the run had without a path. */
  readonly data?: string | TrainingData | undefined;
  /** Bytes of the model file with which the run began, if it began with one. */
  readonly initialWeights?: Uint8Array | undefined;
  /** States of the run at which to begin, or the folder of its checkpoints; others than the transcript's are ignored. */
  readonly states?: string | readonly StoredState[] | undefined;
  /** Fraction of the steps to compute, above 0 and up to 1, in spans that begin at a state; by default all. */
  readonly rate?: number | undefined;
  /** The bytes of a second transcript of the run: only the first step after which the state differs is checked. */
  readonly against?: Uint8Array | undefined;
  /** SHA-256 of weights, in hex, which must be those that the run ended with. */
  readonly weightsSha256?: string | undefined;
  /** The only public keys that may have signed the transcript, in hex; by default those in it are believed. */
  readonly publicKeys?: readonly string[] | undefined;
  /** Compute threads, by default 1. */
  readonly threads?: number | undefined;
  /** Aborted to end the audit early. */
  readonly signal?: AbortSignal | undefined;
  /** Called after each step with the number of steps computed so far, and of all steps to compute. */
  readonly onStep?: ((done: number, of: number) => void) | undefined;
  /** Returns a number from 0 to below 1; chooses the spans. */
  readonly random?: (() => number) | undefined;
}

const kinds = {
  data: dataKind,
  initialWeights: modelFileKind,
  states: kindOf('a folder, or a list of states', (value) => typeof value === 'string' || Array.isArray(value)),
  rate: fractionKind,
  against: objectKind('the bytes of a transcript', (value) => value instanceof Uint8Array),
  weightsSha256: textKind,
  publicKeys: listKind(textKind, 'a list of public keys', 'HEX,…'),
  threads: threadsKind,
  signal: joinKinds.signal,
  onStep: functionKind(),
  random: functionKind(),
} as const satisfies KindsOf<AuditOptions>;

/** A state of a run, which is read when it is needed. */
export interface StoredState {
  /** Steps taken. */
  readonly step: number;
  /** Returns undefined if it is of another run, or cannot be read. */
  readonly read: () => Promise<ReplayState | undefined>;
}

/** The outcome of an audit, and what it took. */
export interface AuditResult {
  /** Whether nothing wrong was found. */
  readonly isRight: boolean;
  /** One sentence for people. */
  readonly sentence: string;
  readonly finding: Finding | undefined;
  /** The steps that each coordinator signed, counted from 1. */
  readonly led: readonly LedSteps[];
  /** Comparisons of the states of two transcripts. */
  readonly comparisons: number;
  /** Steps computed at once, to reach a state. */
  readonly reachedSteps: number;
  /** Steps computed shard by shard. */
  readonly checkedSteps: number;
}

type Counts = { -readonly [Name in 'comparisons' | 'reachedSteps' | 'checkedSteps']: AuditResult[Name] };

/**
 * Computes the steps of a recorded run again, and names the first that is wrong.
 * Compares the sum of each shard, the state after each step, and the states that the coordinator signed.
 * @param file the bytes of the transcript
 * @throws TranscriptError if it cannot be audited: it is torn, was changed, or data or weights are not the run's;
 * DataError if the data cannot be read; ConfigurationError for an option of the wrong kind
 */
export async function audit(file: Uint8Array, options: AuditOptions = {}): Promise<AuditResult> {
  checkArguments('audit', [argumentKinds.bytes, file]);
  checkKinds(options, kinds);
  const fault = engineFault();
  if (fault !== undefined) throw new TranscriptError(fault);
  const transcript = readTranscript(file);
  const { publicKeys, weightsSha256, against, threads = 1, initialWeights, rate } = options;
  requireKeys(transcript, publicKeys);
  requireEnding(transcript, weightsSha256);
  const other = against && readOther(transcript, against);
  const data = await trainingSamples(transcript.header, options);
  const replay = await Replay.open(transcript, { ...data, initialWeights, threads });
  try {
    const states = typeof options.states === 'string' ? await statesIn(options.states) : options.states;
    const auditor = new Auditor(transcript, replay, { ...options, states });
    if (other) return await auditor.against(other);
    return await (rate === undefined ? auditor.whole() : auditor.samples(rate));
  } finally {
    await replay.close();
  }
}

/** The state after a step, as a transcript claims it. */
interface Claim {
  readonly leader: number;
  readonly weightsSha256: string;
  /** Omitted if it says nothing of the optimizer. */
  readonly optimizerSha256?: string;
}

interface AuditorOptions extends Pick<AuditOptions, 'signal' | 'onStep' | 'random'> {
  readonly states?: readonly StoredState[] | undefined;
}

class Auditor {
  readonly #transcript: Transcript;
  readonly #replay: Replay;
  readonly #options: AuditorOptions;
  /** Hashes of the state after some steps: of the seals, and of the weights that the run ended with. */
  readonly #claims = new Map<number, Claim[]>();
  readonly #pause = createPause(true, systemClock);
  readonly #counts: Counts;
  #toCompute = 0;

  /** @param counts of an audit of which this one is a part */
  constructor(
    transcript: Transcript,
    replay: Replay,
    options: AuditorOptions,
    counts = { comparisons: 0, reachedSteps: 0, checkedSteps: 0 },
  ) {
    this.#counts = counts;
    this.#transcript = transcript;
    this.#replay = replay;
    this.#options = options;
    const { seals, end, leaders } = transcript;
    for (const seal of seals) this.#claim(seal.steps, seal);
    if (end) this.#claim(end.step, { ...end, leader: leaders.length - 1 });
  }

  async whole(): Promise<AuditResult> {
    const { steps, plannedSteps, end } = this.#transcript;
    if (steps.length === 0) throw new TranscriptError('expected the record of a step, got none: the run took no step');
    this.#toCompute = steps.length;
    const finding = this.#stateFault() ?? (await this.#checkTo(steps.length));
    if (finding) return this.#result(finding);
    const weights = end && `, up to the weights ${shortHash(end.weightsSha256)}`;
    if (end) {
      const others = steps.length > end.step ? ` that it kept after step ${thousands(end.step)}` : '';
      const early =
        steps.length < plannedSteps ? ` before the last of its ${thousands(plannedSteps)} planned steps` : '';
      const ended = { finished: `finished${early}`, stopped: 'was stopped', failed: 'failed' }[end.outcome];
      return this.#result(
        undefined,
        `All ${thousands(steps.length)} steps are exact${weights}${others}; the run ${ended}`,
      );
    }
    const rest = `the transcript ends there, before the end of the run of ${thousands(plannedSteps)} steps`;
    return this.#result(undefined, `The first ${thousands(steps.length)} steps are exact; ${rest}`);
  }

  /** Checks spans from one known state to the next, drawn at random until they have enough steps. */
  async samples(rate: number): Promise<AuditResult> {
    const { steps } = this.#transcript;
    const { random = () => randomInt(2 ** 32) / 2 ** 32 } = this.#options;
    const states = await this.#knownStates();
    if (states.length < 2) {
      throw new TranscriptError(
        'expected checkpoints of this run, at which samples can begin, got none that the transcript seals: audit all steps instead',
      );
    }
    const spans = states.map((state, index) => ({ state, to: states[index + 1]?.step ?? steps.length }));
    const chosen: typeof spans = [];
    while (spans.length > 0 && (chosen.length === 0 || this.#toCompute < rate * steps.length)) {
      const [span] = spans.splice(Math.floor(random() * spans.length), 1);
      this.#toCompute += span!.to - span!.state.step;
      chosen.push(span!);
    }
    for (const { state, to } of chosen.sort((a, b) => a.state.step - b.state.step)) {
      await this.#begin(state);
      const finding = this.#stateFault() ?? (await this.#checkTo(to));
      if (finding) return this.#result(finding);
    }
    const share = percent(this.#toCompute / Math.max(1, steps.length));
    const which = `${thousands(this.#toCompute)} of ${thousands(steps.length)} steps (${share}, in ${plural(chosen.length, 'span')})`;
    return this.#result(undefined, `${which} are exact; a wrong step among the others would not have been found`);
  }

  /** Finds the first step after which the states of two transcripts differ by bisection, and checks only that step. */
  async against(other: Transcript): Promise<AuditResult> {
    const { steps } = this.#transcript;
    const common = Math.min(steps.length, other.steps.length);
    let [same, differs] = [0, common + 1];
    while (differs - same > 1) {
      const middle = Math.floor((same + differs) / 2);
      this.#counts.comparisons += 1;
      const [one, two] = [steps[middle - 1]!, other.steps[middle - 1]!];
      if (Buffer.compare(one.stateTag, two.stateTag) === 0) same = middle;
      else differs = middle;
    }
    const isSame = differs > common && this.#agreesWith(other);
    if (isSame) {
      return this.#result(
        undefined,
        `Both transcripts have the same state after each of ${thousands(common)} steps; none was computed`,
      );
    }
    if (differs > common || !(await this.#reach(same))) {
      // Both are wrong before the step, or somebody has made two states with one tag.
      this.#replay.restore(this.#replay.initial);
      return this.whole();
    }
    const here = this.#replay.state;
    const theirs = new Auditor(other, this.#replay, this.#options, this.#counts);
    const finding = await this.#checkStep();
    if (finding) return this.#result(finding);
    this.#replay.restore(here);
    const their = await theirs.#checkStep();
    const which = `The states first differ after step ${thousands(differs)}, where this transcript is right`;
    const fault = their ? ` and the other one is not: ${sentenceOf(other, this.#replay.plan, their)}` : '';
    return this.#result(undefined, `${which}${fault}`);
  }

  /** Takes the steps to a state as fast as possible. @returns whether it is the transcript's */
  async #reach(step: number): Promise<boolean> {
    for (const stored of this.#options.states ?? []) {
      const state = stored.step === step ? await stored.read() : undefined;
      if (!state || !this.#isState(step, state)) continue;
      this.#replay.restore(state);
      return true;
    }
    const from = (await this.#knownStates()).findLast((state) => state.step <= step)!;
    await this.#begin(from);
    if (this.#stateFault()) return false;
    this.#toCompute = step - from.step + 1;
    while (this.#replay.step < step) {
      if (!(await this.#replay.take())) return false;
      this.#counts.reachedSteps += 1;
      await this.#told();
    }
    return this.#isState(step);
  }

  #claim(step: number, claim: Claim): void {
    this.#claims.set(step, [...(this.#claims.get(step) ?? []), claim]);
  }

  #agreesWith({ seals }: Transcript): boolean {
    return seals.every(({ steps, weightsSha256 }) =>
      (this.#claims.get(steps) ?? []).every((claim) => claim.weightsSha256 === weightsSha256),
    );
  }

  /** The states at which a replay may begin, in order: the first, and those that a seal states. */
  async #knownStates(): Promise<StoredState[]> {
    const { initial } = this.#replay;
    const known: StoredState[] = [{ step: 0, read: async () => initial }];
    for (const stored of this.#options.states ?? []) {
      if (!this.#claims.has(stored.step) || known.some(({ step }) => step === stored.step)) continue;
      const state = await stored.read();
      if (state && isSealed(state, this.#transcript)) known.push(stored);
    }
    return known.sort((a, b) => a.step - b.step);
  }

  async #begin(stored: StoredState): Promise<void> {
    const state = await stored.read();
    if (!state)
      throw new TranscriptError(`expected the state after step ${thousands(stored.step)}, got none: it was removed`);
    this.#replay.restore(state);
  }

  /** Checks steps shard by shard, and the states that seals state on the way. */
  async #checkTo(end: number): Promise<Finding | undefined> {
    while (this.#replay.step < end) {
      const finding = (await this.#checkStep()) ?? this.#stateFault();
      if (finding) return finding;
    }
    return undefined;
  }

  async #checkStep(): Promise<Finding | undefined> {
    const replay = this.#replay;
    const { plan } = replay;
    const recorded = this.#transcript.steps[replay.step]!;
    const { leader } = recorded;
    const step = recorded.step + 1;
    const led = { step, ...leaderIn(this.#transcript, leader) };
    const shards = decodeShards(recorded);
    if (!areWhole(shards, usedMicrobatches(plan, recorded.step), plan.microbatches)) return { type: 'skipped', ...led };
    const wrong: RecordedShard[] = [];
    for (const shard of shards) {
      const isAdded = await replay.add(shard, (sum) => {
        const tag = tagOf(recorded.key, shard.number, sum);
        if (Buffer.compare(tag, shard.tag) !== 0) wrong.push(shard);
      });
      if (!isAdded) return { type: 'notFinite', ...led };
    }
    replay.advance();
    this.#counts.checkedSteps += 1;
    await this.#told();
    if (wrong.length > 0) {
      const isStateRight = this.#isState(step);
      const isEvery = wrong.length === shards.length && wrong.length > 1;
      if (isEvery && !isStateRight) return { type: 'everyResult', ...led };
      const named = wrong.map(({ lo, n, worker }) => ({ lo, n, worker: nameOf(this.#transcript, worker) }));
      return { type: 'results', ...led, shards: named, isStateRight };
    }
    return this.#isState(step) ? undefined : { type: 'optimizer', ...led };
  }

  /** Whether a state is the one that the transcript has after this many steps. */
  #isState(steps: number, state = this.#replay.view): boolean {
    if (steps === 0) return isSealed({ ...state, step: 0 }, this.#transcript);
    const [before, after] = [this.#transcript.steps[steps - 2], this.#transcript.steps[steps - 1]!];
    const tag = this.#replay.stateTag(before?.stateTag ?? Buffer.alloc(tagBytes), state);
    return Buffer.compare(tag, after.stateTag) === 0;
  }

  /** The fault of the state that the transcript states here; undefined if it states none or the right one. */
  #stateFault(): Finding | undefined {
    const { step } = this.#replay;
    const claims = this.#claims.get(step);
    if (!claims) return undefined;
    const state = this.#replay.sealed;
    const isRight = ({ weightsSha256, optimizerSha256 = state.optimizerSha256 }: Claim): boolean =>
      weightsSha256 === state.weightsSha256 && optimizerSha256 === state.optimizerSha256;
    const wrong = claims.find((claim) => !isRight(claim));
    if (!wrong) return undefined;
    return step === 0 ? { type: 'beginning' } : { type: 'state', step, ...leaderIn(this.#transcript, wrong.leader) };
  }

  async #told(): Promise<void> {
    const { reachedSteps, checkedSteps } = this.#counts;
    this.#options.onStep?.(reachedSteps + checkedSteps, this.#toCompute);
    await this.#pause();
    this.#options.signal?.throwIfAborted();
  }

  #result(finding: Finding | undefined, sentence?: string): AuditResult {
    const told = finding ? sentenceOf(this.#transcript, this.#replay.plan, finding) : sentence!;
    return {
      isRight: finding === undefined,
      sentence: told,
      finding,
      led: ledSteps(this.#transcript),
      ...this.#counts,
    };
  }
}

/** Whether a transcript seals this state. */
function isSealed(state: ReplayState, { seals }: Transcript): boolean {
  const here = seals.filter(({ steps }) => steps === state.step);
  if (here.length === 0) return false;
  const sealed = sealedState(state.step, state);
  return here.every((seal) => isSameState(seal, sealed));
}

/** Whether shards cover all microbatches with samples, each once, and are nodes of the tree. */
function areWhole(shards: readonly RecordedShard[], used: number, microbatches: number): boolean {
  let next = 0;
  for (const { lo, n } of shards) {
    if (lo !== next || lo % n !== 0 || lo + n > microbatches) return false;
    next = lo + n;
  }
  return next >= used;
}

/** @throws TranscriptError if somebody else has signed it */
function requireKeys({ leaders }: Transcript, expected: readonly string[] | undefined): void {
  const wanted = expected?.map((key) => key.toLowerCase());
  const other = wanted && leaders.find(({ publicKey }) => !wanted.includes(publicKey));
  if (!other) return;
  const keys = wanted.map(shortHash).join(' or ');
  throw new TranscriptError(
    `expected a transcript signed with the key ${keys}, got one signed with ${shortHash(other.publicKey)}`,
  );
}

/** @throws TranscriptError unless the run ended with the expected weights */
function requireEnding({ end }: Transcript, expected: string | undefined): void {
  if (expected === undefined || expected === end?.weightsSha256) return;
  const got = end ? `one of weights ${shortHash(end.weightsSha256)}` : 'one of a run that has not ended';
  throw new TranscriptError(
    `expected the transcript of weights ${shortHash(expected)}, got ${got}: the model is of another run`,
  );
}

/** @throws TranscriptError unless it is a transcript of the same run */
function readOther({ header }: Transcript, file: Uint8Array): Transcript {
  try {
    const other = readTranscript(file);
    const difference = identityDifference(header.identity, other.header.identity);
    if (difference === undefined) return other;
    throw new Error(`it is of another run: ${difference}`);
  } catch (error) {
    throw new TranscriptError(`the second transcript: ${errorMessage(error)}`);
  }
}

/** The samples that the run trained on. @throws DataError or TranscriptError */
async function trainingSamples({ identity, heldOut, data }: TranscriptHeader, { data: given }: AuditOptions) {
  const { seed } = identity;
  const opened: TrainingData = typeof given === 'object' ? given : await readAgain(seed, data, given);
  const { train, reading } = opened;
  if (heldOut !== undefined) {
    return { train: movableSamples(splitDataset(train, { testFraction: heldOut, seed }).train), reading };
  }
  // Samples that a program gives stay its own.
  return { train: typeof given === 'object' ? train : movableSamples(train), reading };
}

function readAgain(
  seed: number,
  { name, readBy }: TranscriptHeader['data'],
  path: string | undefined,
): TrainingData | Promise<TrainingData> {
  const { isDefault = false, options } = readBy ?? {};
  if (path !== undefined) return openDataset(path, { ...options, seed }).catch(refuseReading);
  if (!isDefault) throw new TranscriptError(`expected the data of the run (${name ?? 'given by a program'}), got none`);
  return options?.model === undefined ? loadMnist() : openDefaultText({ ...options, seed });
}

/** @throws TranscriptError if the fault is not one of the data, but of how the transcript says to read them */
function refuseReading(error: unknown): never {
  if (error instanceof DataError) throw error;
  throw new TranscriptError(
    `expected a header that says how to read the data, got one that this version cannot follow: ${errorMessage(error)}`,
  );
}

/** The states of the checkpoints in a folder. @throws TranscriptError if it cannot be read */
async function statesIn(folder: string): Promise<StoredState[]> {
  try {
    const stored = await new CheckpointFolder(folder).list();
    return stored.map(({ step, read }) => ({ step, read: async () => decoded(await read()) }));
  } catch (error) {
    throw new TranscriptError(`expected a folder of checkpoints, got ${shownPath(folder)} (${reasonOf(error)})`);
  }
}

/** Undefined for a damaged checkpoint. */
function decoded(bytes: Uint8Array): ReplayState | undefined {
  try {
    const { step, weights, optimizer } = decodeCheckpoint(bytes, sha256);
    return { step, weights, optimizer };
  } catch {
    return undefined;
  }
}
