/** Program of a worker that a run starts on its own machine: receives the address by IPC, and ends with the channel. */

import { once } from 'node:events';
import { errorMessage } from '@lockstep/data/shown';
import { joinComputing } from './join.ts';
import { openCompute } from './open-compute.ts';
import type { ComputeChoice, FoundAddress, VectorChoice } from './options.ts';
import { interruptedExitCode, setEngineFlags } from './own-process.ts';

/** Settings of a local worker, passed as JSON in its only argument. */
export interface LocalWork {
  readonly name: string;
  readonly backend: ComputeChoice;
  readonly threads: number;
  readonly vectors: VectorChoice;
}

process.on('disconnect', () => process.exit(1));

const { vectors, ...work } = JSON.parse(process.argv[2]!) as LocalWork;
setEngineFlags(vectors);
// Open the backend while the run is being prepared.
const opening = openCompute(work.backend, work.threads);
// A failure to open is thrown again on joining.
opening.catch(() => {});
process.send?.('ready');
// The address to join, once it is known.
const [{ url, ...secrets }] = (await once(process, 'message')) as [FoundAddress];
// Up to here a signal ends the process by default.
const interruption = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => interruption.abort());
// The channel must not keep an idle worker alive.
process.channel?.unref();
try {
  await joinComputing(url, { ...work, ...secrets, signal: interruption.signal }, opening).done;
  process.exitCode = interruption.signal.aborted ? interruptedExitCode : 0;
} catch (error) {
  // The run shows the last line of a failed worker.
  process.stderr.write(`${errorMessage(error)}\n`);
  process.exitCode = 1;
}
