/** Stores of a run's checkpoints: a folder with atomic writes, or a store that several coordinators share. */
import { accessSync, constants, mkdirSync } from 'node:fs';
import { open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { configurationError, named } from '@lockstep/worker';
import { identityDifference, type RunIdentity } from './checkpoint.ts';

const kept = 3;
const namePattern = /^checkpoint-(\d{17})-(\d{9,})\.safetensors$/;
const partEnding = '.part';

export interface StoredCheckpoint {
  readonly name: string;
  /** The name of the run that wrote the checkpoint. */
  readonly run: string;
  readonly step: number;
  readonly read: () => Promise<Uint8Array>;
}

export class CheckpointStore {
  readonly #folder: string;

  /** @param folder existing folder */
  constructor(folder: string) {
    this.#folder = folder;
  }

  /**
   * Writes a checkpoint next to the others, then renames it; file and folder are synced, so that the checkpoint
   * survives a crash of the machine. Keeps two of the run's earlier checkpoints, and never removes those of other runs.
   * @returns the file's name
   * @throws Error if the disk fails; earlier checkpoints are then kept
   */
  async write(run: string, step: number, bytes: Uint8Array): Promise<string> {
    const name = `checkpoint-${run}-${`${step}`.padStart(9, '0')}.safetensors`;
    const part = join(this.#folder, `${name}${partEnding}`);
    try {
      const file = await open(part, 'w');
      try {
        await file.writeFile(bytes);
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(part, join(this.#folder, name));
    } catch (error) {
      await rm(part, { force: true }).catch(() => {});
      throw error;
    }
    await this.#syncFolder();
    await this.#prune(run);
    return name;
  }

  /** All checkpoints in the folder, newest first. */
  async list(): Promise<StoredCheckpoint[]> {
    const entries = await readdir(this.#folder, { withFileTypes: true });
    const found = entries.flatMap((entry) => {
      const { name } = entry;
      const [, run, step] = namePattern.exec(name) ?? [];
      // Reading a pipe would wait forever.
      if (run === undefined || !(entry.isFile() || entry.isSymbolicLink())) return [];
      return [{ name, run, step: Number(step), read: () => readFile(join(this.#folder, name)) }];
    });
    return found.sort((a, b) => (a.run === b.run ? b.step - a.step : a.run < b.run ? 1 : -1));
  }

  /** Windows cannot open a folder; there the rename alone must do. */
  async #syncFolder(): Promise<void> {
    if (process.platform === 'win32') return;
    const folder = await open(this.#folder, 'r');
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
  }

  async #prune(run: string): Promise<void> {
    const own = (await this.list()).filter((checkpoint) => checkpoint.run === run);
    // A process killed during a write has left a partial file.
    const parts = (await readdir(this.#folder)).filter(
      (name) => name.startsWith(`checkpoint-${run}-`) && name.endsWith(partEnding),
    );
    for (const name of [...own.slice(kept).map((checkpoint) => checkpoint.name), ...parts]) {
      await rm(join(this.#folder, name), { force: true });
    }
  }
}

/** Names a run after its start time, or just after every run in the folder if the clock went back. */
export function newRunName(stored: readonly StoredCheckpoint[], now: Date): string {
  const newest = stored[0]?.run ?? '';
  const name = now.toISOString().replaceAll(/\D/g, '');
  return name > newest ? name : `${BigInt(newest) + 1n}`;
}

/** A store shared by the coordinators of a run, such as a fleet's coordinator. */
export interface SharedCheckpoints extends Pick<CheckpointStore, 'list' | 'write'> {
  /** Description for people. */
  readonly place: string;
  /**
   * Called before anything is read; resolves when it is this process's turn to train.
   * @throws Error if it must not train
   */
  open(claim: RunClaim): Promise<void>;
}

/** The run that a coordinator wants to train. */
export interface RunClaim {
  /** Everything that determines the bits of the run, as JSON. */
  readonly config: string;
  /** Returns a phrase such as `expected seed 1, got 2` if the other configuration belongs to another run. */
  readonly differenceFrom: (other: string) => string | undefined;
}

/** @param steps of the run in total */
export function runClaimOf(identity: RunIdentity, steps: number): RunClaim {
  const config = JSON.stringify({ ...identity, steps });
  return { config, differenceFrom: (other) => identityDifference(JSON.parse(other), JSON.parse(config)) };
}

interface CheckpointPlace {
  readonly folder?: string | undefined;
  /** Store shared with other coordinators, instead of the folder. */
  readonly store?: object | undefined;
}

/**
 * Creates the folder of a run's checkpoints, before anything is started.
 * @throws ConfigurationError if it cannot be used
 */
export function requireCheckpointFolder(checkpoint: CheckpointPlace | undefined): void {
  if (!checkpoint || checkpoint.store) return;
  const { folder = '' } = checkpoint;
  try {
    mkdirSync(folder, { recursive: true });
    accessSync(folder, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch {
    throw configurationError`${named('checkpoint.folder')}: expected a folder that can be made, read and written to, got ${folder}`;
  }
}
