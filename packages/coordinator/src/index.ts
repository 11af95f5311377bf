/** One run: the connections of its workers, the results that it takes, and what the rules ask for; without a server. */
export { InlineWorker } from './inline-worker.ts';
export * from './run.ts';
export * from './run-options.ts';
export * from './waiting-workers.ts';
