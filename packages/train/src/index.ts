/** What the command lines share: the report of a run, checkpoints, what a worker may compute with, the system's clock. */
export {
  type Checkpoint,
  decodeCheckpoint,
  encodeCheckpoint,
  type RunIdentity,
} from './checkpoint.ts';
export { type ComputeChoice, computeChoices, defaultThreads, threadsFault } from './compute-choice.ts';
export { identityFault } from './identity-fault.ts';
export type { CurveState, Progress, StepSums } from './progress.ts';
export {
  type CurvePoint,
  createReport,
  type EpochReport,
  type Report,
  type ReportOptions,
  type RunConfig,
  type StepTimes,
  type TrainedEpoch,
  type WorkerReport,
} from './report.ts';
export { systemClock } from './system-clock.ts';
export { nothingTurnedAway, type TurnedAway, turnedAwayReasons } from './turned-away.ts';
