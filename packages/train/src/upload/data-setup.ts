/** What is uploaded, read and shown until an owner starts a run on it. */
import { DataError } from '@lockstep/data';
import type { OpenedDataset } from '@lockstep/data/readers';
import { toMessageText, type WatchMessageOf } from '@lockstep/protocol';
import { formatOf } from '@lockstep/training';
import { ConfigurationError } from '@lockstep/worker';
import type { ActionResult } from '../dashboard/admin-actions.ts';
import type { OwnerMessage } from '../dashboard/admin-permission.ts';
import { outputsOf } from '../dashboard/messages.ts';
import { errorMessage } from '../error-message.ts';
import type { DataRequest, UploadedData } from '../host.ts';
import { newSecret } from '../new-secret.ts';
import type { Prepared } from '../prepared.ts';
import { runText } from '../run/run-text.ts';
import { examplesOf, type ReadingRequest, readInThread } from './read-upload.ts';
import { Upload } from './upload.ts';
import { defaultUploadLimits, UploadError, type UploadLimits, uploadPlanOf } from './upload-plan.ts';
import type { UploadTarget } from './upload-requests.ts';

type Message = WatchMessageOf<'dataSetup'>;
/** What changes while the server waits for data. */
export type SetupState = Pick<Message, 'phase' | 'receivedBytes' | 'totalBytes' | 'fault' | 'data' | 'table'>;

export interface DataSetupOptions extends Pick<DataRequest, 'seed' | 'prepare'> {
  readonly nowMs: () => number;
  readonly limits?: UploadLimits;
  /** Called after each change of `state`. */
  readonly onChange: () => void;
  /** Called once, with the run that an owner has started. */
  readonly onStart: (prepared: Prepared) => void;
}

/** An upload that brings nothing for so long gives way to another one. */
const stalledAfterMs = 30_000;
const nothing: SetupState = { phase: 'empty', receivedBytes: 0, totalBytes: 0 };
const done: ActionResult = { type: 'done' };

export class DataSetup implements UploadTarget {
  readonly #options: DataSetupOptions;
  #state = nothing;
  #upload: Upload | undefined;
  #arrivedAtMs = 0;
  #prepared: Prepared | undefined;
  /** Ends the reading under way. */
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

  /** Removes what was uploaded. */
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
    // Rows are shown as they stand in the file.
    examples: reading?.type === 'rows' ? [] : examplesOf(train),
  };
}
