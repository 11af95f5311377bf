/** Measures one training: Lockstep's rows as programs, as a user starts them, and the peers in the same rounds. */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { CommandFailure, usageFailure } from '@lockstep/command';
import type { Report } from '@lockstep/train';
import type { ComputeChoice } from '@lockstep/worker';
import type { Browser } from 'playwright-core';
import {
  type CandidateRunner,
  type CaseRunner,
  closeAll,
  createRunner,
  type Effort,
  endOf,
  isOpen,
  type MissingRow,
  median,
  missingRow,
  type Opened,
  openCandidate,
  runRounds,
  type Watch,
} from '../harness.ts';
import { peerCase, type Sources, startUpPart, type Training, writeRunData } from './grid.ts';

/**
 * The workers of a training: threads of one process without sockets; processes, including the coordinator's; worker
 * processes next to the coordinator; or browser tabs.
 */
export interface Workers {
  readonly kind: 'threads' | 'processes' | 'workers' | 'tabs';
  readonly count: number;
}

export function workersName({ kind, count }: Workers): string {
  return count === 1 ? `1 ${kind.slice(0, -1)}` : `${count} ${kind}`;
}

export interface RunSettings {
  readonly seed: number;
  readonly backend: ComputeChoice;
  readonly threads: number;
  readonly data: string | undefined;
  /** Folder for reports. */
  readonly folder: string;
}

/** Five epochs of MNIST, the coordinator's default. */
const imagesInDefaultRun = 300_000;

/** The coordinator's options for this training. */
function trainingArguments(training: Training, workers: Workers, settings: Omit<RunSettings, 'folder'>): string[] {
  const { modelOption, batch, learningRate, steps } = training;
  const { seed, backend, threads, data } = settings;
  return [
    ...computing(workers, threads),
    ...['--model', modelOption, '--batch', `${batch}`, '--steps', `${steps}`],
    // Always enough epochs, since each has at least one step; for most runs, the default number is enough.
    ...(data === undefined && steps * batch <= imagesInDefaultRun ? [] : ['--epochs', `${steps}`]),
    ...['--optimizer', 'sgd', '--lr', `${learningRate}`, '--seed', `${seed}`],
    ...(backend === 'auto' ? [] : ['--backend', backend]),
    ...(data === undefined ? [] : ['--data', data]),
  ];
}

function computing({ kind, count }: Workers, threadsOfWorker: number): string[] {
  switch (kind) {
    case 'threads':
      return ['--single', '--threads', `${count}`];
    case 'processes':
      return ['--colocate', '--workers', `${count - 1}`, '--threads', `${threadsOfWorker}`];
    case 'workers':
      return ['--workers', `${count}`, '--threads', `${threadsOfWorker}`];
    case 'tabs':
      return ['--workers', '0'];
  }
}

/** The command line that repeats this training. */
export function commandOf(training: Training, workers: Workers, settings: Omit<RunSettings, 'folder'>): string {
  const npm = workers.kind === 'tabs' ? 'npm run coordinator --' : 'npm start --';
  return [npm, ...trainingArguments(training, workers, settings)].join(' ');
}

/** @throws CommandFailure with the last sentence of the coordinator's output */
export function runLockstep(training: Training, workers: Workers, settings: RunSettings): Promise<Report> {
  return startRun(training, workers, settings).report;
}

const program = fileURLToPath(new URL('../../../coordinator/dist/main.js', import.meta.url));
const running = new Set<ChildProcess>();
let reports = 0;

/** Ends every running coordinator; each takes its workers with it. */
export function stopAll(): void {
  for (const child of running) child.kill('SIGTERM');
}

/** Starts a training by a coordinator in a separate process. With tabs as workers, it waits for a start. */
function startRun(training: Training, workers: Workers, settings: RunSettings) {
  reports += 1;
  const file = join(settings.folder, `run-${reports}.json`);
  const isOfTabs = workers.kind === 'tabs';
  const args = [
    isOfTabs ? 'coordinator' : 'start',
    ...trainingArguments(training, workers, settings),
    ...(workers.kind === 'threads' ? [] : ['--port', '0']),
    ...(isOfTabs ? ['--wait-for-start'] : []),
    ...['--report', file],
  ];
  const child = spawn(process.execPath, [...process.execArgv, program, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, NO_COLOR: '1' },
  });
  running.add(child);
  let stdout = '';
  let onOutput = (): void => {};
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
    onOutput();
  });
  const report = endOf(child, 'the coordinator').then(async (sentence): Promise<Report> => {
    running.delete(child);
    if (child.exitCode !== 0) throw new CommandFailure(sentence, 1);
    return JSON.parse(await readFile(file, 'utf8'));
  });
  // A caller that awaits only `printed` gets the failure from there.
  report.catch(() => undefined);
  return {
    /** Resolves with the results when the training has ended. */
    report,
    /** The first group of the pattern, once the output matches it. @throws CommandFailure if the process ends first */
    printed: (pattern: RegExp) =>
      new Promise<string>((resolve, reject) => {
        onOutput = () => {
          const found = pattern.exec(stdout)?.[1];
          if (found !== undefined) resolve(found);
        };
        onOutput();
        const missing = new CommandFailure(`the coordinator ended before it printed ${pattern}`, 1);
        report.then(() => reject(missing), reject);
      }),
    stop: (): void => void child.kill('SIGTERM'),
  };
}

