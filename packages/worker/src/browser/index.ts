/**
 * Joins a run and computes for it, in a page.
 * @module
 */

export { ConfigurationError, configurationError, type NamedOption, named } from '@lockstep/command/options';
export { type ComputeChoice, computeChoices, defaultThreads, isHostChoice, requireThreads } from '../compute-choice.ts';
export { EventStream } from '../event-stream.ts';
export { type JoinEnd, JoinError, type JoinedWorker, type WorkerEvent } from '../joined-worker.ts';
export { reconnectDelayMs } from '../membership.ts';
export { systemClock } from '../system-clock.ts';
export { type JoinOptions, join, TabThread } from './join.ts';
export {
  type ActiveState,
  type EndedState,
  openingState,
  type TabBackend,
  type TabState,
  type Workload,
} from './tab-state.ts';
export { mostThreads, oneThreadReason, tabThreads, usualThreads } from './threads.ts';
