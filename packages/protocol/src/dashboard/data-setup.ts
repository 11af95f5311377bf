/** What viewers see of a server that waits for the data of its run, as fields of a message. */
import * as v from 'valibot';
import { bytes, flag, message, sampleShape, sampleTypes, targetTypes, text, whole } from '../fields.ts';
import { maxOutputs, names } from './parts.ts';

/** No data yet; they arrive; they are read; a run on them can start; it starts. */
const phases = ['empty', 'receiving', 'reading', 'ready', 'starting'] as const;
/** What is learned of a column. */
export const tasks = ['classification', 'regression'] as const;

/** A cell, or the name of a column; never empty. */
const cell = text(80);

const row = v.array(cell, 'a list of texts');

/** A sample, as in a task, and the name of its class or its value. */
const example = v.strictObject({ sample: bytes, target: cell });

/** The first rows of a table, as they stand in the file. */
const table = v.strictObject({
  columns: row,
  rows: v.array(row, 'a list of rows'),
  /** The column that is learned. */
  label: whole(0),
  task: v.picklist(tasks),
});

/** What was read from the upload, and the run that would start on it. */
const data = v.strictObject({
  /** Samples, their shape, classes, and how they were split, in one line. */
  found: message,
  /** Model and length of the run, in one line. */
  plan: message,
  sampleType: v.picklist(sampleTypes),
  sampleShape,
  targetType: v.picklist(targetTypes),
  outputs: whole(1, maxOutputs),
  names: v.exactOptional(names),
  examples: v.array(example, 'a list of samples'),
});

export const dataSetup = {
  version: text(40),
  /** As in `run`. */
  joinAddresses: v.array(text(300), 'a list of addresses'),
  workerCommand: text(200),
  tokenNeeded: flag,
  phase: v.picklist(phases),
  /** Of the upload that arrives. */
  receivedBytes: whole(0),
  totalBytes: whole(0),
  /** Why the last upload cannot be the data of a run, in one sentence. */
  fault: v.exactOptional(message),
  data: v.exactOptional(data),
  /** Of an upload of rows, also where they could not be read as asked. */
  table: v.exactOptional(table),
};
