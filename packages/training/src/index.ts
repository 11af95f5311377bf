/** The rules of a run: everything that decides its outcome, with no socket, file, timer or random number of its own. */

export { Aggregator, type ShardSum } from './aggregator.ts';
export type { Clock } from './clock.ts';
export type { ControlAction, RunEvent } from './coordinator/events.ts';
export { type Exactness, exactnessOf } from './coordinator/exactness.ts';
export { createReferee, type RefereeOptions } from './coordinator/referee.ts';
export { Run, type RunOptions, type RunOutcome, startRun } from './coordinator/run.ts';
export { coarseShares } from './coordinator/shares.ts';
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
export { createNumericsCheck, type NumericsCheck } from './numerics-check.ts';
export { ParameterServer, type ParameterServerOptions, type StepResult } from './parameter-server.ts';
export { defaultMicrobatchSize, planRun, type RunPlan, stepBatch } from './plan.ts';
export { createShardSource, type ShardSource } from './shard-source.ts';
export { nextPowerOfTwo, type Shard, shardsOfRange } from './tree.ts';
export { TreeReduction, type TreeReductionOptions } from './tree-reduction.ts';
export { TreeSum } from './tree-sum.ts';
export {
  type Compute,
  ComputeError,
  type ComputeSetup,
  type GradientOptions,
  type PixelCache,
  type ShardGradient,
  type ShardPixels,
} from './worker/compute.ts';
export {
  type KeepJoinedOptions,
  keepJoined,
  type Membership,
  type MembershipEnd,
  type MembershipEvent,
} from './worker/keep-joined.ts';
export { createLocalCompute } from './worker/local-compute.ts';
export { reconnectDelayMs } from './worker/reconnect.ts';
export {
  type Session,
  type SessionEnd,
  type SessionEvent,
  startSession,
  type WorkerIdentity,
} from './worker/session.ts';
