/** One run: the connections of its workers, the results that it takes, and what the rules ask for; without a server. */
export { InlineWorker } from './inline-worker.ts';
export { Run } from './run.ts';
export type { AskedRunOptions, RunOptions, RunOutcome, SumRecorder, Trace } from './run-options.ts';
export { WaitingWorkers } from './waiting-workers.ts';