/**
 * Intervals of the remaining steps: an evaluation at an epoch's end spoils one or two of them, but not their median.
 */
const intervals = 8;

/** Milliseconds per step once the run is warm: the median interval of its last third. */
export function steadyMsPerStep({ curve }: Pick<Report, 'curve'>): number {
  const last = curve.at(-1);
  if (last === undefined || curve.length < 2) {
    throw new RangeError(`curve: expected at least two points, got ${curve.length}`);
  }
  const start = curve.findIndex(({ steps }) => steps >= last.steps * startUpPart);
  const warm = start < 0 || start === curve.length - 1 ? curve : curve.slice(start);
  const count = Math.min(intervals, warm.length - 1);
  const edges = Array.from({ length: count + 1 }, (_, at) => warm[Math.round((at * (warm.length - 1)) / count)]!);
  return median(
    edges.slice(1).map((to, at) => {
      const from = edges[at]!;
      return ((to.seconds - from.seconds) / (to.steps - from.steps)) * 1000;
    }),
  );
}

/** Time limit for a browser or a tab on a busy machine. */
const timeoutMs = 120_000;
/** A disconnected tab reconnects forever, so a run with only tabs might never end. */
const longestRunMs = 600_000;

type Tabs = Awaited<ReturnType<typeof openTabs>>;

/**
 * A browser whose headless tabs work for one run after another, each in its own profile.
 * @throws CommandFailure if this machine has no Chromium
 */
export async function openTabs() {
  // Loaded on demand: a browser driver and a bundler.
  const { browserFlags, findChromium } = await import('@lockstep/chromium');
  const executablePath = findChromium();
  if (executablePath === undefined) {
    throw usageFailure('--browser: expected a Chromium on this machine, found none; set CHROME_PATH to its path');
  }
  const { chromium } = await import('playwright-core');
  const browser = await chromium.launch({ executablePath, args: [...browserFlags], timeout: timeoutMs });
  return {
    /** Trains once with this number of tabs; the run starts when all have joined. @throws Error with one sentence */
    run: (training: Training, count: number, settings: RunSettings) => trainInTabs(browser, training, count, settings),
    close: (): Promise<void> => browser.close(),
  };
}

async function trainInTabs(browser: Browser, training: Training, count: number, settings: RunSettings) {
  const run = startRun(training, { kind: 'tabs', count }, settings);
  const session = await browser.newBrowserCDPSession();
  const profiles: string[] = [];
  try {
    const url = `${await run.printed(/Join in a browser: (\S+)/)}&threads=${settings.threads}`;
    for (let index = 1; index <= count; index++) {
      // Not in a context of Playwright's, which reads every message of its pages' sockets: that halves the throughput.
      const { browserContextId } = await session.send('Target.createBrowserContext');
      profiles.push(browserContextId);
      await session.send('Target.createTarget', { url, browserContextId });
      const joined = run.printed(new RegExp(`^\\s*(w${index}) .*joined`, 'm'));
      await within(timeoutMs, joined, `tab ${index} did not join`);
    }
    const dashboard = await browser.newPage();
    dashboard.setDefaultTimeout(timeoutMs);
    await dashboard.goto(await run.printed(/Dashboard: (\S+)/));
    await dashboard.getByRole('button', { name: 'Start', exact: true }).click();
    await dashboard.close();
    return await within(longestRunMs, run.report, 'the run with tabs did not end');
  } finally {
    run.stop();
    const close = (browserContextId: string) => session.send('Target.disposeBrowserContext', { browserContextId });
    await Promise.allSettled([...profiles.map(close), session.detach()]);
  }
}

function within<Value>(limitMs: number, value: Promise<Value>, failure: string): Promise<Value> {
  const late = setTimeout(limitMs, undefined, { ref: false }).then(() => {
    throw new Error(`${failure} within ${limitMs / 1000} s`);
  });
  return Promise.race([value, late]);
}

