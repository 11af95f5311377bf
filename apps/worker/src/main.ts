/** The Node worker's command line: joins a run with its options, and prints what happens. */
import { hostname } from 'node:os';
import { fleetFailure, joinFailure, libraryOptions, readCommandLine, runMain, tokenFrom } from '@lockstep/command';
import { FleetError } from '@lockstep/fleet';
import { ConfigurationError, JoinError, join } from '@lockstep/worker';
import { workerCommand } from '@lockstep/worker/options';
import { setEngineFlags } from '@lockstep/worker/own-process';
import { findCoordinator } from './coordinator.ts';
import { WorkerLines } from './worker-lines.ts';

const progressEveryMs = 30_000;

async function main(): Promise<number> {
  const options = readCommandLine(workerCommand, process.argv.slice(2));
  if (!options) return 0;
  setEngineFlags();
  const token = tokenFrom(options, process.env['LOCKSTEP_TOKEN']);
  const coordinator = await findCoordinator(options, token);
  const interruption = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => interruption.abort());
  const { url, place } = coordinator;
  const worker = join(url, { ...libraryOptions(workerCommand.options, options), token, signal: interruption.signal });
  const log = (message: string): void =>
    void process.stderr.write(`worker ${options.name ?? hostname()}: ${message}\n`);
  const lines = new WorkerLines('', performance.now(), progressEveryMs);
  try {
    for await (const event of worker) {
      for (const line of lines.of(event, performance.now())) log(line);
    }
    const { type, message } = await worker.done;
    if (interruption.signal.aborted) return 130;
    if (type === 'finished') log(message);
    return 0;
  } catch (error) {
    if (error instanceof JoinError) throw joinFailure(error, place);
    throw error;
  } finally {
    await coordinator.close();
  }
}

await runMain('worker', main, (error) => {
  if (error instanceof FleetError) return fleetFailure(error);
  return error instanceof ConfigurationError ? error.messageWith((option) => `--${option}`) : undefined;
});
