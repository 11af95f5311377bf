/** A cost model of a synchronous step: the throughput of N workers, from the costs of a few short runs. */

import { coarseShares, type Shard, shardsOfRange } from '@lockstep/rules';
import type { Report, StepTimes } from '@lockstep/train';
import { median } from '../statistics.ts';

/** The costs of one training on the measured machine; times in milliseconds of one step. */
export interface Costs {
  /** Samples in a step and in a microbatch, the smallest share. */
  readonly batch: number;
  readonly microbatchSize: number;
  /** Cores that local workers share. */
  readonly cores: number;
  readonly singleStepMs: number;
  /** A worker's arithmetic: a fixed cost, plus a cost per sample. */
  readonly computeFixedMs: number;
  readonly computeMsPerSample: number;
  /**
   * Factor on the arithmetic, including the wait for the last worker, if several compute on this machine; at least 1.
   */
  readonly contention: number;
  /** Everything but arithmetic with one worker: framing, transfer, addition, the optimizer. */
  readonly firstWorkerMs: number;
  /** Milliseconds that each further worker adds to `firstWorkerMs`, while every worker has a core. */
  readonly nextWorkerMs: number;
  /** The worker's own part of `firstWorkerMs` without arithmetic. Workers take turns for it if cores are few. */
  readonly handlingMs: number;
  /** Bytes on the wire to a worker, without its pixels, and back. */
  readonly weightBytes: number;
  readonly gradientBytes: number;
  /**
   * Bytes of a sample's first transfer to a worker. Counted in every step, so that predictions err on the slow side.
   */
  readonly sampleBytes: number;
}

interface Link {
  /** Bandwidth of the coordinator's link, which all workers share, in each direction. */
  readonly bytesPerSecond: number;
  readonly latencyMs: number;
}

export interface Scenario {
  /** Relative speed of each worker; 1 is as fast as the measured machine. */
  readonly speeds: readonly number[];
  /** Link in front of each worker, each on its own machine; undefined if all share the measured machine. */
  readonly link: Link | undefined;
}

export interface Prediction {
  readonly workers: number;
  readonly stepMs: number;
  readonly imagesPerSecond: number;
  readonly speedUp: number;
  /** The parts of the step, which add up to it. */
  readonly computeMs: number;
  readonly linkMs: number;
  readonly otherMs: number;
}

/**
 * The shards of each worker, cut as by the coordinator: whole microbatches, roughly proportional to speeds, in order.
 */
export function sharesOf({ batch, microbatchSize }: Costs, speeds: readonly number[]): Shard[][] {
  const microbatches = Math.ceil(batch / microbatchSize);
  let from = 0;
  const cut = coarseShares(
    microbatches,
    speeds.map((rate) => ({ rate, overheadMs: 0 })),
  );
  return cut.map((share) => {
    const to = from + share;
    const shards = shardsOfRange(from, to);
    from = to;
    return shards;
  });
}

/**
 * A step = the slowest worker's arithmetic + the link + everything else. Local workers beyond the cores take turns, in
 * their arithmetic and in everything else. Over a link, the weights and gradients of all workers pass the coordinator's
 * end one after another, separately in each direction.
 */