/** Steps of the run that shows how long a step takes here: no run has fewer. */
const calibrationSteps = 12;
/** Time left for the first training's peers, before they are known, and for the end. */
const [firstPeersMs, reserveMs] = [8_000, 5_000];
/** Rough costs of a row: its start-up and its steps, as multiples of those of one thread. */
const costs = {
  threads: { startUp: 1, step: 1 },
  processes: { startUp: 1.8, step: 1.3 },
  workers: { startUp: 2.2, step: 1.8 },
  tabs: { startUp: 8, step: 3 },
} as const satisfies Record<Workers['kind'], object>;

/** Chooses steps and rounds of each training, so that all end in time; each gets its share of what the others left. */
export class TimeBudget {
  readonly #deadlineMs: number;
  /** More time than by default is for longer runs; otherwise none is longer than its training needs. */
  readonly #mostTimes: number;
  readonly #now: () => number;
  #left: number;
  #peersMs = firstPeersMs;
  /** Time that runs took, as a multiple of what was expected. */
  #pace = 1;
  #expectedMs = 0;

  constructor(minutes: number, defaultMinutes: number, trainings: number, now = () => performance.now()) {
    this.#now = now;
    this.#deadlineMs = now() + minutes * 60_000 - reserveMs;
    this.#mostTimes = Math.max(1, minutes / defaultMinutes);
    this.#left = trainings;
  }

