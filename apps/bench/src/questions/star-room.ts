/** Question: what does the coordinator take of the machine, and does it grow with anything but the bytes it moves? */
import { openStar } from '../peers/star/open.ts';
import type { Burst } from '../peers/star/requests.ts';
import type { Fact, Inspection } from '../question.ts';
import { starBatch, starJudge, starPixels, starVectorBytes, starWarmUpSteps } from '../work/star.ts';

const workerCounts = [1, 2, 4, 8];
const steps = 400;
const manyWorkers = 64;
const manySteps = 100;
/** Over the vectors and pixels of a step: headers, small fields, and what joining takes. */
const allowedOverhead = 0.02;
const tolerance = 1e-4;

export const starRoom: Inspection = {
  kind: 'inspection',
  name: 'star-room',
  title: `The coordinator alone: its share of a core and its memory, with up to ${manyWorkers} workers that answer at once`,
  method: [
    'The coordinator of the question "star" by itself. Processor time is that of all its threads, memory what is resident at the',
    `end of a burst. Bytes must be those of ${starVectorBytes.toLocaleString('en-US')} each way for each worker and of the pixels, within ${allowedOverhead * 100} %; a second burst`,
    `of ${manySteps} steps with ${manyWorkers} workers may leave no more memory behind than a vector for each of them.`,
  ],
  async facts(progress) {
    const facts: Fact[] = [];
    for (const workers of workerCounts) {
      progress(`star-room: ${workers} workers`);
      facts.push(await inspect(workers));
    }
    progress(`star-room: ${manyWorkers} workers`);
    facts.push(await inspectMany());
    return facts;
  },
};

async function inspect(workers: number): Promise<Fact> {
  const star = await openStar('lockstep', workers);
  try {
    await star.run(steps / 4);
    await star.run(steps);
    return judgeBurst(workers, steps, star.last!);
  } finally {
    await star.close();
  }
}

/** Whether a burst moved the bytes that it had to, and what it took. */
export function judgeBurst(workers: number, stepCount: number, burst: Burst): Fact {
  const vectors = workers * starVectorBytes;
  const allSteps = starWarmUpSteps + stepCount;
  const sent = burst.bytesSent / allSteps;
  const received = burst.bytesReceived / allSteps;
  const expectedSent = vectors + starBatch(workers) * starPixels;
  const isClose = (got: number, expected: number): boolean => Math.abs(got / expected - 1) <= allowedOverhead;
  const coreShare = burst.cpuMs / burst.ms;
  const msPerStep = burst.ms / stepCount;
  const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(2)} MB`;
  return {
    name: `${workers} ${workers === 1 ? 'worker' : 'workers'}, bytes as they must be`,
    holds: isClose(sent, expectedSent) && isClose(received, vectors),
    message:
      `${megabytes(sent)} out and ${megabytes(received)} in a step of ${msPerStep.toFixed(2)} ms, ` +
      `${Math.round(coreShare * 100)} % of a core, ${Math.round(burst.residentBytes / 1e6)} MB resident`,
    figures: {
      workers,
      msPerStep,
      coreShare,
      residentBytes: burst.residentBytes,
      sentBytesPerStep: sent,
      receivedBytesPerStep: received,
    },
  };
}

async function inspectMany(): Promise<Fact> {
  const star = await openStar('lockstep', manyWorkers);
  try {
    await star.run(manySteps);
    const before = star.last!;
    await star.run(manySteps);
    const after = star.last!;
    const { distance } = starJudge(manyWorkers, manySteps)(await star.result());
    const growthBytes = after.residentBytes - before.residentBytes;
    const msPerStep = after.ms / manySteps;
    return {
      name: `${manyWorkers} workers, no step lost, memory bounded`,
      holds: distance <= tolerance && growthBytes <= manyWorkers * starVectorBytes,
      message:
        `${manySteps} steps of ${msPerStep.toFixed(1)} ms, weights off by ${distance.toExponential(1)}, ` +
        `${Math.round(after.residentBytes / 1e6)} MB resident, ${(growthBytes / 1e6).toFixed(1)} MB more than a burst before`,
      figures: { workers: manyWorkers, msPerStep, distance, residentBytes: after.residentBytes, growthBytes },
    };
  } finally {
    await star.close();
  }
}
