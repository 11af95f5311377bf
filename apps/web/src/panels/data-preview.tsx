/** A preview of the uploaded data: the first rows of a table, or samples with the names of their classes. */
import type { DataSetup } from '../watch/run-store.ts';
import type { ReadingRequest } from './data-card.tsx';
import { SampleView } from './sample-view.tsx';

type Table = NonNullable<DataSetup['table']>;
type Data = NonNullable<DataSetup['data']>;

interface DataPreviewProps {
  readonly setup: DataSetup;
  /** Absent for guests, who may only watch. */
  readonly onRead: ((request: ReadingRequest) => void) | undefined;
}

export function DataPreview({ setup: { table, data, phase }, onRead }: DataPreviewProps) {
  const isFixed = phase !== 'ready' && phase !== 'empty';
  return (
    <>
      {table && onRead && <ReadingForm table={table} isFixed={isFixed} onRead={onRead} />}
      {table && <Rows table={table} />}
      {data && data.examples.length > 0 && <Examples data={data} />}
    </>
  );
}

interface ReadingFormProps {
  readonly table: Table;
  readonly isFixed: boolean;
  readonly onRead: (request: ReadingRequest) => void;
}

function ReadingForm({ table: { columns, label, task }, isFixed, onRead }: ReadingFormProps) {
  return (
    <div class="reading-form">
      <label>
        Label column
        <select
          value={`${label}`}
          disabled={isFixed}
          onChange={({ currentTarget }) => onRead({ label: Number(currentTarget.value), task })}
        >
          {columns.map((name, index) => (
            <option key={index} value={`${index}`}>
              {name}
            </option>
          ))}
        </select>
      </label>
      <label>
        Task
        <select
          value={task}
          disabled={isFixed}
          onChange={({ currentTarget }) => onRead({ label, task: currentTarget.value as Table['task'] })}
        >
          <option value="classification">classification</option>
          <option value="regression">regression</option>
        </select>
      </label>
    </div>
  );
}

/** Maximum number of columns shown, besides the label. */
const mostColumns = 8;

function Rows({ table: { columns, rows, label } }: { readonly table: Table }) {
  const shown = columns.map((_, index) => index).filter((index) => index < mostColumns || index === label);
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reachable by keyboard
    <section class="scroll" tabIndex={0} aria-label="The first rows">
      <table class="data-rows">
        <thead>
          <tr>
            {shown.map((column) => (
              <th key={column} scope="col" class={column === label ? 'label-column' : ''}>
                {columns[column]}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row, index) => (
            <tr key={index}>
              {shown.map((column) => (
                <td key={column} class={column === label ? 'label-column' : ''}>
                  {row[column]}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

function Examples({ data }: { readonly data: Data }) {
  return (
    <ol class="examples" aria-label="Samples">
      {data.examples.map(({ sample, target }, index) => (
        <li key={index}>
          <SampleView run={data} sample={sample} label={`a sample of ${target}`} />
          <span class="top-error-text">{target}</span>
        </li>
      ))}
    </ol>
  );
}
