/** `--predict`: estimates the throughput of N workers from a few steps, and checks estimates for 1, 2 and 4 workers. */
import { CommandFailure, usageFailure } from '@lockstep/command';
import type { Report } from '@lockstep/train';
import { createRunner, type Runner, runRounds } from '../../harness/rounds.ts';
import { describeMachine, machineLines } from '../../machine.ts';
import type { CompareContext } from '../compare.ts';
import { defaultPoints, type Training } from '../grid.ts';
import { runLockstep, type Workers } from '../lockstep-run.ts';
import { type FitRuns, fitCosts, medianStepMs } from './fit.ts';
import { type Costs, predict, scalingEstimate } from './model.ts';
import { answerFor, errorLines, estimateLines } from './text.ts';

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
