/** What N workers would give: a cost model of a synchronous step, from a few measured costs. */
import { coarseShares, type Shard, shardsOfRange } from '@lockstep/training';

/** The costs of one training on the machine that they were measured on; times in milliseconds of one step. */
export interface Costs {
  /** Samples in a step, and in a microbatch, the smallest share. */
  readonly batch: number;
  readonly microbatchSize: number;
  /** Cores that local workers share. */
  readonly cores: number;
  /** A whole step in one process. */
  readonly singleStepMs: number;
  /** Arithmetic of a worker: so much, and so much for each of its samples. */
  readonly computeFixedMs: number;
  readonly computeMsPerSample: number;
  /** How much longer that takes, the wait for the last included, when several compute at once; at least 1. */
  readonly crowding: number;
  /** Everything but arithmetic with one worker: framing, moving, adding, the optimizer. */
  readonly firstWorkerMs: number;
  /** What each further worker adds to that, while there are cores for all. */
  readonly nextWorkerMs: number;
  /** The worker's own part of `firstWorkerMs`: what it does beside arithmetic, and takes turns with where cores are few. */
  readonly handlingMs: number;
  /** Bytes to a worker, besides its pixels, and back, as they were on the wire. */
  readonly weightBytes: number;
  readonly gradientBytes: number;
  /** Bytes of a sample on its first way to a worker; until all have traveled, which makes a prediction a careful one. */
  readonly sampleBytes: number;
}

export interface Link {
  /** Of the coordinator's own link, which all workers share, in each direction. */
  readonly bytesPerSecond: number;
  /** One way. */
  readonly latencyMs: number;
}

export interface Situation {
  /** One for each worker; 1 computes as fast as the machine of the measurement. */
  readonly speeds: readonly number[];
  /** Each worker on a machine of its own behind this link; undefined where all share the measured machine. */
  readonly link: Link | undefined;
}

export interface Prediction {
  readonly workers: number;
  readonly stepMs: number;
  readonly imagesPerSecond: number;
  /** Against one process. */
  readonly speedUp: number;
  /** What the step consists of; they add up to it. */
  readonly computeMs: number;
  readonly linkMs: number;
  readonly otherMs: number;
}

/** The shards of each worker, as the coordinator cuts them: whole microbatches in about the proportion of speeds, in order. */
export function sharesOf(
  { batch, microbatchSize }: Pick<Costs, 'batch' | 'microbatchSize'>,
  speeds: readonly number[],
): Shard[][] {
  const microbatches = Math.ceil(batch / microbatchSize);
  let from = 0;
  return coarseShares(microbatches, speeds).map((share) => {
    const to = from + share;
    const shards = shardsOfRange(from, to);
    from = to;
    return shards;
  });
}

/**
 * A step = the slowest worker's arithmetic + the link + everything else. Local workers beyond the cores take turns, with
 * their arithmetic as with what else they do. Over a link, every worker's weights and gradients pass the coordinator's
 * end of it one after another, each direction for itself.
 */
export function predict(costs: Costs, { speeds, link }: Situation): Prediction {
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
  const isCrowded = link === undefined && active > 1;
  // All arithmetic divided among the cores, where that is more than the slowest share.
  const turnsMs = times.reduce((sum, ms) => sum + ms, 0) / cores;
  const computeMs = isCrowded ? Math.max(slowestMs, turnsMs) * costs.crowding : slowestMs;
  // A worker with several shards sends a gradient for each: half of what a worker adds is its gradient.
  const turns = isCrowded ? Math.max(1, active / cores) : 1;
  const otherMs =
    costs.firstWorkerMs +
    (turns - 1) * costs.handlingMs +
    (active - 1) * costs.nextWorkerMs +
    ((gradients - active) * costs.nextWorkerMs) / 2;
  const linkMs = link === undefined ? 0 : linkTimeMs(bytesOf(costs, active, gradients), link, computeMs);
  const stepMs = computeMs + otherMs + linkMs;
  return {
    workers: speeds.length,
    stepMs,
    imagesPerSecond: (batch / stepMs) * 1000,
    speedUp: singleStepMs / stepMs,
    computeMs,
    linkMs,
    otherMs,
  };
}

/** What passes the coordinator's end of the link in one step. */
interface StepBytes {
  readonly weights: number;
  readonly pixels: number;
  readonly gradients: number;
}

function bytesOf(costs: Costs, active: number, gradients: number): StepBytes {
  return {
    weights: active * costs.weightBytes,
    pixels: costs.batch * costs.sampleBytes,
    gradients: gradients * costs.gradientBytes,
  };
}

/**
 * Weights and gradients are waited for. Pixels of the next step follow the weights while workers compute and answer: the
 * next weights wait behind them only where that is not time enough.
 */
function linkTimeMs({ weights, pixels, gradients }: StepBytes, link: Link, computeMs: number): number {
  const [weightsMs, pixelsMs, gradientsMs] = [weights, pixels, gradients].map(
    (bytes) => (bytes / link.bytesPerSecond) * 1000,
  ) as [number, number, number];
  const behindPixelsMs = Math.max(0, pixelsMs - computeMs - gradientsMs);
  return weightsMs + gradientsMs + behindPixelsMs + 2 * link.latencyMs;
}

/** More workers than this nobody asks about. */
const mostWorkers = 64;
/** A worker that adds less than this to the whole is one too many. */
const worthwhile = 1.02;

export interface Outlook {
  /** For 1, 2, 3, … workers of the same speed, as far as there are microbatches for them. */
  readonly predictions: readonly Prediction[];
  /** The least number of workers from which more add next to nothing. */
  readonly best: Prediction;
  /** Whether those are faster than one process. */
  readonly pays: boolean;
}

export function outlook(costs: Costs, link: Link | undefined): Outlook {
  const most = Math.min(mostWorkers, Math.ceil(costs.batch / costs.microbatchSize));
  const predictions = Array.from({ length: most }, (_, index) =>
    predict(costs, { speeds: new Array<number>(index + 1).fill(1), link }),
  );
  const fastest = Math.max(...predictions.map(({ imagesPerSecond }) => imagesPerSecond));
  const best = predictions.find(({ imagesPerSecond }) => imagesPerSecond * worthwhile >= fastest)!;
  return { predictions, best, pays: best.speedUp > 1 };
}

/** The least bandwidth, in bytes a second, at which these workers are as fast as one process; undefined where none is enough. */
export function breakEvenBandwidth(costs: Costs, speeds: readonly number[], latencyMs: number): number | undefined {
  const link = { bytesPerSecond: Number.POSITIVE_INFINITY, latencyMs };
  const { stepMs, computeMs } = predict(costs, { speeds, link });
  const spareMs = costs.singleStepMs - stepMs;
  if (!(spareMs > 0)) return undefined;
  const shares = sharesOf(costs, speeds).filter((shards) => shards.length > 0);
  const { weights, pixels, gradients } = bytesOf(costs, shares.length, shares.flat().length);
  // Either the gradients are the last to be waited for, or the pixels that were sent while workers computed.
  return 1000 * Math.max((weights + gradients) / spareMs, (weights + pixels) / (spareMs + computeMs));
}
