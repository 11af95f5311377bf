/** The checkpoints of a run: where they are kept, which one a run resumes from, and when and how the next is written. */
import { webcrypto } from 'node:crypto';
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { type FileHandle, open, readdir, rename, rm } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { readRegularFile, reasonOf } from '@lockstep/data/files';
import { errorMessage, thousands } from '@lockstep/data/shown';
import { configurationError, optionName } from '@lockstep/worker';
import {
  type Checkpoint,
  type CheckpointInterval,
  type CheckpointOptions,
  decodeCheckpoint,
  defaultInterval,
  defaultKeptCheckpoints,
  encodeCheckpoint,
  identityDifference,
  type RunClaim,
  type RunIdentity,
  type SharedCheckpoints,
  type StoredCheckpoint,
  type WrittenCheckpoint,
} from './checkpoint.ts';
import { sha256 } from './sha256.ts';

/**
 * Checks that the folder of a run's checkpoints can be used, before anything is started. A run that is refused for
 * another reason leaves no folder behind.
 * @throws ConfigurationError if it cannot be used
 */
export function requireCheckpointFolder(checkpoint: CheckpointOptions | undefined): void {
  if (!checkpoint || checkpoint.store) return;
  const { folder } = checkpoint;
  if (folder === undefined) {
    throw configurationError`${optionName('checkpoint.folder')}: expected a folder for the checkpoints, got none`;
  }
  try {
    const created = createFolder(folder);
    try {
      // The dot refuses a file.
      accessSync(`${folder}/.`, constants.R_OK | constants.W_OK | constants.X_OK);
    } finally {
      for (const each of created.reverse()) rmdirSync(each);
    }
  } catch {
    throw configurationError`${optionName('checkpoint.folder')}: expected a folder that can be created, read and written, got ${folder}`;
  }
}

/**
 * Creates a folder and those above it that are missing; Node's own way to do this never ends in /proc.
 * @returns the created folders, the outermost first
 */
export function createFolder(folder: string): string[] {
  const missing: string[] = [];
  for (let place = resolve(folder); !existsSync(place); place = dirname(place)) missing.unshift(place);
  for (const place of missing) mkdirSync(place);
  return missing;
}

type Store = Pick<SharedCheckpoints, 'list' | 'write' | 'removeAfter'> &
  Partial<Pick<SharedCheckpoints, 'untilItAnswers'>>;

const namePattern = /^checkpoint-(\d{17})-(\d{9,})\.safetensors$/;
const partEnding = '.part';

/** Most bytes of a checkpoint that is read: more than the weights and vectors of the largest model. */
const maxBytes = 2 ** 33;

/** Checkpoints in a folder, which other runs may use as well. */
export class CheckpointFolder implements Store {
  readonly #folder: string;
  readonly #kept: number;

  /** @param folder existing folder @param kept number of a run's newest checkpoints that stay */
  constructor(folder: string, kept = defaultKeptCheckpoints) {
    this.#folder = folder;
    this.#kept = kept;
  }

