/** Data that an owner uploads before a run: received into files, read in a thread, and prepared as the run. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readlinkSync, rmSync } from 'node:fs';
import { type FileHandle, mkdir, open, readdir, rm } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createRequire } from 'node:module';
import { hostname, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { ConfigurationError } from '@lockstep/command/options';
import { DataError } from '@lockstep/data';
import { reasonOf, shownPath } from '@lockstep/data/files';
import type { OpenedDataset } from '@lockstep/data/readers';
import { errorMessage } from '@lockstep/data/shown';
import { type Prepared, runText, type TrainingData } from '@lockstep/prepare';
import { isPrintableLine, toMessageText, type WatchMessageOf } from '@lockstep/protocol';
import { newSecret } from '@lockstep/record';
import { formatOf } from '@lockstep/rules';
import * as v from 'valibot';
import { outputsOf, pageText, type ReadingRequest } from './messages.ts';
import { type Answer, bearerOf, sendText, sendUnauthorized } from './pages.ts';
import type { ReadingTask, ReadUpload } from './reading-thread.ts';
import { type OwnerRequest, type Reply, refused } from './viewers.ts';

export type UploadedData = OpenedDataset & Pick<TrainingData, 'readBy' | 'splitBy'>;

export interface LobbyOptions extends Pick<ReadingTask, 'seed' | 'model'> {
  /** @throws ConfigurationError if there can be no such run on the data */
  readonly prepare: (data: UploadedData) => Promise<Prepared>;
  readonly nowMs: () => number;
  /** Called after each change of `state`. */
  readonly onChange: () => void;
  /** Called once, with the run that an owner has started. */
  readonly onStart: (prepared: Prepared) => void;
}

type Message = WatchMessageOf<'dataSetup'>;
/** The part of the message that changes while the server waits for data. */
type LobbyState = Pick<Message, 'phase' | 'receivedBytes' | 'totalBytes' | 'fault' | 'data' | 'table'>;

/** An upload without progress for this long gives way to another one. */
const stalledAfterMs = 30_000;
const nothing: LobbyState = { phase: 'empty', receivedBytes: 0, totalBytes: 0 };

export class Lobby {
  readonly #options: LobbyOptions;
  #state = nothing;
  #upload: Upload | undefined;
  #arrivedAtMs = 0;
  #prepared: Prepared | undefined;
  /** Aborts the current reading. */
  #reading: AbortController | undefined;

  constructor(options: LobbyOptions) {
    this.#options = options;
  }

  get state(): LobbyState {
    return this.#state;
  }

  /** Begins an upload of the files in a JSON list. @throws UploadError */
  begin(json: string): Upload {
    const { phase } = this.#state;
    if (phase === 'starting') throw new UploadError('the upload: the run already has its data', 409);
    const isStalled = this.#options.nowMs() - this.#arrivedAtMs > stalledAfterMs;
    if (phase === 'receiving' && !isStalled) {
      throw new UploadError('the upload: expected one at a time, but another one is in progress', 409);
    }
    const upload = new Upload(newSecret(), uploadPlanOf(json));
    this.dispose();
    this.#upload = upload;
    this.#arrivedAtMs = this.#options.nowMs();
    this.#show({ phase: 'receiving', receivedBytes: 0, totalBytes: upload.totalBytes });
    return upload;
  }

