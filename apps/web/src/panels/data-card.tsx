/** The data of a run that does not exist yet. The owner uploads files, checks the result, and starts the run. */
import type { WatchMessageOf } from '@lockstep/protocol';
import { useSignal } from '@preact/signals';
import { filesOfDrop, filesOfInput, type NamedFile } from '../data/named-files.ts';
import type { Uploader } from '../data/uploader.ts';
import { percent } from '../look/format.ts';
import type { DataSetup } from '../watch/run-store.ts';
import { Card } from './card.tsx';
import { DataPreview } from './data-preview.tsx';

/** How to read a table: its label column and its task. */
export type ReadingRequest = Pick<WatchMessageOf<'readData'>, 'label' | 'task'>;

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
          The run waits for its data. Its owner chooses them on this page, at the address that the coordinator printed.
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
  const isOver = useSignal(false);
  const isDisabled = isBusy || uploader.isSending.value;
  const drop = (event: DragEvent): void => {
    event.preventDefault();
    isOver.value = false;
    if (event.dataTransfer && !isDisabled) send(filesOfDrop(event.dataTransfer));
  };
  const choose = ({ currentTarget }: { readonly currentTarget: HTMLInputElement }): void => {
    if (currentTarget.files && currentTarget.files.length > 0) send(filesOfInput(currentTarget.files));
    // Lets a person choose the same files again after they have changed.
    currentTarget.value = '';
  };
  return (
    // Each drop target has an equivalent button.
    <section
      aria-label="Choose the data"
      class={`drop-zone ${isOver.value ? 'drop-over' : ''}`}
      onDragOver={(event) => {
        event.preventDefault();
        isOver.value = true;
      }}
      onDragLeave={() => (isOver.value = false)}
      onDrop={drop}
    >
      <p>
        Drop a file or a folder here: CSV, TSV, JSON Lines or Parquet, a folder with a folder of pictures for each
        class, or four IDX files.
      </p>
      <label>
        Files
        <input type="file" multiple disabled={isDisabled} onChange={choose} />
      </label>
      <label>
        Folder
        <input type="file" disabled={isDisabled} onChange={choose} {...{ webkitdirectory: true }} />
      </label>
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
