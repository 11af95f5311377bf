/**
 * The thread that reads an upload: as the data of a run, and as a preview for a person. Parsing takes seconds, during
 * which the server's own thread keeps answering.
 */
import { readdirSync, statSync } from 'node:fs';
import { join, sep } from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';
import { bytesOfField, DataError, type Dataset, sizeOfField } from '@lockstep/data';
import { openDataset, openRows } from '@lockstep/data/node';
import { type OpenedDataset, type TextOptions, tableOf } from '@lockstep/data/readers';
import type { TrainingData } from '@lockstep/prepare';
import { bytesOf, maxNameLength, type WatchMessageOf } from '@lockstep/protocol';
import { namedReading, pageText, type ReadingRequest, shownCell, tablePreviewOf } from './messages.ts';

type DataSetup = WatchMessageOf<'dataSetup'>;
type TablePreview = NonNullable<DataSetup['table']>;
type Example = NonNullable<DataSetup['data']>['examples'][number];

export interface ReadingTask {
  /** Folder of the upload's files. */
  readonly folder: string;
  readonly request: ReadingRequest;
  /** Splits data without test samples. */
  readonly seed: number;
  /** How the run's model reads a text. */
  readonly model: TextOptions['model'];
}

/** The data of an upload, and how they were read. */
type ReadData = OpenedDataset & Pick<TrainingData, 'readBy'>;

/** Plain data, which can be sent between threads. */
export interface ReadUpload {
  /** Undefined if the upload is not a table. */
  readonly table: TablePreview | undefined;
  /** The data, or the sentence that says why there are none. */
  readonly opened: ReadData | { readonly fault: string };
  readonly examples: Example[];
}

const mostExamples = 12;
const mostExampleBytes = 2 ** 20;

if (!parentPort) throw new Error('reading-thread: expected to be started as a worker thread');

const read = await readUpload(workerData as ReadingTask);
parentPort.postMessage(read, buffersOf(read));

/** Buffers of samples and targets, which move to the server's thread. */
function buffersOf({ opened }: ReadUpload): ArrayBuffer[] {
  if ('fault' in opened) return [];
  const arrays = ({ samples, targets }: Dataset) => [samples.values, targets.values];
  return [...new Set([opened.train, opened.test].flatMap(arrays).map(({ buffer }) => buffer as ArrayBuffer))];
}

async function readUpload({ folder, request, seed, model }: ReadingTask): Promise<ReadUpload> {
  const path = pathOf(folder);
  let table: TablePreview | undefined;
  try {
    const rows = await openRows(path, { model });
    const reading = rows && namedReading(rows.table, request);
    if (reading) table = tablePreviewOf(rows.table, reading);
    const options = reading ?? { model, ...(hasFolders(path) && { skipBad: true }) };
    const data = rows ? await rows.toDataset({ ...options, seed }) : await openDataset(path, { ...options, seed });
    const opened = { ...data, readBy: { isDefault: false, options } };
    const read = tableOf(data.reading);
    if (reading && read) table = tablePreviewOf(rows.table, { ...reading, label: read.label });
    // A table already shows its rows as they are in the file.
    return { table, opened, examples: read ? [] : examplesOf(opened.train) };
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    // The path on this machine does not help the reader.
    const fault = error.message.replaceAll(`${folder}${sep}`, '').replaceAll(folder, 'the upload');
    return { table, opened: { fault: pageText(fault) }, examples: [] };
  }
}

/** Whether an upload has folders of pictures, whose owner sees which were skipped before the run starts. */
function hasFolders(path: string): boolean {
  const isFolder = statSync(path).isDirectory();
  return isFolder && readdirSync(path, { withFileTypes: true }).some((entry) => entry.isDirectory());
}

/** A single uploaded file or folder is the data; several are the content of a folder. */
function pathOf(folder: string): string {
  const names = readdirSync(folder);
  return names.length === 1 ? join(folder, names[0]!) : folder;
}

/** Sample preview: one of each class, then more, up to a message's limit. */
function examplesOf(data: Dataset): Example[] {
  const { samples, targets, count } = data;
  const size = sizeOfField(samples);
  const most = Math.min(mostExamples, Math.floor(mostExampleBytes / bytesOfField(samples)));
  const seen = new Set<number>();
  const firsts: number[] = [];
  for (let sample = 0; sample < count && firsts.length < most; sample += 1) {
    if (targets.role === 'index' && seen.has(targets.values[sample]!)) continue;
    if (targets.role === 'index') seen.add(targets.values[sample]!);
    firsts.push(sample);
  }
  const others = Array.from({ length: Math.min(count, 2 * most) }, (_, sample) => sample);
  return [...new Set([...firsts, ...others])].slice(0, most).map((sample) => ({
    sample: bytesOf(samples.values.slice(sample * size, (sample + 1) * size)),
    target: targetText(data, sample),
  }));
}

function targetText({ samples, targets }: Dataset, sample: number): string {
  if (targets.role === 'index') return shownCell(targets.names[targets.values[sample]!] ?? '', maxNameLength);
  if (targets.role === 'next') {
    const length = sizeOfField(samples);
    const tokens = samples.values.subarray(sample * length, (sample + 1) * length);
    return shownCell(Array.from(tokens, (token) => targets.names[token] ?? '').join(''), maxNameLength);
  }
  const { mean, deviation } = targets.standardization ?? { mean: 0, deviation: 1 };
  const size = targets.names.length;
  const values = targets.values.subarray(sample * size, (sample + 1) * size);
  return shownCell(
    Array.from(values, (value) => `${Number((value * deviation + mean).toPrecision(4))}`).join(', '),
    maxNameLength,
  );
}