  /** @throws UploadError */
  async add(id: string, offset: number, bytes: Uint8Array): Promise<Upload> {
    const upload = this.#upload;
    if (upload?.id !== id || this.#state.phase !== 'receiving') {
      throw new UploadError('the upload: expected a piece of the current upload, got one of another upload', 409);
    }
    this.#arrivedAtMs = this.#options.nowMs();
    try {
      await upload.add(offset, bytes);
    } catch (error) {
      if (upload === this.#upload && error instanceof UploadError && error.status !== 409) this.#fail(error.message);
      throw error;
    }
    if (upload !== this.#upload) throw new UploadError('the upload: another one has taken its place', 409);
    const { receivedBytes, totalBytes } = upload;
    this.#show({ phase: 'receiving', receivedBytes, totalBytes });
    if (upload.isComplete) this.#startReading(upload, {});
    return upload;
  }

  reply(request: OwnerRequest): Reply {
    const { phase, table } = this.#state;
    if (request.type === 'readData') {
      const { type: _type, token: _token, ...reading } = request;
      if (!this.#upload?.isComplete || !table || phase === 'starting') return refused('there is no table to read');
      const { label, ignore = [] } = reading;
      const known = new Set(table.columns.map(({ index }) => index));
      if (![label ?? table.label, ...ignore].every((column) => known.has(column)))
        return refused('there is no such column');
      this.#startReading(this.#upload, reading);
      return undefined;
    }
    if (request.type !== 'admin' || request.action !== 'start') return refused('the run has not started');
    if (!this.#prepared || phase !== 'ready') return refused('the run has no data yet');
    this.#show({ ...this.#state, phase: 'starting' });
    this.#options.onStart(this.#prepared);
    return undefined;
  }

  /** Removes the uploaded files. */
  dispose(): void {
    this.#reading?.abort();
    void this.#upload?.dispose();
    this.#upload = undefined;
    this.#prepared = undefined;
  }

  #startReading(upload: Upload, request: ReadingRequest): void {
    this.#reading?.abort();
    const reading = new AbortController();
    this.#reading = reading;
    this.#read(upload, request, reading.signal).catch((error: unknown) => {
      if (!reading.signal.aborted) this.#fail(`the data could not be read: ${errorMessage(error)}`);
    });
  }

  async #read({ folder, receivedBytes, totalBytes }: Upload, request: ReadingRequest, signal: AbortSignal) {
    const all = { receivedBytes, totalBytes };
    this.#prepared = undefined;
    this.#show({ ...all, phase: 'reading', ...(this.#state.table && { table: { ...this.#state.table, ...request } }) });
    const { seed, model } = this.#options;
    const { table, opened, examples } = await readInThread({ folder, request, seed, model }, signal);
    const splitBy = async (otherSeed: number): Promise<OpenedDataset> => {
      const again = await readInThread({ folder, request, seed: otherSeed, model });
      if ('fault' in again.opened) throw new DataError(again.opened.fault);
      return again.opened;
    };
    const prepared = 'fault' in opened ? opened : await this.#prepare({ ...opened, splitBy });
    if (signal.aborted) return;
    const shown = { ...all, ...(table && { table }) };
    if ('fault' in prepared || 'fault' in opened) {
      this.#show({ ...shown, phase: 'empty', ...('fault' in prepared && { fault: prepared.fault }) });
      return;
    }
    this.#prepared = prepared;
    const [found, plan] = [pageText(opened.found), toMessageText(runText(prepared))];
    const { train } = opened;
    this.#show({ ...shown, phase: 'ready', data: { found, plan, ...formatOf(train), ...outputsOf(train), examples } });
  }

  async #prepare(opened: UploadedData): Promise<Prepared | { readonly fault: string }> {
    try {
      return await this.#options.prepare(opened);
    } catch (error) {
      if (error instanceof ConfigurationError) return { fault: toMessageText(error.message) };
      throw error;
    }
  }

  #fail(fault: string): void {
    this.dispose();
    this.#show({ ...nothing, fault: toMessageText(fault) });
  }

  #show(state: LobbyState): void {
    this.#state = state;
    this.#options.onChange();
  }
}

const program = createRequire(import.meta.url).resolve('#reading-thread');
/** A thread that needs more ends, and the process goes on. */
const maxHeapMegabytes = 2_048;

/**
 * Reads an upload in a separate thread. Even if this module runs from source, the thread runs the build.
 * @throws AbortError if the signal is aborted, which ends the thread
 */
