/** Files that arrive as one stream of bytes, one file after another, and are written to a temporary folder. */
import { mkdtempSync, rmSync } from 'node:fs';
import { type FileHandle, mkdir, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { reasonOf } from '@lockstep/files';
import { uploadPrefix } from './left-behind.ts';
import { type PlannedFile, UploadError } from './upload-plan.ts';

export class Upload {
  readonly id: string;
  readonly totalBytes: number;
  /** Only this user can read it; it goes with the process, if not before. */
  readonly #temporary: string;
  readonly #files: readonly PlannedFile[];
  readonly #onExit = (): void => rmSync(this.#temporary, { recursive: true, force: true });
  #index = 0;
  /** Of the file that arrives. */
  #writtenBytes = 0;
  #handle: FileHandle | undefined;
  #receivedBytes = 0;
  #writing: Promise<void> | undefined;
  #isDisposed = false;

  constructor(id: string, files: readonly PlannedFile[]) {
    this.id = id;
    this.#files = files;
    this.totalBytes = files.reduce((sum, { bytes }) => sum + bytes, 0);
    this.#temporary = mkdtempSync(join(tmpdir(), uploadPrefix()));
    process.on('exit', this.#onExit);
  }

  get receivedBytes(): number {
    return this.#receivedBytes;
  }

  get isComplete(): boolean {
    return this.#index === this.#files.length;
  }

  /** Of the files, once they are complete. */
  get folder(): string {
    return join(this.#temporary, 'data');
  }

  /**
   * Takes the next bytes of the stream.
   * @param offset of the first of them
   * @throws UploadError where they are not the next ones, or cannot be written
   */
  async add(offset: number, bytes: Uint8Array): Promise<void> {
    if (this.#writing || this.#isDisposed || offset !== this.#receivedBytes) {
      throw new UploadError(`the upload: expected the bytes from ${this.#receivedBytes} on, got others`, 409);
    }
    if (offset + bytes.byteLength > this.totalBytes) {
      throw new UploadError(`the upload: expected ${this.totalBytes} bytes, as it began with, got more`);
    }
    this.#writing = this.#write(bytes);
    try {
      await this.#writing;
      this.#receivedBytes += bytes.byteLength;
    } catch (error) {
      throw new UploadError(`the upload: expected to write it to ${tmpdir()}, got ${reasonOf(error)}`);
    } finally {
      this.#writing = undefined;
    }
  }

  /** Removes all that has arrived; resolves when it is gone. Of thousands of files that takes a while. */
  async dispose(): Promise<void> {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    await this.#writing?.catch(() => {});
    await this.#handle?.close().catch(() => {});
    // What cannot be removed now is tried again at the end of the process.
    await rm(this.#temporary, { recursive: true, force: true }).then(
      () => process.off('exit', this.#onExit),
      () => {},
    );
  }

  async #write(bytes: Uint8Array): Promise<void> {
    let rest = bytes;
    while (!this.isComplete && !this.#isDisposed) {
      const { path, bytes: size } = this.#files[this.#index]!;
      this.#handle ??= await this.#open(path);
      const part = rest.subarray(0, size - this.#writtenBytes);
      if (part.byteLength > 0) await this.#handle.writeFile(part);
      rest = rest.subarray(part.byteLength);
      this.#writtenBytes += part.byteLength;
      if (this.#writtenBytes < size) return;
      await this.#handle.close();
      this.#handle = undefined;
      this.#index += 1;
      this.#writtenBytes = 0;
    }
  }

  async #open(path: string): Promise<FileHandle> {
    const place = join(this.folder, path);
    await mkdir(dirname(place), { recursive: true });
    return open(place, 'wx', 0o600);
  }
}
