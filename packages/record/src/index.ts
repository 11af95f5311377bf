/** What is known of a run and kept of it: events, curves, the report and its words, checkpoints. */
export {
  type Checkpoint,
  type CheckpointInterval,
  type CheckpointOptions,
  checkpointFormat,
  decodeCheckpoint,
  defaultKeptCheckpoints,
  identityDifference,
  type RunClaim,
  type RunIdentity,
  type SavedTranscript,
  type SharedCheckpoints,
  type TranscriptPart,
  type WrittenCheckpoint,
} from './checkpoint.ts';
export { type CurvePoint, evenly } from './curve.ts';
export { type KeptEpoch, keptText, type ValidationConfig } from './epoch-choice.ts';
export * from './events.ts';
export { Recorder, type RunRecord, readyWorkers } from './recorder.ts';
export * from './report.ts';
export type { MeanTimes, StepTimes } from './step-timing.ts';
export * from './version.ts';
export * from './words.ts';
