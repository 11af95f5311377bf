/** Reads an upload as the data of a run, and what a person sees of them before the run starts. */
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

/** How a table is to be read. */
export interface ReadingRequest {
  /** Index of the column that is learned; by default the reader chooses. */
  readonly label?: number | undefined;
  readonly task?: Task | undefined;
}

/** Data that a reading thread is started with. */
export interface Reading {
  /** Folder of the upload's files. */
  readonly folder: string;
  readonly request: ReadingRequest;
  /** Splits data that have no samples to test with. */
  readonly seed: number;
}

/** Plain data, so that it can travel between threads. */
export interface ReadUpload {
  /** Undefined if the upload is no table. */
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
/** A thread that takes more ends, and the process goes on. */
const maxHeapMegabytes = 2_048;

/**
 * Reads an upload in a thread of its own, also if this module is a source: the thread runs what the build made.
 * @throws AbortError if the signal is aborted, which ends the thread
 */
export async function readInThread(reading: Reading, signal?: AbortSignal): Promise<ReadUpload> {
  signal?.throwIfAborted();
  const thread = new Worker(program, {
    workerData: reading,
    // Options for modules or debuggers are meant for the process's own thread.
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
    const label = request.label === undefined ? undefined : rows?.columns[request.label]?.name;
    if (rows) table = previewOf(rows, label, request.task);
    const asked = rows ? { label, task: request.task } : {};
    return { table, opened: await openDataset(path, { ...asked, seed }) };
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    // The place on this machine helps no reader.
    const fault = error.message.replaceAll(`${folder}${sep}`, '').replaceAll(folder, 'the upload');
    return { table, opened: { fault: toMessageText(fault) } };
  }
}

/** A file or folder that came alone is the data; several ones are those of a folder. */
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

/** Samples to look at: of each class one, then more, as many as a message takes. */
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

/** An empty cell is shown by a dash. */
function shown(text: string, length: number): string {
  return text.trim() === '' ? '–' : toMessageText(text, length);
}
