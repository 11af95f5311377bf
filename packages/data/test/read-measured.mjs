/** Opens the data at a path in a process of its own, and prints the outcome, the memory and the CPU time. */
import { existsSync, readFileSync } from 'node:fs';
import { openDataset } from '@lockstep/data/node';

const status = '/proc/self/status';

const [path, options = '{}'] = process.argv.slice(2);
let outcome;
try {
  const { train, found } = await openDataset(path, JSON.parse(options));
  outcome = { found, sampleShape: train.samples.shape };
} catch (error) {
  outcome = { name: error.name, message: error.message };
}
const { maxRSS, userCPUTime, systemCPUTime } = process.resourceUsage();
// On Linux, maxRSS begins with the memory of the process that started this one; VmHWM is this program's own.
const ownPeak = existsSync(status) && /^VmHWM:\s+(\d+) kB/m.exec(readFileSync(status, 'utf8'))?.[1];
const megabytes = Math.round(Number(ownPeak || maxRSS) / 1_000);
process.stdout.write(
  JSON.stringify({ ...outcome, megabytes, cpuMs: Math.round((userCPUTime + systemCPUTime) / 1_000) }),
);