  /** @param measured one run on one thread, with `calibrationSteps` steps; the trainings to come take one as well */
  choose(training: Training, workers: readonly Workers[], rounds: number, measured: { ms: number; msPerStep: number }) {
    const othersMs = (this.#left - 1) * measured.ms;
    const availableMs = (this.#deadlineMs - this.#now() - othersMs) / this.#left - this.#peersMs;
    const startUp = Math.max(0, measured.ms - calibrationSteps * measured.msPerStep);
    let [startUpMs, stepMs] = [0, 0];
    for (const { kind } of workers) {
      startUpMs += costs[kind].startUp * startUp * this.#pace;
      stepMs += costs[kind].step * measured.msPerStep * this.#pace;
    }
    // Rather fewer rounds than fewer steps: engines of several processes are still compiling in a short run.
    const fitting = Math.floor(availableMs / (startUpMs + training.steps * stepMs));
    const chosenRounds = Math.min(rounds, Math.max(1, fitting));
    const most = Math.round(training.steps * this.#mostTimes);
    const steps = Math.floor((availableMs / chosenRounds - startUpMs) / stepMs);
    const chosenSteps = Math.min(most, Math.max(steps, calibrationSteps));
    this.#left -= 1;
    this.#expectedMs = (chosenRounds * (startUpMs + chosenSteps * stepMs)) / this.#pace;
    return { steps: chosenSteps, rounds: chosenRounds };
  }

  /** @param runsMs time of the runs of Lockstep @param peersMs all other time */
  spent(runsMs: number, peersMs: number): void {
    this.#pace = Math.min(4, Math.max(0.5, runsMs / this.#expectedMs));
    this.#peersMs = peersMs;
  }
}

/** One row's measurements, round by round. */
export type MeasuredTraining =
  | {
      readonly kind: 'lockstep';
      readonly name: string;
      readonly workers: Workers;
      readonly command: string;
      readonly msPerStep: readonly number[];
      readonly reports: readonly Report[];
    }
  | {
      readonly kind: 'peer';
      readonly name: string;
      readonly version: string;
      readonly notes: readonly string[];
      /** Relative distance of the weights' change from the reference. */
      readonly distance: number;
      readonly msPerStep: readonly number[];
    }
  | ({ readonly kind: 'missing' } & Pick<MissingRow, 'status' | 'name' | 'reason'>);

interface MeasureOptions {
  readonly training: Training;
  /** The first one is the baseline. */
  readonly workers: readonly Workers[];
  readonly sources: Sources;
  readonly noPeers: boolean;
  readonly tabs: Tabs | undefined;
  readonly rounds: number;
  readonly seed: number;
  /** Runs train on what is written to its folder; the commands that are shown, on the data it names. */
  readonly settings: RunSettings;
  /** Undefined if the steps were asked for. */
  readonly budget: TimeBudget | undefined;
  readonly watch: Watch;
}

/** A peer whose single step takes longer than `budgetMs` is warm after its check, and does one step per round. */
const effort: Omit<Effort, 'rounds'> = { burstMs: 30, warmUpMs: 100, budgetMs: 500 };
/** Bursts of a peer per round. Their median counts, because the system sometimes stalls one for seconds. */
const burstsPerRound = 5;
/** The same for bursts of a single step, which take longer. */
const singleStepsPerRound = 3;
/** A peer's step that takes longer is measured once: the checked first step. */
const longestStepMs = 1_000;

/** @throws CommandFailure if the baseline cannot run: nothing can be compared without it */
export async function measureTraining(options: MeasureOptions) {
  const { sources, workers, settings, watch, budget, seed } = options;
  const startedMs = performance.now();
  const { training, rounds } = await chosen(options);
  const { train, data } = await writeRunData(sources, training, settings.folder);
  const own = workers.map((each) => lockstepRunner(each, { ...options, training }, data));
  const peers = options.noPeers ? undefined : await peerCase(training, train, seed);
  const opened: Opened[] = [];
  try {
    for (const candidate of peers?.candidates ?? []) {
      opened.push(await openCandidate(peers!, candidate, { ...effort, rounds }, watch));
    }
    await runRounds(training.name, [...own, ...opened.filter(isOpen).map(peerRunner)], rounds, watch);
  } finally {
    await closeAll(opened);
  }
  const [baseline] = own;
  if (baseline?.failure !== undefined) {
    throw new CommandFailure(`${training.name}: ${baseline.name}: ${baseline.failure}`, 1);
  }
  const runsMs = own.reduce((sum, { spentMs }) => sum + spentMs, 0);
  budget?.spent(runsMs, performance.now() - startedMs - runsMs);
  const rows = own.map(({ name, workers: each, msPerStep, reports, failure }): MeasuredTraining => {
    if (failure !== undefined) return { kind: 'missing', name, status: 'failed', reason: failure };
    return { kind: 'lockstep', name, workers: each, command: commandOf(training, each, settings), msPerStep, reports };
  });
  return { measured: [...rows, ...opened.map(peerRow)], taken: { ...training, rounds }, hasPeers: peers !== undefined };
}

/** The training with its number of steps, and of rounds, chosen after a short run unless the steps were asked for. */
async function chosen(options: MeasureOptions): Promise<{ readonly training: Training; readonly rounds: number }> {
  const { training, budget, workers, rounds, sources, settings, watch } = options;
  if (budget === undefined) return { training, rounds };
  watch.progress(`${training.name}: choosing its steps`);
  const { data } = await writeRunData(sources, training, settings.folder);
  const startedMs = performance.now();
  const report = await runLockstep({ ...training, steps: calibrationSteps }, workers[0]!, { ...settings, data });
  const measured = { ms: performance.now() - startedMs, msPerStep: steadyMsPerStep(report) };
  watch.signal?.throwIfAborted();
  const choice = budget.choose(training, workers, rounds, measured);
  return { training: { ...training, steps: choice.steps }, rounds: choice.rounds };
}

function peerRow(opened: Opened): MeasuredTraining {
  const missing = missingRow(opened);
  if (missing) return { kind: 'missing', name: missing.name, status: missing.status, reason: missing.reason };
  const { name, implementation, distance, msPerStep } = opened as CandidateRunner;
  const { version, notes } = implementation;
  return { kind: 'peer', name, version, notes, distance, msPerStep };
}

/** Takes part in every round, or in none if a step takes very long. */
function peerRunner(candidate: CandidateRunner): CaseRunner {
  const { msPerStep, checkedMsPerStep, stepsPerRound, burst } = candidate;
  if (checkedMsPerStep > longestStepMs) {
    msPerStep.push(checkedMsPerStep);
    return Object.assign(candidate, { budgetMs: 0 });
  }
  const bursts = checkedMsPerStep > effort.budgetMs ? 1 : stepsPerRound === 1 ? singleStepsPerRound : burstsPerRound;
  return Object.assign(candidate, { budgetMs: Number.POSITIVE_INFINITY, burst: () => burst(bursts) });
}

function lockstepRunner(workers: Workers, { training, settings: asked, tabs }: MeasureOptions, data: string) {
  const reports: Report[] = [];
  const settings = { ...asked, data };
  const burst: CaseRunner['burst'] = async () => {
    const startedMs = performance.now();
    const report = await (workers.kind === 'tabs'
      ? tabs!.run(training, workers.count, settings)
      : runLockstep(training, workers, settings));
    reports.push(report);
    return { ms: performance.now() - startedMs, msPerStep: steadyMsPerStep(report) };
  };
  return { ...createRunner(workersName(workers), burst), workers, reports };
}
