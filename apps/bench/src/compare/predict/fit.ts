/** Fits the cost model to the medians of a few short runs. */
import type { Report, StepTimes } from '@lockstep/train';
import { median } from '../../statistics.ts';
import type { Costs } from './model.ts';

/** Runs that the costs are fitted to; the small batch of `oneSmall` separates the costs of a step and of a sample. */
export type FitRuns = Readonly<Record<'single' | 'one' | 'oneSmall' | 'two', readonly Report[]>>;

/** Median milliseconds of a step of these runs, which a pause of the machine does not affect. */
export function medianStepMs(reports: readonly Report[]): number {
  return medianOf(reports, ({ stepMs }) => stepMs);
}

function medianOf(reports: readonly Report[], value: (times: StepTimes) => number): number {
  return median(reports.flatMap(({ stepTimes }) => (stepTimes === null ? [] : [value(stepTimes)])));
}

/** Pixels and label. */
const imageBytes = 28 * 28 + 2;
/** Bytes of the number by which a worker caches a sample. */
const numberBytes = 4;

/** Bytes sent to a lone worker per step, without the samples, each of which is sent once. */
function weightBytesOf({ wire, steps, config }: Report): number {
  const images = steps * config.batch;
  const sampleBytes = Math.min(images, config.samples) * imageBytes + images * numberBytes;
  return Math.max(0, (wire.bytesSent - sampleBytes) / steps);
}

export function fitCosts({ single, one, oneSmall, two }: FitRuns, cores: number): Costs {
  const { batch, microbatchSize } = one[0]!.config;
  const small = oneSmall[0]!.config.batch;
  const computeOf = (times: StepTimes): number => times.computeMs;
  const [largeMs, smallMs] = [medianOf(one, computeOf), medianOf(oneSmall, computeOf)];
  // Noise may make the slope steeper than the whole; then the fixed cost is 0.
  const computeMsPerSample = Math.min(largeMs / batch, Math.max(0, (largeMs - smallMs) / (batch - small)));
  const computeFixedMs = largeMs - computeMsPerSample * batch;
  const aloneMs = computeFixedMs + (computeMsPerSample * batch) / 2;
  // The wait for the slower of two workers is part of the arithmetic, not a separate cost.
  const togetherMs = medianOf(two, (times) => times.computeMs + times.waitMs);
  const firstWorkerMs = Math.max(0, medianStepMs(one) - largeMs);
  return {
    batch,
    microbatchSize,
    cores,
    singleStepMs: medianStepMs(single),
    computeFixedMs,
    computeMsPerSample,
    contention: Math.max(1, togetherMs / aloneMs),
    firstWorkerMs,
    nextWorkerMs: Math.max(0, medianStepMs(two) - Math.max(togetherMs, aloneMs) - firstWorkerMs),
    // Both ends pack, and both ends write to and read from a socket: half of that time is the worker's.
    handlingMs: medianOf(one, (times) => (times.packMs + times.sendMs) / 2),
    weightBytes: median(one.map(weightBytesOf)),
    gradientBytes: median(one.map(({ wire, steps }) => wire.bytesReceived / steps)),
    sampleBytes: imageBytes + numberBytes,
  };
}
