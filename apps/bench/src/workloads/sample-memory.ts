/** Loaded into a program with --import: writes resident memory over time to its fourth stream, as a line of JSON. */
import { writeSync } from 'node:fs';

/** Resident memory of a process, in bytes. */
export interface MemorySamples {
  /** Peak resident bytes. */
  readonly peakBytes: number;
  /** Times in milliseconds since 1970. */
  readonly samples: readonly { readonly atMs: number; readonly bytes: number }[];
}

/** Environment variable that marks the measured process. Its child processes load this file too, and do nothing. */
export const measuredVariable = 'LOCKSTEP_MEASURED';

const stream = 3;
const everyMs = 25;

if (process.env[measuredVariable] !== undefined) {
  delete process.env[measuredVariable];
  const samples: MemorySamples['samples'][number][] = [];
  setInterval(() => samples.push({ atMs: Date.now(), bytes: process.memoryUsage.rss() }), everyMs).unref();
  process.once('exit', () => {
    const memory: MemorySamples = { peakBytes: process.resourceUsage().maxRSS * 1024, samples };
    writeSync(stream, `${JSON.stringify(memory)}\n`);
  });
}
