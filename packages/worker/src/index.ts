/**
 * Joins a run and computes for it, in Node; the counterpart in a page is `@lockstep/worker/browser`.
 * @module
 */

export { ConfigurationError, configurationError, type NamedOption, optionName } from '@lockstep/command/options';
export type { AddressSource } from './addresses.ts';
export { type JoinOptions, join } from './join.ts';
export { EventStream, type JoinEnd, JoinError, JoinedWorker, type WorkerEvent } from './joined-worker.ts';
export type { LocalWork } from './local-worker.ts';
export {
  type ComputeChoice,
  computeChoices,
  defaultThreads,
  type FoundAddress,
  isHostChoice,
  joinAddress,
  requireThreads,
  type VectorChoice,
} from './options.ts';
export { systemClock } from './system-clock.ts';