  /**
   * Writes a checkpoint next to the others, then renames it; file and folder are synced, so that the checkpoint
   * survives a crash of the machine. Removes the run's oldest checkpoints, and never those of other runs.
   * @returns the file's name
   * @throws Error if the disk fails; earlier checkpoints are then kept
   */
  async write(run: string, step: number, bytes: Uint8Array): Promise<string> {
    const name = `checkpoint-${run}-${`${step}`.padStart(9, '0')}.safetensors`;
    const part = join(this.#folder, `${name}${partEnding}`);
    try {
      await synced(part, 'w', (file) => file.writeFile(bytes));
      await rename(part, join(this.#folder, name));
    } catch (error) {
      await rm(part, { force: true }).catch(() => {});
      throw error;
    }
    // Windows cannot open a folder; there the rename alone must do.
    if (process.platform !== 'win32') await synced(this.#folder, 'r');
    await this.#prune(run);
    return name;
  }

  /** All checkpoints in the folder, newest first. */
  async list(): Promise<StoredCheckpoint[]> {
    const entries = await readdir(this.#folder, { withFileTypes: true });
    const found = entries.flatMap((entry) => {
      const { name } = entry;
      const [, run, step] = namePattern.exec(name) ?? [];
      if (run === undefined || !(entry.isFile() || entry.isSymbolicLink())) return [];
      const read = async () => readRegularFile(join(this.#folder, name), maxBytes);
      return [{ name, run, step: Number(step), read }];
    });
    return found.sort((a, b) => (a.run === b.run ? b.step - a.step : a.run < b.run ? 1 : -1));
  }

  async removeAfter(run: string, step: number): Promise<void> {
    const later = (await this.list()).filter((checkpoint) => checkpoint.run === run && checkpoint.step > step);
    for (const { name } of later) await rm(join(this.#folder, name), { force: true });
  }

  async #prune(run: string): Promise<void> {
    const own = (await this.list()).filter((checkpoint) => checkpoint.run === run);
    // A process killed during a write has left a partial file.
    const isPart = (name: string): boolean => name.startsWith(`checkpoint-${run}-`) && name.endsWith(partEnding);
    const parts = (await readdir(this.#folder)).filter(isPart);
    for (const name of [...own.slice(this.#kept).map((checkpoint) => checkpoint.name), ...parts]) {
      await rm(join(this.#folder, name), { force: true });
    }
  }
}

/** Opens a file or folder, and closes it when everything written is on the disk. */
async function synced(path: string, flags: string, write?: (file: FileHandle) => Promise<void>): Promise<void> {
  const file = await open(path, flags);
  try {
    await write?.(file);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Names a run after its start time, or just after every run in the folder if the clock went back. */
export function newRunName(stored: readonly StoredCheckpoint[], now: Date): string {
  const newest = stored[0]?.run ?? '';
  const name = now.toISOString().replaceAll(/\D/g, '');
  return name > newest ? name : `${BigInt(newest) + 1n}`;
}

/** A run's checkpoints, with the one to resume from. */
export interface OpenedCheckpoints {
  readonly identity: RunIdentity;
  /** The checkpoint that the run resumes from, and its file; undefined if it starts from the beginning. */
  readonly resumeFrom: Checkpoint | undefined;
  readonly resumed: WrittenCheckpoint | undefined;
  /** Messages for the person who started the run. */
  readonly lines: readonly string[];
  createCheckpointer(run: CheckpointedRun): Checkpointer;
}

/** The part of a prepared run on which its checkpoints depend. */
interface CheckpointedPlan {
  readonly checkpoint: CheckpointOptions | undefined;
  readonly plan: { readonly steps: number };
  readonly transcript: string | undefined;
}

/** Undefined in a run without checkpoints. @throws Error if a shared store does not let this process train */
export async function openCheckpoints(
  { checkpoint, plan: { steps }, transcript }: CheckpointedPlan,
  identityOf: () => RunIdentity,
): Promise<OpenedCheckpoints | undefined> {
  if (!checkpoint) return undefined;
  const { every: interval = defaultInterval, folder = '', keep, store: shared, resume } = checkpoint;
  if (!shared) createFolder(folder);
  const store = shared ?? new CheckpointFolder(folder, keep);
  const place = shared?.place ?? folder;
  const at = (file: string): string => (shared ? `${file} in ${place}` : join(folder, file));
  const identity = identityOf();
  await shared?.open(runClaimOf(identity, steps, transcript !== undefined));
  const stored = await store.list();
  const { chosen, passedOver } = await chooseCheckpoint(stored, identity, steps);
  const resumeFrom = shared || resume ? chosen?.checkpoint : undefined;
  const resumed = resumeFrom && { file: chosen!.stored.name, step: resumeFrom.step };
  // Newer files do not belong to this run and must not be removed; the run's own files must sort after them.
  const runName = resumed && passedOver.length === 0 ? chosen!.stored.run : newRunName(stored, new Date());
  const skipped = passedOver.map((one) => `Skipped checkpoint ${one.stored.name}: ${one.reason}.`);
  const lines = (): string[] => {
    if (resumeFrom) return [...skipped, resumedLine(at(resumed!.file), resumeFrom, steps)];
    const where = `Checkpoints: ${intervalText(interval)}, in ${place}`;
    // The first coordinator of a shared run finds no checkpoints.
    if (shared ? stored.length > 0 : resume) {
      return [...skipped, `No checkpoint in ${place} fits this run; starting from the beginning.`, where];
    }
    if (!chosen || endOf(chosen.checkpoint, steps) !== undefined) return [where];
    const after = `${at(chosen.stored.name)} holds this run after step ${thousands(chosen.checkpoint.step)}, where it was interrupted`;
    return [
      `${after}. Start with resume to continue it; this run starts from the beginning and keeps the file.`,
      where,
    ];
  };
  return {
    ...{ identity, resumeFrom, resumed, lines: lines() },
    createCheckpointer: (run) => new Checkpointer({ ...run, store, runName, interval, newest: resumed }),
  };
}

/** Why nothing is left to train after a checkpoint; undefined if something is. */
function endOf({ step, choice }: Checkpoint, steps: number): string | undefined {
  if (step === steps) return 'all steps have been taken';
  return choice?.lastEpoch ? `it stopped early after epoch ${choice.lastEpoch}` : undefined;
}

function resumedLine(file: string, checkpoint: Checkpoint, steps: number): string {
  const end = endOf(checkpoint, steps);
  if (end !== undefined) return `${file} holds the end of this run: ${end}.`;
  const { step } = checkpoint;
  return `Resumed from ${file}, after step ${thousands(step)} of ${thousands(steps)}.`;
}

/** @param steps of the run in total @param isRecorded whether it has a transcript, to which all coordinators add */
function runClaimOf(identity: RunIdentity, steps: number, isRecorded: boolean): RunClaim {
  const config = JSON.stringify({ ...identity, steps, ...(isRecorded && { transcript: 'recorded' }) });
  return { config, differenceFrom: (other) => identityDifference(JSON.parse(other), JSON.parse(config)) };
}

/**
 * Returns the newest checkpoint that fits, and the newer ones that do not.
 * @param stored newest first
 * @param identity of the run to resume
 * @param steps of that run in total
 */
export async function chooseCheckpoint(stored: readonly StoredCheckpoint[], identity: RunIdentity, steps: number) {
  const passedOver: { stored: StoredCheckpoint; reason: string }[] = [];
  for (const one of stored) {
    try {
      const checkpoint = decodeCheckpoint(await one.read(), sha256);
      const difference = identityDifference(identity, checkpoint.identity);
      if (difference !== undefined) throw new Error(`it belongs to another run: ${difference}`);
      const { step } = checkpoint;
      if (step > steps) throw new Error(`it was written after step ${step}, but this run has only ${steps} steps`);
      return { chosen: { stored: one, checkpoint }, passedOver };
    } catch (error) {
      passedOver.push({ stored: one, reason: errorMessage(error) });
    }
  }
  return { chosen: undefined, passedOver };
}

/** Such as `every 50 steps`. */
export function intervalText(interval: CheckpointInterval): string {
  const [count, unit] = 'steps' in interval ? [interval.steps, 'step'] : [interval.minutes, 'minute'];
  return count === 1 ? `every ${unit}` : `every ${count} ${unit}s`;
}

/** Assumed duration of the first write, as a fraction of the interval's steps: it includes compilation. */
const assumedPart = 0.5;
/** Factor by which the next write may take longer than the last one. */
const reserve = 2;
/** Least fraction of the interval to reserve for the next write: short writes say little about it on a busy machine. */
const leastPart = 0.2;
/** Fraction of a slow write's duration remembered after each shorter one: the cause may return. */
const memory = 0.5;

/**
 * Decides when the next copy is due. With an interval of N steps, a crash repeats at most N steps: a copy is taken
 * early, by the steps that its write may last, but at most twice in N steps.
 */
export class CheckpointClock {
  readonly #interval: CheckpointInterval;
  #copiedStep: number;
  #copiedAtMs: number;
  #writeSteps: number;

  constructor(interval: CheckpointInterval, firstStep: number, nowMs: number) {
    this.#interval = interval;
    this.#copiedStep = firstStep;
    this.#copiedAtMs = nowMs;
    this.#writeSteps = 'steps' in interval ? (assumedPart * interval.steps) / reserve : 0;
  }

  /** @param step number of steps taken so far */
  isDue(step: number, nowMs: number): boolean {
    if ('minutes' in this.#interval) return nowMs - this.#copiedAtMs >= this.#interval.minutes * 60_000;
    const { steps } = this.#interval;
    const lasting = Math.max(Math.ceil(reserve * this.#writeSteps), Math.floor(leastPart * steps));
    const early = Math.min(lasting, Math.floor(steps / 2));
    return step - this.#copiedStep >= steps - early;
  }

  copied(step: number, nowMs: number): void {
    this.#copiedStep = step;
    this.#copiedAtMs = nowMs;
  }

  /** @param step number of steps taken when the copy was on disk */
  written(step: number): void {
    this.#writeSteps = Math.max(step - this.#copiedStep, memory * this.#writeSteps);
  }
}

/** The run that a checkpointer copies. */
interface CheckpointedRun {
  readonly nowMs: () => number;
  readonly stepsTaken: () => number;
  /** Copies everything the next step depends on; later steps do not change the copy. */
  readonly copy: () => Checkpoint;
  /** Called before a copy is written, which only then may be. */
  readonly beforeWrite?: () => Promise<void>;
  readonly onWritten: (written: WrittenCheckpoint) => void;
  readonly log: (line: string, guestLine: string) => void;
}

export interface CheckpointerOptions extends CheckpointedRun {
  readonly store: Pick<Store, 'write' | 'removeAfter' | 'untilItAnswers'>;
  /** Prefix of the file names. */
  readonly runName: string;
  readonly interval: CheckpointInterval;
  /** The newest checkpoint in the folder, if the run resumed from it. */
  readonly newest: WrittenCheckpoint | undefined;
}

/** Copies a run between two steps, and writes the copies while the run goes on. */
export class Checkpointer {
  /** The last checkpoint written to disk. */
  newest: WrittenCheckpoint | undefined;
  readonly #options: CheckpointerOptions;
  readonly #clock: CheckpointClock;
  #writing: Promise<void> | undefined;
  #failed = false;
  #isUrgent = false;

  constructor(options: CheckpointerOptions) {
    this.#options = options;
    this.newest = options.newest;
    this.#clock = new CheckpointClock(options.interval, options.stepsTaken(), options.nowMs());
  }

  /** Called after each complete step: a copy of half a step would belong to no run. */
  stepped(): void {
    const { stepsTaken, nowMs, copy } = this.#options;
    if (this.#writing !== undefined || !(this.#isUrgent || this.#clock.isDue(stepsTaken(), nowMs()))) return;
    this.#isUrgent = false;
    this.#clock.copied(stepsTaken(), nowMs());
    this.#begin(this.#save(copy()));
  }

  /** Replaces the checkpoints of later steps, which contain wrong results, by one of the state now. */
  goBack(): void {
    const { stepsTaken, nowMs, copy } = this.#options;
    const step = stepsTaken();
    const copied = step === 0 ? undefined : copy();
    this.#clock.copied(step, nowMs());
    const before = this.#writing;
    const replace = async (): Promise<void> => {
      await before;
      await this.#removeAfter(step);
      if (copied) await this.#save(copied);
    };
    this.#begin(replace());
  }

  #begin(work: Promise<void>): void {
    const writing = work.finally(() => {
      if (this.#writing === writing) this.#writing = undefined;
    });
    this.#writing = writing;
  }

  /** Takes the next copy after the next step, because earlier checkpoints now state something false about the run. */
  hurry(): void {
    this.#isUrgent = true;
  }

  /**
   * Writes the final state of the run; resolves when that is done or has failed.
   * @param isFinished whether the last step was taken: without its state, another coordinator would train on alone
   */
  async finish(isFinished = false): Promise<void> {
    const { stepsTaken, copy, store } = this.#options;
    const last = stepsTaken() === 0 ? undefined : copy();
    await this.#writing;
    if (isFinished) await store.untilItAnswers?.();
    if (last && last.step !== this.newest?.step) await this.#save(last, true);
  }

  async #removeAfter(step: number): Promise<void> {
    const { store, runName, log } = this.#options;
    try {
      await store.removeAfter(runName, step);
      if (this.newest && this.newest.step > step) this.newest = undefined;
    } catch (error) {
      const what = `checkpoints with wrong results, of steps after ${step}, were not removed`;
      log(`${what}: ${reasonOf(error)}`, what);
    }
  }

  async #save(checkpoint: Checkpoint, isLast = false): Promise<void> {
    const { store, runName, stepsTaken, onWritten, log, beforeWrite } = this.#options;
    const { step } = checkpoint;
    try {
      // Lets the next step's weights be sent first.
      await nextTurn();
      await beforeWrite?.();
      const file = await store.write(runName, step, await encodeCheckpoint(checkpoint, sha256OffThread));
      this.newest = { file, step };
      this.#clock.written(stepsTaken());
      onWritten(this.newest);
      const again = `checkpoints are being written again; the newest one is of step ${step}`;
      if (this.#failed) log(again, again);
      this.#failed = false;
    } catch (error) {
      const newest = this.newest ? `; the newest one is of step ${this.newest.step}` : '';
      const [what, consequence] = isLast
        ? ['no checkpoint holds the end of this run', newest]
        : [`the checkpoint after step ${step} was not written`, '; training continues without it'];
      if (isLast || !this.#failed) log(`${what}: ${reasonOf(error)}${consequence}`, `${what}${consequence}`);
      this.#failed = true;
    }
  }
}

/** Node computes the hash in a separate thread. */
async function sha256OffThread(bytes: Uint8Array): Promise<string> {
  return Buffer.from(await webcrypto.subtle.digest('SHA-256', bytes)).toString('hex');
}

interface SecretOptions {
  readonly checkpoint: Pick<CheckpointOptions, 'folder' | 'resume'> | undefined;
  readonly fileName: string;
  readonly isValid: (secret: string) => boolean;
  readonly create: () => string | Promise<string>;
}

const ownerOnly = 0o600;

/**
 * Returns a secret of the run from its own file next to the checkpoints: the workers of a killed coordinator return
 * only to one with the same secret. A resumed run takes the kept secret if only the owner can read the file; otherwise
 * a new one is made and kept. No checkpoint contains secrets.
 */
export async function keptSecret({ checkpoint, fileName, isValid, create }: SecretOptions): Promise<string> {
  const { folder, resume = false } = checkpoint ?? {};
  if (folder === undefined) return create();
  const file = join(folder, fileName);
  const kept = resume ? readSecret(file) : undefined;
  if (kept !== undefined && isValid(kept)) return kept;
  const secret = await create();
  // The mode applies only to a new file.
  rmSync(file, { force: true });
  writeFileSync(file, `${secret}\n`, { mode: ownerOnly, flag: 'wx' });
  return secret;
}

function readSecret(file: string): string | undefined {
  try {
    const { mode } = statSync(file);
    const isPrivate = process.platform === 'win32' || (mode & 0o077) === 0;
    return isPrivate ? readFileSync(file, 'utf8').trim() : undefined;
  } catch {
    return undefined;
  }
}
