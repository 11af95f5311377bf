export { InlineWorker } from './inline-worker.ts';
export { Run } from './run.ts';
export type { AskedRunOptions, RunOptions, RunOutcome, SumRecorder, Trace } from './run-options.ts';
export { WaitingWorkers } from './waiting-workers.ts';
