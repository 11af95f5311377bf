/** Opens the data at a path in a process of its own, and prints the outcome, the memory and the CPU time. */
import { openDataset } from '@lockstep/data/node';

const [path, options = '{}'] = process.argv.slice(2);
let outcome;
try {
  const { train, found } = await openDataset(path, JSON.parse(options));
  outcome = { found, sampleShape: train.samples.shape };
} catch (error) {
  outcome = { name: error.name, message: error.message };
}
const { maxRSS, userCPUTime, systemCPUTime } = process.resourceUsage();
const megabytes = Math.round(maxRSS / 1_000);
process.stdout.write(
  JSON.stringify({ ...outcome, megabytes, cpuMs: Math.round((userCPUTime + systemCPUTime) / 1_000) }),
);
