/** The server until an owner starts a run on uploaded data: the page, its viewers, and workers that come early. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { DataError } from '@lockstep/data';
import type { OpenedDataset } from '@lockstep/data/readers';
import { toMessageText, type WatchMessageOf } from '@lockstep/protocol';
import { formatOf } from '@lockstep/rules';
import { ConfigurationError, systemClock } from '@lockstep/worker';
import { defaultWorkerCommand, outputsOf } from '../dashboard/messages.ts';
import { type ActionResult, type OwnerMessage, ownerMessage } from '../dashboard/permission.ts';
import { Viewers } from '../dashboard/viewers.ts';
import type { TrainingData } from '../options.ts';
import { type Prepared, runText } from '../prepared.ts';
import { examplesOf, type ReadingRequest, readInThread } from '../upload/read-upload.ts';
import {
  defaultUploadLimits,
  removeLeftBehind,
  Upload,
  UploadError,
  type UploadLimits,
  uploadPlanOf,
} from '../upload/upload.ts';
import { version } from '../version.ts';
import { errorMessage, newSecret } from '../words.ts';
import { clientOf } from './connections.ts';
import { type Answer, bearerOf, createPages, pageFolder, sendText } from './pages.ts';
import type { Phase, Standing } from './server.ts';
import { createSockets, helloSizes } from './sockets.ts';

const refreshEveryMs = 1_000;

export type UploadedData = OpenedDataset & Pick<TrainingData, 'splitBy'>;

export interface DataRequest {
  /** Splits data without test samples. */
  readonly seed: number;
  /** @throws ConfigurationError if there can be no such run on the data */
  readonly prepare: (data: UploadedData) => Promise<Prepared>;
  readonly signal: AbortSignal;
}

export interface Lobby {
  readonly phase: Phase;
  /** The run that an owner starts. Rejects with AbortError if the signal is aborted before that. */
  readonly prepared: Promise<Prepared>;
  /** Removes the uploaded files. */
  readonly forgetData: () => void;
}

export function openLobby(standing: Standing, { signal, ...request }: DataRequest): Lobby {
  const { permission, door } = standing;
  signal.throwIfAborted();
  void removeLeftBehind();
  let onStart = (_: Prepared): void => {};
  const setup: DataSetup = new DataSetup({
    ...request,
    nowMs: systemClock.nowMs,
    onChange: () => viewers.broadcast(messageOf(standing, setup)),
    onStart: (prepared) => onStart(prepared),
  });
  const prepared = new Promise<Prepared>((resolve, reject) => {
    const onAbort = (): void => {
      setup.dispose();
      reject(signal.reason);
    };
    signal.addEventListener('abort', onAbort);
    onStart = (run) => {
      signal.removeEventListener('abort', onAbort);
      resolve(run);
    };
  });
  const viewers = new Viewers({
    nowMs: systemClock.nowMs,
    welcome: (hello, client, onWelcome) => permission.welcome(hello, client, onWelcome),
    onFull: () => door.turnedAway.count('full'),
    snapshot: () => [messageOf(standing, setup)],
    onWelcome: (sendSnapshot) => sendSnapshot(),
    onMessage(message, viewer) {
      const asked = ownerMessage(message, viewer, permission);
      const result = asked && setup.meet(asked);
      if (result?.type === 'refused') viewer.send({ type: 'refused', message: result.message });
    },
  });
  return { phase: phaseOf(standing, setup, viewers), prepared, forgetData: () => setup.dispose() };
}

