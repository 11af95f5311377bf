/** `--predict`: measures a few steps, says what N workers would give, and shows beside it how wrong that is for 1, 2 and 4. */
import { usageFailure } from '@lockstep/command';
import type { Report } from '@lockstep/train';
import { describeMachine, type Machine } from '../../machine.ts';
import { machineLines } from '../../table.ts';
import type { Asked } from '../compare.ts';
import { defaultPoints, type Training } from '../grid.ts';
import { type Crew, runLockstep } from '../lockstep-run.ts';
import { align, thousands } from '../table.ts';
import { milliseconds, times } from '../verdict.ts';
import { type FitRuns, fitCosts, medianStepMs } from './fit.ts';
import { breakEvenBandwidth, type Costs, type Link, outlook, type Prediction, predict } from './model.ts';

export interface Check {
  readonly workers: number;
  readonly predictedImagesPerSecond: number;
  readonly measuredImagesPerSecond: number;
  /** Predicted over measured, less 1. */
  readonly error: number;
}

export interface PredictReport {
  readonly predict: 1;
  readonly lockstep: string;
  readonly machine: Machine;
  readonly trainings: readonly {
    readonly name: string;
    readonly costs: Costs;
    readonly asked: Prediction;
    readonly predictions: readonly Prediction[];
    readonly message: string;
    readonly checks: readonly Check[];
  }[];
}

const usualWorkers = 8;
const checkedWorkers = [1, 2, 4] as const;
const shownWorkers = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64];
/** Measured where neither model nor batch is given: one that moves much for its arithmetic, and one that computes much. */
const usual = [defaultPoints[2]!, defaultPoints[5]!].map(({ model, batch }) => `${model} ${batch}`);

export async function predictAndCheck(asked: Asked): Promise<PredictReport> {
  const { options, output, version } = asked;
  const machine = describeMachine();
  const isUsual = options.model === undefined && options.batch === undefined;
  const grid = isUsual
    ? asked.grid.filter(({ modelOption, batch }) => usual.includes(`${modelOption} ${batch}`))
    : asked.grid;
  for (const { batch } of grid) {
    if (batch < 8) throw usageFailure(`--batch: expected at least 8 with --predict, got ${batch}`);
  }
  const { speeds = new Array<number>(options.workers ?? usualWorkers).fill(1) } = options;
  const link: Link | undefined =
    options.link === undefined ? undefined : { bytesPerSecond: options.link, latencyMs: options.latency ?? 0 };
  for (const line of machineLines(machine)) output.print(line);
  const trainings = [];
  for (const training of grid) {
    const runs = await measure(training, asked);
    const costs = fitCosts(runs, machine.cores);
    const prediction = predict(costs, { speeds, link });
    const { predictions } = outlook(costs, link);
    const message = errorMessage(costs, prediction, speeds, link);
    const checks = checksOf(costs, runs);
    for (const line of ['', ...predictionLines(training, costs, predictions), ...checkLines(checks), `  ${message}`]) {
      output.print(line);
    }
    trainings.push({ name: training.name, costs, asked: prediction, predictions, message, checks });
  }
  output.print('');
  return { predict: 1, lockstep: version, machine, trainings };
}

type Runs = Readonly<Record<keyof FitRuns | `check${(typeof checkedWorkers)[number]}`, Report[]>>;

/** The runs that the costs are read from, and others that check them; in turns, so that a busy moment hits both. */
async function measure(training: Training, { options, folder, output, signal }: Asked): Promise<Runs> {
  const { rounds, seed, backend, threads, data } = options;
  const small = { ...training, batch: Math.max(1, Math.round(training.batch / 4)) };
  const workers = (count: number): Crew => ({ kind: 'workers', count });
  const plan: Readonly<Record<keyof Runs, readonly [Training, Crew]>> = {
    single: [training, { kind: 'single' }],
    one: [training, workers(1)],
    check1: [training, workers(1)],
    oneSmall: [small, workers(1)],
    two: [training, workers(2)],
    check2: [training, workers(2)],
    check4: [training, workers(4)],
  };
  const names = Object.keys(plan) as (keyof Runs)[];
  const runs: Runs = { single: [], one: [], oneSmall: [], two: [], check1: [], check2: [], check4: [] };
  for (let round = 0; round < rounds; round++) {
    for (let turn = 0; turn < names.length; turn++) {
      signal.throwIfAborted();
      const name = names[(round + turn) % names.length]!;
      output.progress(`${training.name}: round ${round + 1} of ${rounds}, run ${turn + 1} of ${names.length}`);
      runs[name].push(await runLockstep(...plan[name], { seed, backend, threads, data, folder }));
    }
  }
  return runs;
}

function checksOf(costs: Costs, runs: Runs): Check[] {
  return checkedWorkers.map((workers) => {
    const { imagesPerSecond: predicted } = predict(costs, { speeds: new Array(workers).fill(1), link: undefined });
    const measured = (costs.batch / medianStepMs(runs[`check${workers}`])) * 1000;
    return {
      workers,
      predictedImagesPerSecond: predicted,
      measuredImagesPerSecond: measured,
      error: predicted / measured - 1,
    };
  });
}

function predictionLines(training: Training, costs: Costs, predictions: readonly Prediction[]): string[] {
  const shown = predictions.filter(({ workers }) => shownWorkers.includes(workers));
  const { computeFixedMs, computeMsPerSample, firstWorkerMs, nextWorkerMs, singleStepMs } = costs;
  return [
    `${training.name}: one process needs ${milliseconds(singleStepMs)} ms a step; a worker computes ${milliseconds(computeFixedMs)} ms and ${(computeMsPerSample * 1000).toFixed(2)} us a sample;`,
    `  everything else is ${milliseconds(firstWorkerMs)} ms with one worker and ${milliseconds(nextWorkerMs)} ms for each further one`,
    ...align([
      ['workers', 'images/s', 'against one process', 'compute ms', 'link ms', 'other ms'],
      ...shown.map(({ workers, imagesPerSecond, speedUp, computeMs, linkMs, otherMs }) => [
        `${workers}`,
        thousands(imagesPerSecond),
        times(speedUp),
        ...[computeMs, linkMs, otherMs].map(milliseconds),
      ]),
    ]),
  ];
}

function errorMessage(costs: Costs, asked: Prediction, speeds: readonly number[], link: Link | undefined): string {
  const { best, pays } = outlook(costs, link);
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
      : `these would be even with it from ${megabits(bandwidth)} Mbit/s on`;
  return `${answer} No number of workers is faster than one process here; ${need}.`;
}

function megabits(bytesPerSecond: number): string {
  return thousands(Math.ceil(bytesPerSecond / 125e3));
}

function checkLines(checks: readonly Check[]): string[] {
  return [
    '  checked on this machine against other runs, in the same rounds:',
    ...align([
      ['workers', 'predicted', 'measured', 'error'],
      ...checks.map(({ workers, predictedImagesPerSecond, measuredImagesPerSecond, error }) => [
        `${workers}`,
        thousands(predictedImagesPerSecond),
        thousands(measuredImagesPerSecond),
        `${error >= 0 ? '+' : ''}${(error * 100).toFixed(0)} %`,
      ]),
    ]),
  ];
}
