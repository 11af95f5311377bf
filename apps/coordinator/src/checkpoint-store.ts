/** The folder of a run's checkpoints: each is written whole or not at all, and the last three are kept. */
import { mkdirSync } from 'node:fs';
import { open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';

const kept = 3;
const namePattern = /^checkpoint-(\d{14})-(\d{9})\.safetensors$/;

export interface StoredCheckpoint {
  readonly name: string;
  readonly read: () => Promise<Uint8Array>;
}

export class CheckpointStore {
  readonly #folder: string;
  /** Begins the names of this run's files: those of an earlier run in the same folder are never removed. */
  readonly #prefix: string;

  /** Makes the folder where it is missing. @throws Error where that cannot be done */
  constructor(folder: string, startedAt: Date) {
    mkdirSync(folder, { recursive: true });
    this.#folder = folder;
    this.#prefix = `checkpoint-${startedAt.toISOString().replaceAll(/\D/g, '').slice(0, 14)}`;
  }

  /**
   * Writes a checkpoint beside the others, then renames it; file and folder are synced, so that it outlives a crash of
   * the machine. @throws Error where the disk refuses; the checkpoints from before are then still there
   */
  async write(step: number, bytes: Uint8Array): Promise<void> {
    const name = `${this.#prefix}-${`${step}`.padStart(9, '0')}.safetensors`;
    const part = join(this.#folder, `${name}.part`);
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
      await rm(part, { force: true });
      throw error;
    }
    await this.#syncFolder();
    await this.#prune();
  }

  /** All checkpoints in the folder, the newest first. */
  async list(): Promise<StoredCheckpoint[]> {
    const names = (await readdir(this.#folder)).filter((name) => namePattern.test(name));
    const newestFirst = names.sort().reverse();
    return newestFirst.map((name) => ({ name, read: () => readFile(join(this.#folder, name)) }));
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

  async #prune(): Promise<void> {
    const own = (await this.list()).filter(({ name }) => name.startsWith(this.#prefix));
    for (const { name } of own.slice(kept)) await rm(join(this.#folder, name), { force: true });
  }
}
