/** The program of a worker that a run starts on its own machine: it hears by its channel what to join, and ends with it. */
import { once } from 'node:events';
import { Socket } from 'node:net';
import type { ComputeChoice } from './compute-choice.ts';
import { type JoinOptions, joinFromHere } from './join.ts';
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
  /** Whether the server takes its first connection from the pipe that it was started with. */
  readonly isPiped: boolean;
}

/** The file descriptor of a pipe to the run's process, both ways. */
const pipeDescriptor = 4;

/** How a process ends after SIGINT or SIGTERM. */
const interruptedCode = 130;

setEngineFlags();
process.on('disconnect', () => process.exit(1));

const work = JSON.parse(process.argv[2]!) as LocalWork;
// It opens what it computes on while its run is prepared.
const opening = openCompute(work.backend, work.threads);
// What keeps it from that is thrown where it joins.
await opening.catch(() => {});
// From the answer on a server waits for its first words.
process.send?.('ready');
const [{ url, isPiped, ...secrets }] = (await once(process, 'message')) as [LocalWorkerAddress];
// Until here a signal ends the process by itself.
const interruption = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => interruption.abort());
// The channel must not keep alive a worker that has nothing else to do.
process.channel?.unref();
try {
  const options = { ...work, ...secrets, signal: interruption.signal };
  const pipe = isPiped ? new Socket({ fd: pipeDescriptor, readable: true, writable: true }) : undefined;
  await joinFromHere(url, options, { opening, pipe }).done;
  process.exitCode = interruption.signal.aborted ? interruptedCode : 0;
} catch (error) {
  // The run shows the last line of a worker that failed.
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
