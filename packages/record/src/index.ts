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
export {
  type Addresses,
  type EpochEvent,
  type EvaluatedEpoch,
  EventLines,
  type ListeningEvent,
  type OnEpoch,
  type PreparedEvent,
  type RecordedEvent,
  type RelayPlace,
  type RelaysEvent,
  type RunEnding,
  type SampleEvent,
  type StepEvent,
  type TrainingEvent,
} from './events.ts';
export { Recorder, type RunRecord, readyWorkers } from './recorder.ts';
export {
  addTraffic,
  createReport,
  type DataSource,
  type DataSummary,
  type DiLoCoConfig,
  type EpochReport,
  type Evaluated,
  keptEpochOf,
  type MachineReport,
  noTraffic,
  nothingTurnedAway,
  type Report,
  type RunConfig,
  type TextSample,
  type TurnedAway,
  type WorkerReport,
} from './report.ts';
export type { MeanTimes, StepTimes } from './step-timing.ts';
export { version } from './version.ts';
export { heldOutWord, namingOption, newSecret, samplesText, shortHash, tokenUnits } from './words.ts';
