/** An upload: its announced files, and their bytes, written to a temporary folder. */
import { createHash } from 'node:crypto';
import { mkdtempSync, readlinkSync, rmSync } from 'node:fs';
import { type FileHandle, mkdir, open, readdir, rm } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { reasonOf, shownPath } from '@lockstep/data/files';
import { isPrintableLine } from '@lockstep/protocol';

export class Upload {
  readonly id: string;
  readonly totalBytes: number;
  /** Readable only by this user; removed with the process at the latest. */
  readonly #temporary: string;
  readonly #files: readonly PlannedFile[];
  readonly #onExit = (): void => rmSync(this.#temporary, { recursive: true, force: true });
  #index = 0;
  /** Bytes written of the file being received. */
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

  /** Folder of the files, once they are complete. */
  get folder(): string {
    return join(this.#temporary, 'data');
  }

  /**
   * Appends bytes to the upload.
   * @param offset of the first byte
   * @throws UploadError if these are not the next bytes, or cannot be written
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

  /** Removes everything received; resolves when it is gone. Thousands of files take a while. */
  async dispose(): Promise<void> {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    await this.#writing?.catch(() => {});
    await this.#handle?.close().catch(() => {});
    // If the folder cannot be removed now, it is tried again at the end of the process.
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

export interface PlannedFile {
  /** Path below the upload's folder, with slashes. */
  readonly path: string;
  readonly bytes: number;
}

export interface UploadLimits {
  /** Total bytes of all files. */
  readonly bytes: number;
  readonly files: number;
}

export const defaultUploadLimits: UploadLimits = { bytes: 2 ** 30, files: 50_000 };

const maxPathLength = 1_000;
/** Most file systems allow no longer name. */
const maxNameBytes = 255;
const maxDepth = 16;

/** A request that an upload refuses, as one sentence for its sender. */
export class UploadError extends Error {
  override readonly name = 'UploadError';
  /** The HTTP status. */
  readonly status: 400 | 409 | 413;

  constructor(message: string, status: UploadError['status'] = 400) {
    super(message);
    this.status = status;
  }
}

/** Checks a list received as JSON. @throws UploadError */
export function uploadPlanOf(json: string, limits: UploadLimits): readonly PlannedFile[] {
  const list = parsed(json);
  if (!Array.isArray(list) || list.length === 0 || !list.every(isPlannedFile)) {
    throw new UploadError('the files: expected a list of { path, bytes } that is not empty, got something else');
  }
  if (list.length > limits.files) {
    throw new UploadError(`the files: expected at most ${limits.files}, got ${list.length}`, 413);
  }
  const bytes = list.reduce((sum, file) => sum + file.bytes, 0);
  if (bytes > limits.bytes) {
    throw new UploadError(`the files: expected at most ${limits.bytes} bytes in all, got ${bytes}`, 413);
  }
  for (const { path } of list) requireRelative(path);
  requireDistinct(list);
  return list;
}

function parsed(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}

function isPlannedFile(value: unknown): value is PlannedFile {
  if (typeof value !== 'object' || value === null) return false;
  const { path, bytes } = value as Partial<Record<string, unknown>>;
  return typeof path === 'string' && typeof bytes === 'number' && Number.isSafeInteger(bytes) && bytes >= 0;
}

function requireRelative(path: string): void {
  const parts = path.split('/');
  const isName = (part: string): boolean => part !== '' && part !== '.' && part !== '..' && fitsName(part);
  const isPlain = isPrintableLine(path, maxPathLength) && !/\\|^[a-z]:/i.test(path);
  if (isPlain && parts.length <= maxDepth && parts.every(isName)) return;
  throw new UploadError(`${shownPath(path)}: expected a path below a folder, like cats/1.png, got another one`);
}

/** Skips counting bytes if the name fits anyway: a code unit takes at most three bytes. */
function fitsName(name: string): boolean {
  return name.length <= maxNameBytes / 3 || Buffer.byteLength(name) <= maxNameBytes;
}

/** Names must differ even on a case-insensitive file system. */
function requireDistinct(files: readonly PlannedFile[]): void {
  const folders = new Set<string>();
  const taken = new Set<string>();
  for (const { path } of files) {
    const key = path.toLowerCase();
    if (taken.has(key)) throw new UploadError(`${shownPath(path)}: expected each file once, got it twice`);
    taken.add(key);
    for (let at = key.lastIndexOf('/'); at > 0; at = key.lastIndexOf('/', at - 1)) {
      const folder = key.slice(0, at);
      // The folders around it are known as well.
      if (folders.has(folder)) break;
      folders.add(folder);
    }
  }
  const both = files.find(({ path }) => folders.has(path.toLowerCase()));
  if (both) throw new UploadError(`${shownPath(both.path)}: expected a file or a folder, got both`);
}

const kind = 'lockstep-upload';

/** Prefix of this process's folder names: the system of process ids that its id belongs to, and the id. */
export function uploadPrefix(): string {
  return `${kind}-${numbering()}-${process.pid}-`;
}

/** Removes the folders of dead processes whose ids this process could see. A folder stays if its id has been reused. */
export async function removeLeftBehind(folder = tmpdir()): Promise<void> {
  const form = new RegExp(`^${kind}-${numbering()}-(\\d+)-`);
  // Folders that cannot be listed or removed stay; no upload depends on them.
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  const left = entries.filter((entry) => {
    const [, pid] = form.exec(entry.name) ?? [];
    return pid !== undefined && entry.isDirectory() && !isAlive(Number(pid));
  });
  await Promise.allSettled(left.map(({ name }) => rm(join(folder, name), { recursive: true, force: true })));
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}

/** Identifies the machine or container in which process ids are valid: containers may share the folder. */
function numbering(): string {
  let namespace = '';
  try {
    namespace = readlinkSync('/proc/self/ns/pid');
  } catch {
    // Only Linux has namespaces of process ids.
  }
  return createHash('sha256').update(`${hostname()} ${namespace}`).digest('hex').slice(0, 12);
}