async function readInThread(reading: ReadingTask, signal?: AbortSignal): Promise<ReadUpload> {
  signal?.throwIfAborted();
  const thread = new Worker(program, {
    workerData: reading,
    // Options for modules or debuggers are meant for the process's main thread.
    execArgv: [],
    resourceLimits: { maxOldGenerationSizeMb: maxHeapMegabytes },
  });
  try {
    const [read] = (await once(thread, 'message', { signal })) as [ReadUpload];
    return read;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_WORKER_OUT_OF_MEMORY') throw error;
    const fault = `the upload: expected data that can be read with ${maxHeapMegabytes} MiB of memory, got more`;
    return { table: undefined, opened: { fault }, examples: [] };
  } finally {
    await thread.terminate();
  }
}

/** Maximum bytes of one request. */
const maxPieceBytes = 4 * 2 ** 20;

/**
 * Answers the requests of an upload: the first has a JSON list of files, each other one a piece of their bytes.
 * @param adminFault says why the bearer of a token may not upload; undefined if they may
 * @param onAdmitted called for an admitted request, whose connection has shown its purpose
 */
export function createUploadAnswer(
  lobby: Lobby,
  adminFault: (token: string | undefined) => string | undefined,
  onAdmitted: (request: IncomingMessage) => void,
): Answer {
  const take = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const body = await bodyOf(request);
    const query = new URL(request.url ?? '/', 'http://upload').searchParams;
    const id = query.get('id');
    const upload =
      id === null ? lobby.begin(body.toString('utf8')) : await lobby.add(id, Number(query.get('offset') ?? '0'), body);
    const { receivedBytes, totalBytes } = upload;
    sendText(response, 200, JSON.stringify({ id: upload.id, receivedBytes, totalBytes }));
  };
  return (request, response) => {
    const fault = adminFault(bearerOf(request));
    if (fault !== undefined) {
      // Refuses the request without waiting for the rest of its body.
      response.setHeader('connection', 'close');
      sendUnauthorized(response, fault);
      return;
    }
    onAdmitted(request);
    take(request, response).catch((error: unknown) => {
      response.setHeader('connection', 'close');
      if (error instanceof UploadError) sendText(response, error.status, error.message);
      else sendText(response, 500, 'the upload failed');
    });
  };
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.byteLength;
    if (bytes > maxPieceBytes) {
      throw new UploadError(`a piece of an upload: expected at most ${maxPieceBytes} bytes, got more`, 413);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** The files of an upload, whose bytes are written to a temporary folder. */
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
      throw new UploadError(`the upload could not be written to ${tmpdir()}: ${reasonOf(error)}`);
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

/** Most bytes of all files together, and most files. */
const defaultUploadLimits = { bytes: 2 ** 30, files: 50_000 };

const maxPathLength = 1_000;
/** Most file systems allow no longer name. */
const maxNameBytes = 255;
const maxDepth = 16;

/** A request that an upload refuses, as one sentence for its sender. */
class UploadError extends Error {
  override readonly name = 'UploadError';
  /** The HTTP status. */
  readonly status: 400 | 409 | 413;

  constructor(message: string, status: UploadError['status'] = 400) {
    super(message);
    this.status = status;
  }
}

const fileList = v.pipe(
  v.string(),
  v.parseJson(),
  v.array(v.object({ path: v.string(), bytes: v.pipe(v.number(), v.safeInteger(), v.minValue(0)) })),
  v.minLength(1),
);

/** Checks a list received as JSON. @throws UploadError */
export function uploadPlanOf(json: string, limits = defaultUploadLimits): readonly PlannedFile[] {
  const { success, output: list } = v.safeParse(fileList, json);
  if (!success) {
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

function requireRelative(path: string): void {
  const parts = path.split('/');
  const isName = (part: string): boolean =>
    part !== '' && part !== '.' && part !== '..' && Buffer.byteLength(part) <= maxNameBytes;
  const isPlain = isPrintableLine(path, maxPathLength) && !/\\|^[a-z]:/i.test(path);
  if (isPlain && parts.length <= maxDepth && parts.every(isName)) return;
  throw new UploadError(`${shownPath(path)}: expected a path below a folder, like cats/1.png, got another one`);
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
