/** The run and the relay without sockets, and the messages to viewers: for the simulator, the site and tests. */
export { InlineWorker } from './coordinator/inline-worker.ts';
export { Run } from './coordinator/run.ts';
export type { RunOptions, RunOutcome } from './coordinator/run-options.ts';
export {
  evaluatorOf,
  finiteReport,
  namedReading,
  pageText,
  pointBytes,
  runMessage,
  tablePreviewOf,
} from './dashboard/messages.ts';
export { keptText } from './record/epoch-choice.ts';
export { Relay } from './relay/relay-core.ts';
export { RelayRun } from './relay/relay-run.ts';
