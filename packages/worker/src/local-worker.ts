/** The program of a worker that a run starts on its own machine: it asks by its channel what to join, and ends with it. */
import { once } from 'node:events';
import { type JoinOptions, join } from './join.ts';
import { setEngineFlags } from './own-process.ts';

/** What a local worker is told: the address to join, and how. */
export interface LocalWorkerSetup extends Pick<JoinOptions, 'name' | 'backend' | 'threads' | 'token' | 'fingerprint'> {
  readonly url: string;
}

/** How a process ends after SIGINT or SIGTERM. */
const interruptedCode = 130;

setEngineFlags();
const interruption = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => interruption.abort());
process.on('disconnect', () => process.exit(1));

process.send?.('ready');
const [{ url, ...options }] = (await once(process, 'message')) as [LocalWorkerSetup];
// The channel must not keep alive a worker that has nothing else to do.
process.channel?.unref();
try {
  await join(url, { ...options, signal: interruption.signal }).done;
  process.exitCode = interruption.signal.aborted ? interruptedCode : 0;
} catch (error) {
  // The run shows the last line of a worker that failed.
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
