/** The data of a run that does not exist yet. The owner uploads files, checks the result, and starts the run. */
import { errorMessage } from '@lockstep/data/shown';
import type { WatchMessageOf } from '@lockstep/protocol';
import { signal, useSignal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useEffect } from 'preact/hooks';
import { Card, Choice, FileInput } from '../look/controls.tsx';
import { percent } from '../look/format.ts';
import { DataTable, type ViewColumn } from '../view/table.tsx';
import type { DataSetup } from '../watch/run-store.ts';
import { Classes, type NamedFile } from './classes.tsx';
import { SampleView } from './sample-view.tsx';

/** How to read a table. */
export type ReadingRequest = Pick<WatchMessageOf<'readData'>, 'label' | 'ignore' | 'task' | 'missing'>;

/** Actions of the owner. */
export interface DataActions {
  readonly uploader: Uploader;
  readonly send: (files: readonly NamedFile[] | Promise<readonly NamedFile[]>) => void;
  readonly read: (request: ReadingRequest) => void;
  readonly start: () => void;
}

interface DataCardProps {
  readonly setup: DataSetup;
  /** Absent unless the admin token is known. */
  readonly actions: DataActions | undefined;
  /** Why the last request was rejected. */
  readonly rejection: string | undefined;
}

export function DataCard({ setup, actions, rejection }: DataCardProps) {
  const { phase, data } = setup;
  const fault = actions?.uploader.fault.value ?? setup.fault ?? rejection;
  return (
    <Card name="data" title="Data" aside={phaseTexts[phase]}>
      {actions ? (
        <Chooser {...actions} isBusy={phase === 'starting'} />
      ) : (
        <p>
          The run waits for its data. Its owner chooses it on this page, at the address that the coordinator printed.
        </p>
      )}
      <Arrival setup={setup} />
      <p class="error" role="alert">
        {fault ?? ''}
      </p>
      <div role="status">
        {data && (
          <>
            <p>{data.found}</p>
            <p class="aside">{data.plan}</p>
          </>
        )}
      </div>
      <DataPreview setup={setup} onRead={actions?.read} />
      {actions && (
        <button type="button" class="primary data-start" disabled={phase !== 'ready'} onClick={actions.start}>
          Start
        </button>
      )}
    </Card>
  );
}

const phaseTexts: Readonly<Record<DataSetup['phase'], string>> = {
  empty: 'none yet',
  receiving: 'arriving',
  reading: 'being read',
  ready: 'ready to start',
  starting: 'the run begins',
};

function Chooser({ uploader, send, isBusy }: DataActions & { readonly isBusy: boolean }) {
  const isDisabled = isBusy || uploader.isSending.value;
  const choose = (files: readonly File[]): void => send(filesOfInput(files));
  return (
    <>
      <DropZone label="Choose the data" onDrop={(dropped) => !isDisabled && send(filesOfDrop(dropped))}>
        <p>
          Drop a file or a folder here: CSV, TSV, JSON Lines or Parquet, a folder with a folder of pictures for each
          class, four IDX files, or a plain text (.txt, .md) for a model that writes.
        </p>
        <FileInput label="Files" multiple disabled={isDisabled} onChoose={choose} />
        <FileInput label="Folder" webkitdirectory disabled={isDisabled} onChoose={choose} />
      </DropZone>
      <details>
        <summary>Or collect pictures here, by class</summary>
        <Classes isDisabled={isDisabled} onUse={send} />
      </details>
    </>
  );
}

interface DropZoneProps {
  readonly label: string;
  readonly onDrop: (dropped: DataTransfer) => void;
  /** Includes a file input, which is the equivalent for people who cannot drag. */
  readonly children: ComponentChildren;
}

export function DropZone({ label, onDrop, children }: DropZoneProps) {
  const isOver = useSignal(false);
  useEffect(() => {
    // The browser would open a file that misses the zone, in place of the page.
    const refuse = (event: DragEvent): void => {
      if (!event.defaultPrevented && event.dataTransfer) event.dataTransfer.dropEffect = 'none';
      event.preventDefault();
    };
    addEventListener('dragover', refuse);
    addEventListener('drop', refuse);
    return () => {
      removeEventListener('dragover', refuse);
      removeEventListener('drop', refuse);
    };
  }, []);
  return (
    <section
      aria-label={label}
      class={`stack drop-zone ${isOver.value ? 'drop-over' : ''}`}
      onDragOver={(event) => {
        event.preventDefault();
        isOver.value = true;
      }}
      onDragLeave={() => (isOver.value = false)}
      onDrop={(event) => {
        event.preventDefault();
        isOver.value = false;
        if (event.dataTransfer) onDrop(event.dataTransfer);
      }}
    >
      {children}
    </section>
  );
}

