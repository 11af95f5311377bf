/**
 * What joins a run and computes for it, in a page.
 * @module
 */

export { ConfigurationError, configurationError, type NamedOption, named } from '@lockstep/command/options';
export { type ComputeChoice, computeChoices, defaultThreads, isHostChoice, requireThreads } from '../compute-choice.ts';
export { EventStream } from '../event-stream.ts';
export { type JoinEnd, JoinError, type JoinedWorker, type WorkerEvent } from '../joined-worker.ts';
export { systemClock } from '../system-clock.ts';
export { createDefer } from './defer.ts';
export { type JoinOptions, join } from './join.ts';
export type { TabBackend } from './tab-backend.ts';
export {
  type ActiveState,
  type EndedState,
  openingState,
  type TabState,
  type Workload,
} from './tab-state.ts';
export { TabThread } from './tab-thread.ts';
export { mostThreads, oneThreadReason, tabThreads, usualThreads } from './threads.ts';
