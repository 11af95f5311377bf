/** Fits the cost model to the medians of a few short runs. */
import type { Report, StepTimes } from '@lockstep/train';
import { median } from '../../statistics.ts';
import type { Costs } from './model.ts';

/** The reports of the runs that the costs are read from. */
export interface FitRuns {
  readonly single: readonly Report[];
  /** One worker with the batch in question … */
  readonly one: readonly Report[];
  /** … and with a smaller one, which tells what a step costs from what a sample costs. */
  readonly oneSmall: readonly Report[];
  readonly two: readonly Report[];
}

/** Milliseconds of the median step of runs: what a pause of the machine does not move. */
export function medianStepMs(reports: readonly Report[]): number {
  return median(reports.flatMap(({ stepTimes }) => stepTimes?.stepMs ?? []));
}

/** Pixels and label. */
const imageBytes = 28 * 28 + 1;
/** The number by which a worker keeps it. */
const numberBytes = 4;

/** What a lone worker is sent in a step besides samples, each of which travels to it once. */
function weightBytesOf({ wire, steps, config }: Report): number {
  const images = steps * config.batch;
  const sampleBytes = Math.min(images, config.samples) * imageBytes + images * numberBytes;
  return Math.max(0, (wire.bytesSent - sampleBytes) / steps);
}

export function fitCosts({ single, one, oneSmall, two }: FitRuns, cores: number): Costs {
  const { batch, microbatchSize } = one[0]!.config;
  const small = oneSmall[0]!.config.batch;
  const medianOf = (reports: readonly Report[], value: (times: StepTimes) => number): number =>
    median(reports.flatMap(({ stepTimes }) => (stepTimes === null ? [] : [value(stepTimes)])));
  const computeMs = (reports: readonly Report[]): number => medianOf(reports, (times) => times.computeMs);
  const [large, little] = [computeMs(one), computeMs(oneSmall)];
  // A slope that noise has made steeper than the whole microbatches nothing that is fixed.
  const computeMsPerSample = Math.min(large / batch, Math.max(0, (large - little) / (batch - small)));
  const computeFixedMs = large - computeMsPerSample * batch;
  const alone = computeFixedMs + (computeMsPerSample * batch) / 2;
  // The slower of two is waited for as long as its arithmetic takes longer: a part of it, not a cost of its own.
  const together = medianOf(two, (times) => times.computeMs + times.waitMs);
  const firstWorkerMs = Math.max(0, medianStepMs(one) - large);
  const crowding = Math.max(1, together / alone);
  return {
    batch,
    microbatchSize,
    cores,
    singleStepMs: medianStepMs(single),
    computeFixedMs,
    computeMsPerSample,
    crowding,
    firstWorkerMs,
    nextWorkerMs: Math.max(0, medianStepMs(two) - Math.max(together, alone) - firstWorkerMs),
    // Both ends pack, and both ends of a socket are written and read: half of that is the worker's.
    handlingMs: medianOf(one, (times) => (times.packMs + times.sendMs) / 2),
    weightBytes: median(one.map(weightBytesOf)),
    gradientBytes: median(one.map(({ wire, steps }) => wire.bytesReceived / steps)),
    sampleBytes: imageBytes + numberBytes,
  };
}