function Arrival({ setup: { phase, receivedBytes, totalBytes } }: Pick<DataCardProps, 'setup'>) {
  if (phase !== 'receiving') return null;
  const part = totalBytes === 0 ? 0 : receivedBytes / totalBytes;
  return (
    <p class="arrival">
      <progress max={1} value={part} aria-label="Upload" /> {percent(part, 0)}
    </p>
  );
}

type Table = NonNullable<DataSetup['table']>;
type Data = NonNullable<DataSetup['data']>;

interface DataPreviewProps {
  readonly setup: Pick<DataSetup, 'table' | 'data' | 'phase'>;
  /** Absent for guests, who may only watch. */
  readonly onRead: ((request: ReadingRequest) => void) | undefined;
}

export function DataPreview({ setup: { table, data, phase }, onRead }: DataPreviewProps) {
  // A table can be read in another way before the last reading has ended.
  const isFixed = phase === 'starting';
  return (
    <>
      {table && onRead && <ReadingForm table={table} isFixed={isFixed} onRead={onRead} />}
      {table && <Rows table={table} />}
      {data && data.examples.length > 0 && <Examples data={data} />}
    </>
  );
}

const tasks: readonly Table['task'][] = ['classification', 'regression'];
/** Labels of the ways to treat missing values. */
const missingLabels: Readonly<Record<Table['missing'], string>> = {
  error: 'not allowed',
  mean: 'fill in the mean',
  median: 'fill in the median',
  'most-frequent': 'fill in the most frequent',
  drop: 'drop their rows',
};

interface ReadingFormProps {
  readonly table: Table;
  readonly isFixed: boolean;
  readonly onRead: (request: ReadingRequest) => void;
}

/** The columns to ignore are shown at first unless there are more than these. */
const mostOpen = 12;

function ReadingForm({ table: { columns, label, ignore, task, missing }, isFixed, onRead }: ReadingFormProps) {
  const read = (changed: ReadingRequest): void => onRead({ label, ignore, task, missing, ...changed });
  const ignored = columns.filter(({ index }) => ignore.includes(index));
  return (
    <div class="stack reading-form">
      <Choice
        label="Label column"
        value={`${label}`}
        options={columns.filter((one) => !ignored.includes(one)).map(({ index, name }) => [`${index}`, name])}
        isDisabled={isFixed}
        onChoose={(column) => read({ label: Number(column) })}
      />
      <Choice
        label="Task"
        value={task}
        options={tasks}
        isDisabled={isFixed}
        onChoose={(name) => read({ task: name })}
      />
      <Choice
        label="Missing values"
        value={missing}
        options={Object.entries(missingLabels)}
        isDisabled={isFixed}
        onChoose={(name) => read({ missing: name as Table['missing'] })}
      />
      <details class="ignored-columns" open={columns.length <= mostOpen}>
        <summary>
          Columns to ignore: <span dir="auto">{ignored.map(({ name }) => name).join(', ') || 'none'}</span>
        </summary>
        <fieldset
          disabled={isFixed}
          onChange={({ currentTarget }) => {
            const boxes = currentTarget.querySelectorAll<HTMLInputElement>('input:checked');
            read({ ignore: Array.from(boxes, ({ value }) => Number(value)) });
          }}
        >
          {columns
            .filter(({ index }) => index !== label)
            .map((column) => (
              <label key={column.index} dir="auto">
                <input type="checkbox" value={column.index} checked={ignored.includes(column)} />
                {column.name}
              </label>
            ))}
        </fieldset>
      </details>
    </div>
  );
}

/** Maximum number of columns shown, besides the label. */
const mostColumns = 8;

