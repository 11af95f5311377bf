/** `--predict`: estimates the throughput of N workers from a few steps, and checks estimates for 1, 2 and 4 workers. */
import { CommandFailure, usageFailure } from '@lockstep/command';
import type { Report } from '@lockstep/train';
import { createRunner, type Runner, runRounds } from '../harness.ts';
import { describeMachine, figuresTable, machineLines, milliseconds, thousands, times } from '../output.ts';
import type { CompareContext } from './compare.ts';
import { defaultPoints, type Training } from './grid.ts';
import { runLockstep, type Workers } from './lockstep-run.ts';
import {
  breakEvenBandwidth,
  type Costs,
  type FitRuns,
  fitCosts,
  medianStepMs,
  type Prediction,
  predict,
  type ScalingEstimate,
  type Scenario,
  scalingEstimate,
} from './predict-model.ts';

const defaultWorkers = 8;
const checkedWorkers = [1, 2, 4] as const;
/** Measured if neither model nor batch is given: one bound by communication, one by arithmetic. */
const defaults = [defaultPoints[2]!, defaultPoints[5]!].map(({ model, batch }) => `${model} ${batch}`);

export async function predictAndCheck(context: CompareContext) {
  const { options, output, version } = context;
  const { model, batch, speeds = new Array<number>(options.workers ?? defaultWorkers).fill(1) } = options;
  const isDefault = model === undefined && batch === undefined;
  const grid = context.grid.filter((each) => !isDefault || defaults.includes(`${each.modelOption} ${each.batch}`));
  const tooSmall = grid.find((training) => training.batch < 8);
  if (tooSmall) throw usageFailure(`--batch: expected at least 8 with --predict, got ${tooSmall.batch}`);
  const { link: bytesPerSecond, latency: latencyMs = 0 } = options;
  const link = bytesPerSecond === undefined ? undefined : { bytesPerSecond, latencyMs };
  const machine = describeMachine();
  output.print(...machineLines(machine));
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
  const runnerOf = (name: keyof Runs, trained: Training, workers: Workers): Runner =>
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
  await runRounds(runners, { name: training.name, rounds: options.rounds, progress: output.progress, signal });
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
export function estimateLines(name: string, costs: Costs, { predictions }: ScalingEstimate): string[] {
  const { computeFixedMs, computeMsPerSample, firstWorkerMs, nextWorkerMs, singleStepMs } = costs;
  const headers = ['workers', 'images/s', 'against one process', 'compute ms', 'link ms', 'other ms'];
  const shown = predictions.filter(({ workers }) => shownWorkers.includes(workers));
  return [
    `${name}: one process needs ${milliseconds(singleStepMs)} ms a step; a worker computes ${milliseconds(computeFixedMs)} ms and ${(computeMsPerSample * 1000).toFixed(2)} us a sample;`,
    `  everything else is ${milliseconds(firstWorkerMs)} ms with one worker and ${milliseconds(nextWorkerMs)} ms for each further one`,
    figuresTable(
      headers,
      shown.map(({ workers, imagesPerSecond, speedUp, computeMs, linkMs, otherMs }) => {
        const parts = [computeMs, linkMs, otherMs].map(milliseconds);
        return [`${workers}`, thousands(imagesPerSecond), times(speedUp), ...parts];
      }),
    ),
  ];
}

interface PredictionError {
  readonly workers: number;
  readonly predictedImagesPerSecond: number;
  readonly measuredImagesPerSecond: number;
  /** Predicted over measured, minus 1. */
  readonly error: number;
}

export function errorLines(errors: readonly PredictionError[]): string[] {
  const rows = errors.map(({ workers, predictedImagesPerSecond, measuredImagesPerSecond, error }) => {
    const figures = [predictedImagesPerSecond, measuredImagesPerSecond].map(thousands);
    return [`${workers}`, ...figures, `${error >= 0 ? '+' : ''}${(error * 100).toFixed(0)} %`];
  });
  return [
    '  checked on this machine against other runs, in the same rounds:',
    figuresTable(['workers', 'predicted', 'measured', 'error'], rows),
  ];
}

/** The answer for the requested workers, and how many workers pay off. */
export function answerFor(costs: Costs, asked: Prediction, estimate: ScalingEstimate, { speeds, link }: Scenario) {
  const { best, pays } = estimate;
  const count = (workers: number): string => `${workers} worker${workers === 1 ? '' : 's'}`;
  const where = link === undefined ? 'on this machine' : 'behind that link';
  const answer = `${count(asked.workers)} ${where}: ${thousands(asked.imagesPerSecond)} images/s, ${times(asked.speedUp)} one process.`;
  if (pays)
    return `${answer} It stops paying at ${count(best.workers)} (${times(best.speedUp)}): more add next to nothing.`;
  if (link === undefined) return `${answer} No number of workers is faster than one process: take a larger batch.`;
  const bandwidth = breakEvenBandwidth(costs, speeds, link.latencyMs);
  const need =
    bandwidth === undefined
      ? 'no bandwidth would make up for it'
      : `these would be even with it from ${thousands(Math.ceil(bandwidth / 125e3))} Mbit/s on`;
  return `${answer} No number of workers is faster than one process here; ${need}.`;
}