export function predict(costs: Costs, { speeds, link }: Scenario): Prediction {
  const { batch, microbatchSize, cores, singleStepMs } = costs;
  if (speeds.length === 0 || speeds.some((speed) => !(speed > 0))) {
    throw new RangeError(`speeds: expected one above 0 for each worker, got [${speeds.join(', ')}]`);
  }
  const shares = sharesOf(costs, speeds);
  const active = shares.filter((shards) => shards.length > 0).length;
  const gradients = shares.reduce((sum, shards) => sum + shards.length, 0);
  const shareMs = (shards: readonly Shard[], speed: number): number => {
    const samples = shards.reduce((sum, { n }) => sum + n * microbatchSize, 0);
    if (samples === 0) return 0;
    return (costs.computeFixedMs + costs.computeMsPerSample * Math.min(samples, batch)) / speed;
  };
  const times = shares.map((shards, worker) => shareMs(shards, speeds[worker]!));
  const slowestMs = Math.max(...times);
  const isShared = link === undefined && active > 1;
  // All arithmetic divided among the cores, if that is more than the slowest share.
  const turnsMs = times.reduce((sum, ms) => sum + ms, 0) / cores;
  const computeMs = isShared ? Math.max(slowestMs, turnsMs) * costs.contention : slowestMs;
  // A worker with several shards sends a gradient for each; the gradient is half of the cost of a worker.
  const turns = isShared ? Math.max(1, active / cores) : 1;
  const otherMs =
    costs.firstWorkerMs +
    (turns - 1) * costs.handlingMs +
    (active - 1) * costs.nextWorkerMs +
    ((gradients - active) * costs.nextWorkerMs) / 2;
  const linkMs = link === undefined ? 0 : linkTimeMs(bytesOf(costs, active, gradients), link, computeMs);
  const stepMs = computeMs + otherMs + linkMs;
  const imagesPerSecond = (batch / stepMs) * 1000;
  const speedUp = singleStepMs / stepMs;
  return { workers: speeds.length, stepMs, imagesPerSecond, speedUp, computeMs, linkMs, otherMs };
}

/** Bytes through the coordinator's end of the link in one step. */
function bytesOf(costs: Costs, active: number, gradients: number) {
  return {
    weights: active * costs.weightBytes,
    pixels: costs.batch * costs.sampleBytes,
    gradients: gradients * costs.gradientBytes,
  };
}

/**
 * A step waits for weights and gradients. Pixels of the next step follow the weights while workers compute and answer:
 * they delay the next weights only if that time is too short.
 */
function linkTimeMs(bytes: ReturnType<typeof bytesOf>, link: Link, computeMs: number): number {
  const timeOf = (count: number): number => (count / link.bytesPerSecond) * 1000;
  const [weightsMs, pixelsMs, gradientsMs] = [timeOf(bytes.weights), timeOf(bytes.pixels), timeOf(bytes.gradients)];
  const behindPixelsMs = Math.max(0, pixelsMs - computeMs - gradientsMs);
  return weightsMs + gradientsMs + behindPixelsMs + 2 * link.latencyMs;
}

/** An estimate stops at this number of workers. */
const mostWorkers = 64;
/** A worker must raise the throughput by at least this factor to be worth adding. */
const worthwhile = 1.02;

export type ScalingEstimate = ReturnType<typeof scalingEstimate>;

/**
 * Predictions for 1, 2, 3, … workers of equal speed, up to one per microbatch. `best` is the least number of workers
 * beyond which more add almost nothing; `pays` says whether they are faster than one process.
 */
export function scalingEstimate(costs: Costs, link: Link | undefined) {
  const most = Math.min(mostWorkers, Math.ceil(costs.batch / costs.microbatchSize));
  const predictions = Array.from({ length: most }, (_, index) =>
    predict(costs, { speeds: new Array<number>(index + 1).fill(1), link }),
  );
  const fastest = Math.max(...predictions.map(({ imagesPerSecond }) => imagesPerSecond));
  const best = predictions.find(({ imagesPerSecond }) => imagesPerSecond * worthwhile >= fastest)!;
  return { predictions, best, pays: best.speedUp > 1 };
}

/** The least bandwidth, in bytes per second, with which workers match one process; undefined if none suffices. */
export function breakEvenBandwidth(costs: Costs, speeds: readonly number[], latencyMs: number): number | undefined {
  const link = { bytesPerSecond: Number.POSITIVE_INFINITY, latencyMs };
  const { stepMs, computeMs } = predict(costs, { speeds, link });
  const spareMs = costs.singleStepMs - stepMs;
  if (!(spareMs > 0)) return undefined;
  const shares = sharesOf(costs, speeds).filter((shards) => shards.length > 0);
  const { weights, pixels, gradients } = bytesOf(costs, shares.length, shares.flat().length);
  // A step ends up waiting either for gradients or for the pixels sent while workers compute.
  return 1000 * Math.max((weights + gradients) / spareMs, (weights + pixels) / (spareMs + computeMs));
}

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
