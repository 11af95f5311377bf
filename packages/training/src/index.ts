/** The rules of a run: everything that decides its outcome, with no socket, file, timer or random number of its own. */
export type { Clock } from './clock.ts';
export { coarseShares } from './coordinator/assign.ts';
export type { Notice, Steering } from './coordinator/events.ts';
export { type Run, type RunOptions, type RunOutcome, startRun } from './coordinator/run.ts';
export {
  type Connection,
  type CoordinatorState,
  defaultLimits,
  type Faults,
  type Limits,
  type RunSetup,
  type WorkerRecord,
} from './coordinator/state.ts';
export type { Trace } from './coordinator/trace.ts';
export { createEvaluator, type Evaluation, type Evaluator } from './evaluation.ts';
export { createExaminer, type Examination, type Examiner, type Mistake } from './examination.ts';
export { createLearner, type Learner, type StepResult } from './learner.ts';
export { type OracleOptions, oracleWeights } from './oracle.ts';
export { defaultLeafSize, planRun, type RunPlan, stepBatch } from './plan.ts';
export { createProbe, type Probe } from './probe.ts';
export {
  type CurvePoint,
  createReport,
  type EpochReport,
  type Exactness,
  exactnessOf,
  type Report,
  type RunConfig,
  type StepTimes,
  type WorkerReport,
} from './report.ts';
export { type BlockSource, createBlockSource } from './samples.ts';
export { type Block, blocksOfRange, nextPowerOfTwo } from './tree.ts';
export { createTreeSum, type TreeSum } from './tree-sum.ts';
export {
  type BlockGradient,
  type Compute,
  ComputeError,
  type ComputeSetup,
  type KeepingCompute,
  type KeptPixels,
  type PixelTable,
} from './worker/compute.ts';
export { type ComputeChoice, computeChoices, faultOfThreads } from './worker/compute-choice.ts';
export {
  type KeepJoinedOptions,
  keepJoined,
  type Membership,
  type MembershipEnd,
  type MembershipNotice,
} from './worker/keep-joined.ts';
export { createLocalCompute } from './worker/local-compute.ts';
export { reconnectDelayMs } from './worker/reconnect.ts';
export {
  type Session,
  type SessionEnd,
  type SessionNotice,
  startSession,
  type WorkerIdentity,
} from './worker/session.ts';
