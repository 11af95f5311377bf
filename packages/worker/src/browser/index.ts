/** A tab as a worker: its thread, which has socket and compute, and what a page can ask of it. */

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
export { mostThreads, oneThreadReason, usualThreads } from './threads.ts';
