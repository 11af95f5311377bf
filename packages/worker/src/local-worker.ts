/** The program of a worker that a run starts on its own machine: it hears by its channel what to join, and ends with it. */
import { once } from 'node:events';
import type { ComputeChoice } from './compute-choice.ts';
import { type JoinOptions, joinComputing } from './join.ts';
import { openCompute } from './open-compute.ts';
import { setEngineFlags } from './own-process.ts';

/** What a local worker is started with, as JSON in its only argument. */
export interface LocalWork {
  readonly name: string;
  readonly backend: ComputeChoice;
  readonly threads: number;
}

/** What it is told by its channel, once that is known: what to join. */
export interface LocalWorkerAddress extends Pick<JoinOptions, 'token' | 'fingerprint'> {
  readonly url: string;
}

/** How a process ends after SIGINT or SIGTERM. */
const interruptedCode = 130;

setEngineFlags();
process.on('disconnect', () => process.exit(1));

const work = JSON.parse(process.argv[2]!) as LocalWork;
// It opens what it computes on while its run is prepared.
const opening = openCompute(work.backend, work.threads);
// What keeps it from that is thrown where it joins.
opening.catch(() => {});
process.send?.('ready');
const [{ url, ...secrets }] = (await once(process, 'message')) as [LocalWorkerAddress];
// Until here a signal ends the process by itself.
const interruption = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => interruption.abort());
// The channel must not keep alive a worker that has nothing else to do.
process.channel?.unref();
try {
  await joinComputing(url, { ...work, ...secrets, signal: interruption.signal }, opening).done;
  process.exitCode = interruption.signal.aborted ? interruptedCode : 0;
} catch (error) {
  // The run shows the last line of a worker that failed.
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
