/** How much CPU and memory the coordinator uses, and whether they grow with anything but the bytes it moves. */
import type { Benchmark, Fact } from '../benchmark.ts';
import { openCoordinator } from '../peers/coordinator/open.ts';
import type { Burst } from '../peers/coordinator/requests.ts';
import { batchOf, coordinatorCheck, pixelsPerSample, vectorBytes, warmUpSteps } from '../workloads/coordinator-load.ts';

const workerCounts = [1, 2, 4, 8];
const steps = 400;
const most = { workers: 64, steps: 100 } as const;
/** Share of a step's vectors and pixels allowed for headers, small fields and joining. */
const allowedOverhead = 0.02;
/** Least part of the gradients: shares follow measured speeds, and now and then a worker has none in a step. */
const leastReceived = 0.75;
const tolerance = 1e-4;

export const manyWorkers: Benchmark = {
  kind: 'inspection',
  name: 'many-workers',
  title: `The coordinator alone: its share of a core and its memory, with up to ${most.workers} workers that answer at once`,
  method: [
    'The coordinator of the benchmark "coordinator-throughput" by itself. Processor time is that of all its threads, memory what',
    `is resident at the end of a burst. Bytes must be those of ${vectorBytes.toLocaleString('en-US')} each way for each worker and of the pixels, within`,
    `${allowedOverhead * 100} %; a second burst of ${most.steps} steps with ${most.workers} workers may leave no more memory behind than a vector for each.`,
  ],
  async facts(progress) {
    const facts: Fact[] = [];
    for (const workers of workerCounts) {
      progress(`many-workers: ${workers} workers`);
      const { burst } = await lastOf(workers, [steps / 4, steps]);
      facts.push(bytesFact(workers, steps, burst));
    }
    progress(`many-workers: ${most.workers} workers`);
    return [...facts, await memoryFact()];
  },
};

/** Runs two bursts of these numbers of steps. Returns the last one, the one before, and the weights after the last. */
async function lastOf(workers: number, bursts: readonly [number, number]) {
  const coordinator = await openCoordinator('lockstep', workers);
  try {
    const before = await coordinator.burst(bursts[0]);
    const burst = await coordinator.burst(bursts[1]);
    return { before, burst, weights: await coordinator.result() };
  } finally {
    await coordinator.close();
  }
}

/** Whether a burst moved only the bytes of its vectors and pixels, and which resources it used. */
export function bytesFact(workers: number, stepCount: number, burst: Burst): Fact {
  const vectors = workers * vectorBytes;
  const allSteps = warmUpSteps + stepCount;
  const sent = burst.bytesSent / allSteps;
  const received = burst.bytesReceived / allSteps;
  const expectedSent = vectors + batchOf(workers) * pixelsPerSample;
  const isClose = (got: number, expected: number): boolean => Math.abs(got / expected - 1) <= allowedOverhead;
  const coreShare = burst.cpuMs / burst.ms;
  const msPerStep = burst.ms / stepCount;
  const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(2)} MB`;
  const { residentBytes } = burst;
  return {
    name: `${workers} ${workers === 1 ? 'worker' : 'workers'}, bytes as expected`,
    holds:
      isClose(sent, expectedSent) && received <= (1 + allowedOverhead) * vectors && received >= leastReceived * vectors,
    message:
      `${megabytes(sent)} out and ${megabytes(received)} in a step of ${msPerStep.toFixed(2)} ms, ` +
      `${Math.round(coreShare * 100)} % of a core, ${Math.round(residentBytes / 1e6)} MB resident`,
    figures: { workers, msPerStep, coreShare, residentBytes, sentBytesPerStep: sent, receivedBytesPerStep: received },
  };
}

async function memoryFact(): Promise<Fact> {
  const { workers, steps } = most;
  const { before, burst, weights } = await lastOf(workers, [steps, steps]);
  const { distance } = coordinatorCheck(steps)(weights);
  const { residentBytes } = burst;
  const growthBytes = residentBytes - before.residentBytes;
  const msPerStep = burst.ms / steps;
  return {
    name: `${workers} workers, no step lost, memory bounded`,
    holds: distance <= tolerance && growthBytes <= workers * vectorBytes,
    message:
      `${steps} steps of ${msPerStep.toFixed(1)} ms, weights off by ${distance.toExponential(1)}, ` +
      `${Math.round(residentBytes / 1e6)} MB resident, ${(growthBytes / 1e6).toFixed(1)} MB more than a burst before`,
    figures: { workers, msPerStep, distance, residentBytes, growthBytes },
  };
}
