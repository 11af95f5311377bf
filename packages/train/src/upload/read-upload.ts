/** Reads an upload as the data of a run, and as a preview for a person before the run starts. */
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, sep } from 'node:path';
import { Worker } from 'node:worker_threads';
import { DataError, type Dataset, sampleSize } from '@lockstep/data';
import { openDataset, openRows } from '@lockstep/data/node';
import { labelColumn, type OpenedDataset, type Table, type Task } from '@lockstep/data/readers';
import { bytesOf, toMessageText, type WatchMessageOf } from '@lockstep/protocol';

type DataSetup = WatchMessageOf<'dataSetup'>;
export type TablePreview = NonNullable<DataSetup['table']>;
export type Example = NonNullable<DataSetup['data']>['examples'][number];

/** How to read a table. */
export interface ReadingRequest {
  /** Index of the target column; by default the reader chooses. */
  readonly label?: number | undefined;
  readonly task?: Task | undefined;
}

/** Input of a reading thread. */
export interface Reading {
  /** Folder of the upload's files. */
  readonly folder: string;
  readonly request: ReadingRequest;
  /** Splits data without test samples. */
  readonly seed: number;
}

/** Plain data, which can be sent between threads. */
export interface ReadUpload {
  /** Undefined if the upload is not a table. */
  readonly table: TablePreview | undefined;
  /** The data, or the sentence that says why there are none. */
  readonly opened: OpenedDataset | { readonly fault: string };
}

const mostRows = 6;
const mostColumns = 256;
const mostExamples = 12;
const mostExampleBytes = 2 ** 20;
const cellLength = 40;
const nameLength = 80;

const program = createRequire(import.meta.url).resolve('@lockstep/train/reading-thread');
/** A thread that needs more ends, and the process goes on. */
const maxHeapMegabytes = 2_048;

/**
 * Reads an upload in a separate thread. Even if this module runs from source, the thread runs the build.
 * @throws AbortError if the signal is aborted, which ends the thread
 */
export async function readInThread(reading: Reading, signal?: AbortSignal): Promise<ReadUpload> {
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
    return { table: undefined, opened: { fault } };
  } finally {
    await thread.terminate();
  }
}

/** Reads an upload in this thread. */
export async function readUpload({ folder, request, seed }: Reading): Promise<ReadUpload> {
  const path = pathOf(folder);
  let table: TablePreview | undefined;
  try {
    const rows = await openRows(path);
    if (!rows) return { table, opened: await openDataset(path, { seed }) };
    const label = request.label === undefined ? undefined : rows.table.columns[request.label]?.name;
    table = previewOf(rows.table, label, request.task);
    return { table, opened: await rows.toDataset({ label, task: request.task, seed }) };
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    // The path on this machine does not help the reader.
    const fault = error.message.replaceAll(`${folder}${sep}`, '').replaceAll(folder, 'the upload');
    return { table, opened: { fault: toMessageText(fault) } };
  }
}

/** A single uploaded file or folder is the data; several are the content of a folder. */
function pathOf(folder: string): string {
  const names = readdirSync(folder);
  return names.length === 1 ? join(folder, names[0]!) : folder;
}

function previewOf(table: Table, label: string | undefined, task: Task = 'classification'): TablePreview {
  const columns = table.columns.slice(0, mostColumns);
  const rows = Array.from({ length: Math.min(mostRows, table.count) }, (_, row) =>
    columns.map((column) => shown(column.textAt(row), cellLength)),
  );
  const names = columns.map(({ name }) => shown(name, nameLength));
  return { columns: names, rows, label: table.columns.indexOf(labelColumn(table, label)), task };
}

/** Sample preview: one of each class, then more, up to a message's limit. */
export function examplesOf({ samples, sampleShape, count, targets }: Dataset): Example[] {
  const size = sampleSize({ sampleShape });
  const most = Math.min(mostExamples, Math.floor(mostExampleBytes / (size * samples.BYTES_PER_ELEMENT)));
  const seen = new Set<number>();
  const firsts: number[] = [];
  for (let sample = 0; sample < count && firsts.length < most; sample += 1) {
    if (targets.type === 'classes' && seen.has(targets.labels[sample]!)) continue;
    if (targets.type === 'classes') seen.add(targets.labels[sample]!);
    firsts.push(sample);
  }
  const others = Array.from({ length: Math.min(count, 2 * most) }, (_, sample) => sample);
  return [...new Set([...firsts, ...others])].slice(0, most).map((sample) => ({
    sample: bytesOf(samples.slice(sample * size, (sample + 1) * size)),
    target: targetText(targets, sample),
  }));
}

function targetText(targets: Dataset['targets'], sample: number): string {
  if (targets.type === 'classes') return shown(targets.names[targets.labels[sample]!] ?? '', nameLength);
  const { mean, deviation } = targets.standardization ?? { mean: 0, deviation: 1 };
  const size = targets.names.length;
  const values = targets.values.subarray(sample * size, (sample + 1) * size);
  return shown(
    Array.from(values, (value) => `${Number((value * deviation + mean).toPrecision(4))}`).join(', '),
    nameLength,
  );
}

/** A dash for an empty cell. */
function shown(text: string, length: number): string {
  return text.trim() === '' ? '–' : toMessageText(text, length);
}