function phaseOf(standing: Standing, setup: DataSetup, viewers: Viewers): Phase {
  const { server, door, permission, waiting } = standing;
  const { connections } = server;
  const sockets = createSockets(
    {
      ...{ ...door, ...helloSizes },
      onConnection: (transport) =>
        waiting.turnAway(transport, 'the run waits for its data, which its owner brings on the page'),
      onViewer: (socket, visit) => viewers.add(socket, visit),
    },
    connections,
  );
  const timer = setInterval(() => {
    viewers.refresh();
    viewers.broadcast({ type: 'alive' });
  }, refreshEveryMs);
  timer.unref();
  const answer = createPages({
    folder: pageFolder,
    health: () => ({ status: 'ok', phase: 'waiting' }),
    // There is no run to measure.
    metrics: async () => ({ contentType: 'text/plain; charset=utf-8', text: '' }),
    metricsFault: (given, request) => permission.metricsFault(given, clientOf(request, door.token)),
    upload: createUploadAnswer({
      target: setup,
      adminFault: (given) => permission.adminFault(given),
      onAdmitted: ({ socket }) => connections.settle(socket),
    }),
  });
  return {
    ...{ answer, upgrade: sockets.upgrade, checkOrigin: sockets.checkOrigin },
    close(code, reason) {
      clearInterval(timer);
      sockets.close(code, reason);
    },
  };
}

function messageOf({ settings, joinAddresses }: Standing, { state }: DataSetup): WatchMessageOf<'dataSetup'> {
  const { listen, token } = settings;
  return {
    type: 'dataSetup',
    version,
    joinAddresses: [...joinAddresses],
    workerCommand: listen.workerCommand ?? defaultWorkerCommand,
    tokenNeeded: token !== undefined,
    ...state,
  };
}

type Message = WatchMessageOf<'dataSetup'>;
/** The part of the message that changes while the server waits for data. */
export type SetupState = Pick<Message, 'phase' | 'receivedBytes' | 'totalBytes' | 'fault' | 'data' | 'table'>;

export interface DataSetupOptions extends Pick<DataRequest, 'seed' | 'prepare'> {
  readonly nowMs: () => number;
  readonly limits?: UploadLimits;
  /** Called after each change of `state`. */
  readonly onChange: () => void;
  /** Called once, with the run that an owner has started. */
  readonly onStart: (prepared: Prepared) => void;
}

/** An upload without progress for this long gives way to another one. */
const stalledAfterMs = 30_000;
const nothing: SetupState = { phase: 'empty', receivedBytes: 0, totalBytes: 0 };
const done: ActionResult = { type: 'done' };

export class DataSetup implements UploadTarget {
  readonly #options: DataSetupOptions;
  #state = nothing;
  #upload: Upload | undefined;
  #arrivedAtMs = 0;
  #prepared: Prepared | undefined;
  /** Aborts the current reading. */
  #reading: AbortController | undefined;

  constructor(options: DataSetupOptions) {
    this.#options = options;
  }

  get state(): SetupState {
    return this.#state;
  }

  begin(json: string): Upload {
    this.#requireFree();
    const upload = new Upload(newSecret(), uploadPlanOf(json, this.#options.limits ?? defaultUploadLimits));
    this.#drop();
    this.#upload = upload;
    this.#arrivedAtMs = this.#options.nowMs();
    this.#show({ phase: 'receiving', receivedBytes: 0, totalBytes: upload.totalBytes });
    return upload;
  }

  async add(id: string, offset: number, bytes: Uint8Array): Promise<Upload> {
    const upload = this.#upload;
    if (upload?.id !== id || this.#state.phase !== 'receiving') {
      throw new UploadError('the upload: expected one that goes on, got another', 409);
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

  meet(request: OwnerMessage): ActionResult {
    if (request.type === 'readData') return this.#readAgain(request);
    if (request.type !== 'admin' || request.action !== 'start') return refused('the run has not begun');
    const prepared = this.#prepared;
    if (!prepared || this.#state.phase !== 'ready') return refused('the run has no data yet');
    this.#show({ ...this.#state, phase: 'starting' });
    this.#options.onStart(prepared);
    return done;
  }

  /** Removes the uploaded files. */
  dispose(): void {
    this.#drop();
  }

  #requireFree(): void {
    const { phase } = this.#state;
    if (phase === 'starting') throw new UploadError('the upload: expected none, since the run has its data', 409);
    const isStalled = this.#options.nowMs() - this.#arrivedAtMs > stalledAfterMs;
    if (phase !== 'receiving' || isStalled) return;
    throw new UploadError('the upload: expected one at a time, another one is under way', 409);
  }

  #readAgain({ label, task }: ReadingRequest): ActionResult {
    const { phase, table } = this.#state;
    const upload = this.#upload;
    if (!upload?.isComplete || !table || phase === 'starting') return refused('there is no table to be read');
    if (label !== undefined && label >= table.columns.length) return refused('there is no such column');
    this.#startReading(upload, { label, task });
    return done;
  }

  #startReading(upload: Upload, request: ReadingRequest): void {
    this.#reading?.abort();
    const reading = new AbortController();
    this.#reading = reading;
    this.#read(upload, request, reading.signal).catch((error: unknown) => {
      if (!reading.signal.aborted) this.#fail(`the data could not be read: ${errorMessage(error)}`);
    });
  }

