/** Loaded into a program with --import: on exit, writes the memory used to its fourth stream, as a line of JSON. */
import { writeSync } from 'node:fs';

/** Bytes of a process. */
export interface ProcessMemory {
  readonly residentBytes: number;
  /** Peak resident bytes. */
  readonly peakResidentBytes: number;
}

const stream = 3;

process.once('exit', () => {
  const { rss } = process.memoryUsage();
  const memory: ProcessMemory = { residentBytes: rss, peakResidentBytes: process.resourceUsage().maxRSS * 1024 };
  writeSync(stream, `${JSON.stringify(memory)}\n`);
});
