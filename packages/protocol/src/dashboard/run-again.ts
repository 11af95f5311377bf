/** What viewers say and see of the runs of one server, as fields of messages. */
import * as v from 'valibot';
import { finite, text, whole } from '../fields.ts';
import { epochReport, points } from './parts.ts';

/** What the next run has otherwise than the last one; the options of a run check the values. */
export const runChanges = {
  seed: v.exactOptional(finite),
  learningRate: v.exactOptional(finite),
  optimizer: v.exactOptional(text(40)),
  /** The name of a built-in model. */
  model: v.exactOptional(text(40)),
  batch: v.exactOptional(finite),
  epochs: v.exactOptional(finite),
  /** The name of a schedule of the learning rate. */
  schedule: v.exactOptional(text(40)),
};

/** What a run was given, and how many workers computed it. */
const runSettings = v.strictObject({
  model: text(80),
  optimizer: text(40),
  learningRate: finite,
  batch: whole(1),
  epochs: whole(1),
  /** The name of the schedule. */
  schedule: text(40),
  seed: whole(0),
  workers: whole(0),
});

const earlierRun = v.strictObject({
  /** What it had otherwise than the other runs, such as `lr 0.1`. */
  label: text(200),
  settings: runSettings,
  stepsPerEpoch: whole(1),
  /** Steps taken. */
  steps: whole(0),
  points,
  epochs: v.array(epochReport, 'a list of epochs'),
});

export const earlierRuns = {
  /** Of the current run. */
  label: text(200),
  /** The oldest first. */
  runs: v.array(earlierRun, 'a list of runs'),
};
