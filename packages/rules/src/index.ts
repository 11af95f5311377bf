/** The rules of a run: everything that decides its outcome, with no socket, file, timer or random number of its own. */

export { isTrial, onTrial } from './assignments.ts';
export { leastBytesPerMs } from './deadlines.ts';
export type {
  CheckedMessage,
  Command,
  ControlAction,
  CoordinatorEvent,
  LateComparison,
  RunEvent,
  UntimedEvent,
  WorkerCommand,
} from './events.ts';
export { helloFault } from './joining.ts';
export {
  batchForWorkers,
  firstSample,
  type InnerSteps,
  microbatchSizeFor,
  planRun,
  type RunPlan,
  samplesInShard,
  shardRange,
  stepBatch,
  stepDivisor,
  usedMicrobatches,
} from './plan.ts';
export { Rules } from './rules.ts';
export {
  type Claim,
  claimOf,
  claimText,
  type Exactness,
  exactnessOf,
  historyOf,
  idleReasonOf,
  type RunHistory,
} from './run-account.ts';
export { hasEnded } from './run-state.ts';
export { coarseShares } from './schedule.ts';
export {
  type DataFormat,
  decodeBatch,
  defaultLimits,
  encodeBatch,
  formatOf,
  type Limits,
  limitsFor,
  localChunkBytes,
  type Participation,
  type RunSetup,
} from './setup.ts';
export {
  type CheckedShards,
  type Connection,
  type ConnectionId,
  type CoordinatorState,
  type Faults,
  initialState,
  type KeptState,
  type Rewind,
  type WorkerRecord,
} from './state.ts';
export {
  nextPowerOfTwo,
  parentOf,
  powerOfTwoUpTo,
  type Shard,
  shardKey,
  shardsOfRange,
  shardText,
  siblingOf,
} from './tree.ts';