function Rows({ table: { columns, rows, label, ignore } }: { readonly table: Table }) {
  const used = [...columns.entries()].filter(([, { index }]) => !ignore.includes(index));
  const shown = used.filter(([, { index }], order) => order < mostColumns || index === label);
  return (
    <DataTable
      label="The first rows"
      class="data-rows"
      columns={shown.map(
        ([at, { index, name }]): ViewColumn<readonly string[]> => ({
          title: name,
          text: (row) => row[at] ?? '',
          class: index === label ? 'label-column' : '',
        }),
      )}
      rows={rows}
    />
  );
}

function Examples({ data }: { readonly data: Data }) {
  return (
    <ol class="examples" aria-label="Samples">
      {data.examples.map(({ sample, target }, index) => (
        <li key={index}>
          <SampleView run={data} sample={sample} label={`a sample of ${target}`} />
          <span class="row top-error-text">{target}</span>
        </li>
      ))}
    </ol>
  );
}

/** Returns the chosen files without hidden ones, which no reader uses. */
function filesOfInput(files: readonly File[]): NamedFile[] {
  return visible(files.map((file) => ({ path: file.webkitRelativePath || file.name, file })));
}

/** Returns the dropped files, including the contents of folders. Must be called before the drop event ends. */
async function filesOfDrop({ items }: DataTransfer): Promise<NamedFile[]> {
  const dropped = [...items].map((item) => item.webkitGetAsEntry() ?? item.getAsFile());
  const files = dropped.map(async (one) => {
    if (one instanceof File) return [{ path: one.name, file: one }];
    return one ? filesBelow(one) : [];
  });
  return visible((await Promise.all(files)).flat());
}

function visible(files: readonly NamedFile[]): NamedFile[] {
  return files.filter(({ path }) => !path.split('/').some((name) => name.startsWith('.')));
}

async function filesBelow(entry: FileSystemEntry): Promise<NamedFile[]> {
  if (entry.isFile) {
    const file = await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject));
    return [{ path: entry.fullPath.slice(1), file }];
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  const files: NamedFile[] = [];
  for (;;) {
    // A reader returns up to a hundred entries at a time, and none at the end.
    const entries = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (entries.length === 0) return files;
    for (const inner of await Promise.all(entries.map(filesBelow))) files.push(...inner);
  }
}

const leastPieceBytes = 256 * 1024;
/** The server's limit for one request. */
const mostPieceBytes = 4 * 2 ** 20;
/** Target duration of one request: the server aborts requests that take ten seconds. */
const pieceMs = 1_000;

export class Uploader {
  readonly isSending = signal(false);
  /** Why the last upload failed. */
  readonly fault = signal<string>();

  /**
   * @param files chosen by a person, or a promise of them
   * @param token admin token
   */
  async send(files: readonly NamedFile[] | Promise<readonly NamedFile[]>, token: string): Promise<void> {
    if (this.isSending.value) return;
    this.isSending.value = true;
    this.fault.value = undefined;
    try {
      await sendAll(await files, token);
    } catch (error) {
      this.fault.value = errorMessage(error);
    } finally {
      this.isSending.value = false;
    }
  }
}

async function sendAll(files: readonly NamedFile[], token: string): Promise<void> {
  if (files.length === 0) throw new Error('expected a file or a folder with files, got nothing');
  const list = files.map(({ path, file }) => ({ path, bytes: file.size }));
  const { id } = await post('', JSON.stringify(list), token);
  const stream = new Blob(files.map(({ file }) => file));
  let pieceBytes = leastPieceBytes;
  let offset = 0;
  do {
    const piece = stream.slice(offset, offset + pieceBytes);
    const startedAt = performance.now();
    await post(`?id=${encodeURIComponent(id)}&offset=${offset}`, piece, token);
    const isQuick = performance.now() - startedAt < pieceMs;
    pieceBytes = Math.min(mostPieceBytes, Math.max(leastPieceBytes, isQuick ? pieceBytes * 2 : pieceBytes / 2));
    offset += piece.size;
  } while (offset < stream.size);
}

async function post(query: string, body: BodyInit, token: string): Promise<{ readonly id: string }> {
  const url = new URL(`./upload${query}`, location.href);
  url.hash = '';
  let response: Response;
  try {
    response = await fetch(url, { method: 'POST', body, headers: { authorization: `Bearer ${token}` } });
  } catch {
    throw new Error('the upload failed: a file was changed or removed, or the server does not answer');
  }
  const text = (await response.text()).trim();
  if (!response.ok) throw new Error(text);
  return JSON.parse(text) as { readonly id: string };
}
