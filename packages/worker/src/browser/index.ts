/** What joins a run and computes for it, in a page. */
export { type ComputeChoice, computeChoices, defaultThreads, requireThreads } from '../compute-choice.ts';
export { ConfigurationError, configurationError, type NamedOption, named } from '../configuration-error.ts';
export { EventStream } from '../event-stream.ts';
export { systemClock } from '../system-clock.ts';
export { createDefer } from './defer.ts';
export { startWorkerThread } from './start-worker-thread.ts';
export type { TabBackend } from './tab-backend.ts';
export {
  type ActiveState,
  type EndedState,
  type JoinRequest,
  openingState,
  type PageMessage,
  type TabState,
  type Workload,
} from './tab-state.ts';
export { mostThreads, oneThreadReason, tabThreads, usualThreads } from './threads.ts';
