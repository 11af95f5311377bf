/** The run and the relay without sockets: for the simulator, the benchmarks and tests. */
export { InlineWorker } from './coordinator/inline-worker.ts';
export { Run } from './coordinator/run.ts';
export type { RunOptions, RunOutcome } from './coordinator/run-options.ts';
export { Relay } from './relay/relay-core.ts';
export { RelayRun } from './relay/relay-run.ts';