  async #read(upload: Upload, request: ReadingRequest, signal: AbortSignal): Promise<void> {
    const { receivedBytes, totalBytes } = upload;
    const all = { receivedBytes, totalBytes };
    this.#prepared = undefined;
    this.#show({ ...all, phase: 'reading', ...(this.#state.table && { table: this.#state.table }) });
    const { folder } = upload;
    const { table, opened } = await readInThread({ folder, request, seed: this.#options.seed }, signal);
    const splitBy = async (seed: number): Promise<OpenedDataset> => {
      const again = await readInThread({ folder, request, seed });
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
    this.#show({ ...shown, phase: 'ready', data: dataOf(opened, prepared) });
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
    this.#drop();
    this.#show({ ...nothing, fault: toMessageText(fault) });
  }

  #drop(): void {
    this.#reading?.abort();
    void this.#upload?.dispose();
    this.#upload = undefined;
    this.#prepared = undefined;
  }

  #show(state: SetupState): void {
    this.#state = state;
    this.#options.onChange();
  }
}

function refused(message: string): ActionResult {
  return { type: 'refused', message };
}

function dataOf({ train, found, reading }: OpenedDataset, prepared: Prepared): NonNullable<Message['data']> {
  return {
    found: toMessageText(found),
    plan: toMessageText(runText(prepared)),
    ...formatOf(train),
    ...outputsOf(train),
    // A table already shows its rows as they are in the file.
    examples: reading?.type === 'rows' ? [] : examplesOf(train),
  };
}

export interface UploadTarget {
  /** Begins an upload of the files in a JSON list. @throws UploadError */
  begin(json: string): Upload;
  /** @throws UploadError */
  add(id: string, offset: number, bytes: Uint8Array): Promise<Upload>;
}

export interface UploadRequestOptions {
  readonly target: UploadTarget;
  /** Why the bearer of a token may not upload; undefined if they may. */
  readonly adminFault: (token: string | undefined) => string | undefined;
  /** Called for an admitted request, whose connection has shown its purpose. */
  readonly onAdmitted: (request: IncomingMessage) => void;
}

/** Maximum bytes of one request. */
const maxPieceBytes = 4 * 2 ** 20;

export function createUploadAnswer({ target, adminFault, onAdmitted }: UploadRequestOptions): Answer {
  const take = async (request: IncomingMessage): Promise<{ id: string; receivedBytes: number; totalBytes: number }> => {
    const body = await bodyOf(request);
    const query = new URL(request.url ?? '/', 'http://upload').searchParams;
    const id = query.get('id');
    const upload =
      id === null
        ? target.begin(body.toString('utf8'))
        : await target.add(id, Number(query.get('offset') ?? '0'), body);
    const { receivedBytes, totalBytes } = upload;
    return { id: upload.id, receivedBytes, totalBytes };
  };
  return (request, response) => {
    const fault = adminFault(bearerOf(request));
    if (fault !== undefined) {
      response.setHeader('www-authenticate', 'Bearer');
      refuse(response, 401, fault);
      return;
    }
    onAdmitted(request);
    take(request).then(
      (state) => sendText(response, 200, JSON.stringify(state)),
      (error: unknown) => {
        const isKnown = error instanceof UploadError;
        refuse(response, isKnown ? error.status : 500, isKnown ? error.message : 'the upload could not be taken');
      },
    );
  };
}

/** Refuses a request without waiting for the rest of its body. */
function refuse(response: ServerResponse, status: number, message: string): void {
  response.setHeader('connection', 'close');
  sendText(response, status, message);
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
