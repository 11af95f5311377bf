/**
 * `--predict`: a cost model of a synchronous step, fitted to a few short runs, that estimates the throughput of N
 * workers; estimates for 1, 2 and 4 workers are checked.
 */
import { CommandFailure, usageFailure, version } from '@lockstep/command';
import { plural, thousands } from '@lockstep/data/shown';
import { coarseShares, type Shard, shardsOfRange } from '@lockstep/rules';
import type { Report, StepTimes } from '@lockstep/train';
import {
  type CaseRunner,
  createRunner,
  describeMachine,
  figuresTable,
  median,
  milliseconds,
  ratioText,
  runRounds,
} from '../harness.ts';
import type { CompareContext } from './compare.ts';
import { defaultPoints, type Training } from './grid.ts';
import { runLockstep, type Workers } from './measure.ts';

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

type PredictedTimes = ReturnType<typeof predict>;

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
export function predict(costs: Costs, { speeds, link }: Scenario) {
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
  // The last three are parts of the step, which add up to it.
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

type ScalingEstimate = ReturnType<typeof scalingEstimate>;

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
type FitRuns = Readonly<Record<'single' | 'one' | 'oneSmall' | 'two', readonly Report[]>>;

/** Median milliseconds of a step of these runs, which a pause of the machine does not affect. */
function medianStepMs(reports: readonly Report[]): number {
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

const defaultWorkers = 8;
const checkedWorkers = [1, 2, 4] as const;
/** Measured if neither model nor batch is given: one bound by communication, one by arithmetic. */
const defaults = [defaultPoints[2]!, defaultPoints[5]!].map(({ model, batch }) => `${model} ${batch}`);

export async function predictAndCheck(context: CompareContext) {
  const { options, output } = context;
  const { model, batch, speeds = new Array<number>(options.workers ?? defaultWorkers).fill(1) } = options;
  const isDefault = model === undefined && batch === undefined;
  const grid = context.grid.filter((each) => !isDefault || defaults.includes(`${each.modelOption} ${each.batch}`));
  const tooSmall = grid.find((training) => training.batch < 8);
  if (tooSmall) throw usageFailure(`--batch: expected at least 8 with --predict, got ${tooSmall.batch}`);
  const { link: bytesPerSecond, latency: latencyMs = 0 } = options;
  const link = bytesPerSecond === undefined ? undefined : { bytesPerSecond, latencyMs };
  const { machine, lines } = describeMachine();
  output.print(...lines);
  const trainings = [];
  for (const training of grid) {
    const runs = await measure(training, context);
    const costs = fitCosts(runs, machine.cores);
    // The prediction for the workers and the link that the options describe.
    const asked = predict(costs, { speeds, link });
    const estimate = scalingEstimate(costs, link);
    const message = answerFor(costs, asked, estimate, { speeds, link });
    const checks = checksOf(costs, runs);
    const { name } = training;
    output.print('', ...estimateLines(name, costs, estimate), ...errorLines(checks), `  ${message}`);
    trainings.push({ name, costs, asked, predictions: estimate.predictions, message, checks });
  }
  output.print('');
  return { predict: 1 as const, lockstep: version, machine, trainings };
}

type Runs = Readonly<Record<keyof FitRuns | `check${(typeof checkedWorkers)[number]}`, Report[]>>;

/** Runs the trainings that the costs are fitted to, interleaved with those that check the predictions. */
async function measure(training: Training, { options, folder, output, signal }: CompareContext): Promise<Runs> {
  const settings = { ...options, folder };
  const small = { ...training, batch: Math.max(1, Math.round(training.batch / 4)) };
  const runs: Runs = { single: [], one: [], check1: [], oneSmall: [], two: [], check2: [], check4: [] };
  const runnerOf = (name: keyof Runs, trained: Training, workers: Workers): CaseRunner =>
    createRunner(name, async () => {
      const report = await runLockstep(trained, workers, settings);
      runs[name].push(report);
      return { ms: report.wallSeconds * 1000, msPerStep: report.stepTimes?.stepMs ?? Number.NaN };
    });
  const workers = (count: number): Workers => ({ kind: 'workers', count });
  const runners = [
    runnerOf('single', training, { kind: 'threads', count: 1 }),
    runnerOf('one', training, workers(1)),
    runnerOf('check1', training, workers(1)),
    runnerOf('oneSmall', small, workers(1)),
    runnerOf('two', training, workers(2)),
    runnerOf('check2', training, workers(2)),
    runnerOf('check4', training, workers(4)),
  ];
  await runRounds(training.name, runners, options.rounds, { progress: output.progress, signal });
  const failure = runners.find((runner) => runner.failure !== undefined)?.failure;
  if (failure !== undefined) throw new CommandFailure(failure, 1);
  return runs;
}

/** Predictions next to measurements; `error` is predicted over measured, minus 1. */
function checksOf(costs: Costs, runs: Runs) {
  return checkedWorkers.map((workers) => {
    const prediction = predict(costs, { speeds: new Array(workers).fill(1), link: undefined });
    const predictedImagesPerSecond = prediction.imagesPerSecond;
    const measuredImagesPerSecond = (costs.batch / medianStepMs(runs[`check${workers}`])) * 1000;
    const error = predictedImagesPerSecond / measuredImagesPerSecond - 1;
    return { workers, predictedImagesPerSecond, measuredImagesPerSecond, error };
  });
}

const shownWorkers = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64];

/** The measured costs, and the estimate for some numbers of workers. */
function estimateLines(name: string, costs: Costs, { predictions }: ScalingEstimate): string[] {
  const { computeFixedMs, computeMsPerSample, firstWorkerMs, nextWorkerMs, singleStepMs } = costs;
  const headers = ['workers', 'images/s', 'against one process', 'compute ms', 'link ms', 'other ms'];
  const shown = predictions.filter(({ workers }) => shownWorkers.includes(workers));
  return [
    `${name}: one process needs ${milliseconds(singleStepMs)} ms per step; a worker computes ${milliseconds(computeFixedMs)} ms and ${(computeMsPerSample * 1000).toFixed(2)} us per sample;`,
    `  everything else is ${milliseconds(firstWorkerMs)} ms with one worker and ${milliseconds(nextWorkerMs)} ms for each additional one`,
    figuresTable(
      headers,
      shown.map(({ workers, imagesPerSecond, speedUp, computeMs, linkMs, otherMs }) => {
        const parts = [computeMs, linkMs, otherMs].map(milliseconds);
        return [`${workers}`, thousands(imagesPerSecond), ratioText(speedUp), ...parts];
      }),
    ),
  ];
}

function errorLines(checks: ReturnType<typeof checksOf>): string[] {
  const rows = checks.map(({ workers, predictedImagesPerSecond, measuredImagesPerSecond, error }) => {
    const figures = [predictedImagesPerSecond, measuredImagesPerSecond].map(thousands);
    return [`${workers}`, ...figures, `${error >= 0 ? '+' : ''}${(error * 100).toFixed(0)} %`];
  });
  return [
    '  checked on this machine against other runs, in the same rounds:',
    figuresTable(['workers', 'predicted', 'measured', 'error'], rows),
  ];
}

/** The answer for the requested workers, and how many workers pay off. */
function answerFor(costs: Costs, asked: PredictedTimes, estimate: ScalingEstimate, { speeds, link }: Scenario) {
  const { best, pays } = estimate;
  const where = link === undefined ? 'on this machine' : 'behind that link';
  const answer = `${plural(asked.workers, 'worker')} ${where}: ${thousands(asked.imagesPerSecond)} images/s, ${ratioText(asked.speedUp)} one process.`;
  if (pays)
    return `${answer} More than ${plural(best.workers, 'worker')} (${ratioText(best.speedUp)}) add almost nothing.`;
  if (link === undefined) return `${answer} No number of workers is faster than one process: use a larger batch.`;
  const bandwidth = breakEvenBandwidth(costs, speeds, link.latencyMs);
  const need =
    bandwidth === undefined
      ? 'no bandwidth would change that'
      : `from ${thousands(Math.ceil(bandwidth / 125e3))} Mbit/s on, these workers would be as fast`;
  return `${answer} No number of workers is faster than one process here; ${need}.`;
}
