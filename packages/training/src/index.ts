/** The rules of a run: everything that decides its outcome, with no socket, file, timer or random number of its own. */

export { type DataFormat, formatOf } from './batch-bytes.ts';
export { type BatchForWorkers, batchForWorkers, microbatchSizeFor } from './batch-for-workers.ts';
export type { Clock } from './clock.ts';
export { leastBytesPerMs } from './coordinator/deadlines.ts';
export type { ControlAction, RunEvent, WorkerCommand } from './coordinator/events.ts';
export { InlineCopy } from './coordinator/inline-copy.ts';
export { InlineGradient } from './coordinator/inline-gradient.ts';
export { type InlineCompute, InlineWorker } from './coordinator/inline-worker.ts';
export { helloFault } from './coordinator/joining.ts';
export { createReferee } from './coordinator/referee.ts';
export { Run } from './coordinator/run.ts';
export {
  type Claim,
  claimOf,
  claimText,
  type Exactness,
  exactnessOf,
  historyOf,
  idleReasonOf,
  type RunHistory,
} from './coordinator/run-account.ts';
export type { RunOptions, RunOutcome } from './coordinator/run-options.ts';
export { defaultLimits, type Limits } from './coordinator/run-setup.ts';
export { coarseShares } from './coordinator/shares.ts';
export type { CheckedShards, Connection, CoordinatorState, Faults, WorkerRecord } from './coordinator/state.ts';
export type { Trace } from './coordinator/trace.ts';
export { WaitingWorkers } from './coordinator/waiting-workers.ts';
export type { NewHash } from './incremental-hash.ts';
export type { InnerSteps } from './inner-steps.ts';
export {
  checkedSetup,
  createNumericsCheck,
  type NumericsCheck,
  type ReferenceGradient,
  referenceOf,
} from './numerics-check.ts';
export { ParameterServer, type StepResult } from './parameter-server.ts';
export { planRun, type RunPlan } from './plan.ts';
export { Relay, type RelayEvent, type RelayOptions } from './relay/relay.ts';
export type { RelayRun } from './relay/relay-run.ts';
export { createShardSource, type ShardSource } from './shard-source.ts';
export { nextPowerOfTwo, type Shard, shardsOfRange } from './tree.ts';
export { TreeSum } from './tree-sum.ts';
export { createPause, createYield } from './turns.ts';
export {
  type ByteCache,
  type Compute,
  ComputeError,
  type ComputeSetup,
  type GradientOptions,
  type ShardGradient,
  type ShardSamples,
} from './worker/compute.ts';
export { createLocalCompute } from './worker/local-compute.ts';
export {
  CoordinatorBusyError,
  Membership,
  type MembershipEnd,
  type MembershipEvent,
  type MembershipOptions,
  reconnectDelayMs,
} from './worker/membership.ts';
export { Session } from './worker/session.ts';
