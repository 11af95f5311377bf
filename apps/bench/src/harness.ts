/** The harness: candidates do the same work, are checked, warmed up, and timed in interleaved rounds. */
import { type ChildProcess, spawn } from 'node:child_process';
import { availableParallelism, cpus, release, totalmem } from 'node:os';
import { createInterface } from 'node:readline';
import { CommandFailure, formatTable } from '@lockstep/command';
import { errorMessage } from '@lockstep/data/shown';

/** One way to do a case's work, ready to run. All arrays are float32. */
export interface Implementation {
  readonly version: string;
  /** Notes that explain the figure: engine, threads, form of the program. */
  readonly notes: readonly string[];
  /** Restores the initial state, so that all bursts do the same work. Not timed; absent if a step changes nothing. */
  reset?(): Promise<void>;
  /** Runs `steps` steps and waits for the last. Returns the elapsed milliseconds without its own overhead. */
  run(steps: number): Promise<number>;
  /** The result of the steps since `reset`, as one vector for the case to check. */
  result(): Promise<Float32Array>;
  /** Frees memory and ends processes; absent if there is nothing to free. */
  close?(): Promise<void>;
}

/** An implementation that this machine lacks: `absent` says why and how to get it. */
export interface Absent {
  readonly absent: string;
}

/** A named implementation, opened only when it is measured. */
export interface Candidate {
  readonly name: string;
  /** Takes the place of the case's, for a candidate that does the work in another way. */
  readonly distance?: Case['distance'];
  open(): Promise<Implementation | Absent>;
}

/** One problem size of a benchmark. The first candidate is the baseline of every ratio. */
export interface Case {
  readonly name: string;
  /** Work in one step, for the throughput column, such as 64 `images`. */
  readonly workPerStep: { readonly amount: number; readonly unit: string };
  /** Steps from the initial state after which the result is checked. */
  readonly checkedSteps: number;
  /** Greatest distance from the reference that still counts as correct. */
  readonly tolerance: number;
  /** The relative distance of a result from the reference. */
  distance(result: Float32Array): number;
  readonly candidates: readonly Candidate[];
}

/** A question which candidate is faster: "how long is a gradient step?". */
export interface Benchmark {
  readonly name: string;
  readonly title: string;
  /** Lines of text that say what is and is not measured. */
  readonly method: readonly string[];
  cases(): Promise<readonly Case[]>;
  /** Frees what the cases share, after the last case or a failure. */
  close?(): Promise<void>;
}

/** How long to measure. */
export interface Effort {
  readonly rounds: number;
  /** Target length of one burst, in milliseconds; a burst has at least one step. */
  readonly burstMs: number;
  /** Minimum warm-up of a candidate before it is timed, in milliseconds. */
  readonly warmUpMs: number;
  /** Timed milliseconds after which a slow candidate skips the remaining rounds. */
  readonly budgetMs: number;
}

export type Child = ReturnType<typeof startChild>;

/**
 * Starts a program that answers lines on its stdin with lines of JSON on its stdout, in order, one at a time. If it does
 * not exist, the first `ask` throws.
 */
export function startChild(command: string, args: readonly string[], environment: Record<string, string>) {
  const child = spawn(command, args, { env: { ...process.env, ...environment }, stdio: ['pipe', 'pipe', 'pipe'] });
  // The child's exit is reported instead; its broken pipe would say less.
  child.stdin.on('error', () => undefined);
  const ended = endOf(child, command);
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    /** Writes to stdin and awaits one line of stdout. @throws Error with one sentence if the child ends instead */
    async ask(...chunks: readonly (string | Uint8Array)[]): Promise<unknown> {
      for (const chunk of chunks) child.stdin.write(chunk);
      const { done, value } = await lines.next();
      if (done) throw new Error(await ended);
      return JSON.parse(value);
    },
    /** Closes stdin and awaits the end of the child. */
    async close(): Promise<void> {
      child.stdin.end();
      await ended;
    },
  };
}

/** Resolves when a child has ended, with a sentence that gives the reason from its standard error. */
export function endOf(child: ChildProcess, name: string): Promise<string> {
  let text = '';
  child.stderr?.setEncoding('utf8').on('data', (part: string) => {
    text = (text + part).slice(-2_000);
  });
  return new Promise((resolve) => {
    child.once('error', (error) => resolve(`${name} cannot be started: ${error.message}`));
    child.once('close', (code, signal) => {
      const lines = text.trim().split('\n');
      // A crash ends with the engine's version, below its error.
      const reason = lines.findLast((line) => /^lockstep: |Error\b.*: /.test(line)) ?? lines.at(-1);
      resolve(`${name} ended with ${signal ?? `exit code ${code}`}${reason ? `: ${reason}` : ''}`);
    });
  });
}

/** The median and the extremes of a set of measurements, in their unit. */
export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** The middle value, or the mean of the two middle values. @throws RangeError if there are no values */
export function median(values: readonly number[]): number {
  if (values.length === 0) throw new RangeError('median: at least one value expected, got none');
  const sorted = [...values].sort((left, right) => left - right);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : sorted[middle - 1]! / 2 + sorted[middle]! / 2;
}

/** @throws RangeError if there are no values */
export function spread(values: readonly number[]): Spread {
  return { median: median(values), min: Math.min(...values), max: Math.max(...values) };
}

/**
 * `values[i] / baseline[i]` for every round i. A slowdown of a whole round (another process, a warmer chip) affects
 * both halves of its pair and cancels out in the ratio; it does not cancel out in a ratio of two medians.
 */
export function pairedRatios(values: readonly number[], baseline: readonly number[]): number[] {
  if (values.length !== baseline.length) {
    const got = `${values.length} and ${baseline.length}`;
    throw new RangeError(`pairedRatios: as many values as baselines expected, got ${got}`);
  }
  return values.map((value, round) => value / baseline[round]!);
}

/** ||actual - expected|| / ||expected||, Euclidean; infinite when the lengths differ or a value is not finite. */
export function relativeDistance(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length) return Number.POSITIVE_INFINITY;
  let difference = 0;
  let norm = 0;
  for (let index = 0; index < expected.length; index++) {
    const error = actual[index]! - expected[index]!;
    difference += error * error;
    norm += expected[index]! * expected[index]!;
  }
  if (difference === 0) return 0;
  const distance = Math.sqrt(difference / norm);
  return Number.isNaN(distance) ? Number.POSITIVE_INFINITY : distance;
}

/** A runner, timed once in every round. */
export interface CaseRunner {
  readonly name: string;
  /** Timed milliseconds after which a runner skips later rounds. */
  budgetMs: number;
  spentMs: number;
  /** One entry for each round in which it took part. */
  readonly msPerStep: number[];
  failure?: string;
  /** Runs `bursts` times, by default once. Returns the median milliseconds per step, and the total. */
  burst(bursts?: number): Promise<{ readonly msPerStep: number; readonly ms: number }>;
}

/** Creates a runner that has not run yet; without a budget it takes part in every round. */
export function createRunner(
  name: string,
  burst: CaseRunner['burst'],
  budgetMs = Number.POSITIVE_INFINITY,
): CaseRunner {
  return { name, burst, budgetMs, spentMs: 0, msPerStep: [] };
}

/** Shows what is measured now, and may end it. */
export interface Watch {
  readonly progress: (message: string) => void;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Times one burst of every runner in each round. Each round starts one runner further on, so that no runner always
 * follows the same neighbor. A runner that throws stores the reason as its failure, and the rounds go on; an abort ends
 * them.
 */
export async function runRounds(
  name: string,
  runners: readonly CaseRunner[],
  rounds: number,
  watch: Watch,
): Promise<void> {
  const { progress, signal } = watch;
  for (let round = 0; round < rounds; round++) {
    const active = runners.filter(({ failure, spentMs, budgetMs }) => failure === undefined && !(spentMs >= budgetMs));
    for (let turn = 0; turn < active.length; turn++) {
      signal?.throwIfAborted();
      const runner = active[(round + turn) % active.length]!;
      progress(`${name}: round ${round + 1} of ${rounds}: ${runner.name}`);
      try {
        const { msPerStep, ms } = await runner.burst();
        runner.msPerStep.push(msPerStep);
        runner.spentMs += ms;
      } catch (error) {
        signal?.throwIfAborted();
        runner.failure = errorMessage(error);
      }
    }
  }
}

/** A candidate without a figure. */
export interface MissingRow {
  /** A refused candidate computed something else, so its time means nothing; an absent one is no fault of this code. */
  readonly status: 'refused' | 'absent' | 'failed';
  readonly name: string;
  readonly reason: string;
  readonly version?: string;
  readonly distance?: number;
}

/** A candidate with a correct result, warmed up and ready to be timed. */
export interface CandidateRunner extends CaseRunner {
  readonly implementation: Implementation;
  readonly distance: number;
  /** Milliseconds per checked step. The checked steps were the candidate's first. */
  readonly checkedMsPerStep: number;
  readonly stepsPerRound: number;
}

export type Opened = CandidateRunner | MissingRow;

export function isOpen(opened: Opened | undefined): opened is CandidateRunner {
  return opened !== undefined && 'implementation' in opened;
}

export async function closeAll(opened: readonly Opened[]): Promise<void> {
  await Promise.allSettled(opened.map((each) => isOpen(each) && each.implementation.close?.()));
}

/** Opens a candidate of a case, checks its result and warms it up. */
export async function openCandidate(subject: Case, candidate: Candidate, effort: Effort, { progress, signal }: Watch) {
  signal?.throwIfAborted();
  const { name } = candidate;
  progress(`${subject.name}: ${name}: checking and warming up`);
  let implementation: Implementation | undefined;
  let isReady = false;
  try {
    const opened = await candidate.open();
    if ('absent' in opened) return { status: 'absent', name, reason: opened.absent } satisfies MissingRow;
    implementation = opened;
    const { checkedSteps, tolerance } = subject;
    const checkedMsPerStep = (await runBurst(opened, checkedSteps)) / checkedSteps;
    const distance = (candidate.distance ?? subject.distance)(await opened.result());
    if (!(distance <= tolerance)) {
      const reason = `computes something else: relative distance at most ${tolerance} expected after ${checkedSteps} steps, got ${distance}`;
      return { status: 'refused', name, version: opened.version, distance, reason } satisfies MissingRow;
    }
    // A single step that takes more than the whole budget is warm enough.
    const isSlow = checkedMsPerStep > effort.budgetMs;
    const stepsPerRound = isSlow ? 1 : await warmUp(opened, checkedSteps, effort);
    const burst = async (bursts = 1) => {
      const times: number[] = [];
      while (times.length < bursts) times.push(await runBurst(opened, stepsPerRound));
      return { ms: times.reduce((sum, ms) => sum + ms, 0), msPerStep: median(times) / stepsPerRound };
    };
    isReady = true;
    return { ...createRunner(name, burst, effort.budgetMs), implementation, distance, checkedMsPerStep, stepsPerRound };
  } catch (error) {
    return { status: 'failed', name, reason: errorMessage(error) } satisfies MissingRow;
  } finally {
    if (!isReady) await implementation?.close?.().catch(() => undefined);
  }
}

/** Milliseconds of `steps` steps from the initial state. */
async function runBurst(implementation: Implementation, steps: number): Promise<number> {
  await implementation.reset?.();
  return implementation.run(steps);
}

/** If bursts never agree on their length, the warm-up ends after this multiple of its minimum. */
const longestWarmUp = 20;

/**
 * Runs longer and longer bursts until the warm-up is over and a burst has about the target length: the first bursts
 * include compilation. Returns the steps of a burst.
 */
async function warmUp(implementation: Implementation, firstSteps: number, effort: Effort): Promise<number> {
  let steps = firstSteps;
  let spentMs = 0;
  for (let bursts = 1; ; bursts++) {
    const ms = await runBurst(implementation, steps);
    spentMs += ms;
    if (!(ms > 0)) throw new Error(`its clock must move: more than 0 ms expected for ${steps} steps, got ${ms}`);
    const aimed = Math.max(1, Math.round((steps * effort.burstMs) / ms));
    const isAimed = bursts > 1 && aimed <= 2 * steps && steps <= 2 * aimed;
    if (spentMs >= effort.warmUpMs && (isAimed || spentMs >= longestWarmUp * effort.warmUpMs)) return aimed;
    steps = Math.min(aimed, steps * 4);
  }
}

/** A candidate's figures. */
export type MeasuredRow = ReturnType<typeof measuredRow>;
export type Row = MeasuredRow | MissingRow;

/** All rows of a case, in the order of its candidates. */
export type CaseResult = Awaited<ReturnType<typeof measureCase>>;

/**
 * Runs a case. A candidate that cannot open, fails or computes something else gets a row that says so. Nothing can be
 * compared without the baseline: if this machine lacks it, the whole case is absent.
 *
 * @throws CommandFailure if the baseline fails or computes something else
 */
export async function measureCase(subject: Case, effort: Effort, progress: Watch['progress']) {
  const { name, candidates, workPerStep, tolerance } = subject;
  const result = { name, baseline: candidates[0]?.name ?? '', workPerStep, tolerance };
  const opened: Opened[] = [];
  try {
    for (const candidate of candidates) {
      const [first] = opened;
      if (first && missingRow(first)?.status === 'absent') {
        opened.push({ status: 'absent', name: candidate.name, reason: `not measured, since ${first.name} is absent` });
      } else opened.push(await openCandidate(subject, candidate, effort, { progress }));
    }
    const [baseline] = opened;
    if (!isOpen(baseline) && baseline?.status === 'absent') return { ...result, rounds: 0, rows: opened as Row[] };
    // Every ratio needs the baseline's rounds, however slow they are.
    if (isOpen(baseline)) baseline.budgetMs = Number.POSITIVE_INFINITY;
    await runRounds(name, opened.filter(isOpen), effort.rounds, { progress });
    const lost = baseline === undefined ? { name: 'baseline', reason: 'there is none' } : missingRow(baseline);
    if (lost) throw new CommandFailure(`${name}: the baseline ${lost.name} cannot be measured: ${lost.reason}`, 1);
    const { msPerStep } = baseline as CandidateRunner;
    const rows = opened.map((each): Row => missingRow(each) ?? measuredRow(each as CandidateRunner, msPerStep));
    return { ...result, rounds: effort.rounds, rows };
  } finally {
    await closeAll(opened);
  }
}

/** The reason why a candidate has no figure; undefined if it has one. */
export function missingRow(opened: Opened): MissingRow | undefined {
  if (!isOpen(opened)) return opened;
  const { name, failure } = opened;
  return failure === undefined ? undefined : { status: 'failed', name, reason: failure };
}

function measuredRow(runner: CandidateRunner, baselineMsPerStep: readonly number[]) {
  const { name, implementation, distance, stepsPerRound, msPerStep } = runner;
  const { version, notes } = implementation;
  const rounds = msPerStep.length;
  const figures = { status: 'measured' as const, name, version, notes, distance, stepsPerRound };
  return {
    ...figures,
    /** Rounds in which the candidate took part, counted from the first. */
    rounds,
    msPerStep: spread(msPerStep),
    /** Its milliseconds over the baseline's, round by round: 2 means that the baseline is twice as fast. */
    timesBaseline: spread(pairedRatios(msPerStep, baselineMsPerStep.slice(0, rounds))),
  };
}

export type Output = ReturnType<typeof terminalOutput>;

/** Progress is omitted unless stderr is a terminal. */
export function terminalOutput() {
  const isLive = process.stderr.isTTY === true;
  const clear = isLive ? '\r\u001b[K' : '';
  return {
    print(...lines: readonly string[]): void {
      process.stderr.write(clear);
      for (const line of lines) process.stdout.write(`${line}\n`);
    },
    progress(message: string): void {
      if (isLive) process.stderr.write(`${clear}${message}`);
    },
  };
}

/** The machine of the figures, and the two lines about it that precede them. */
export function describeMachine() {
  const cpu = cpus()[0]?.model.trim() || process.arch;
  /** Cores that this process may use. */
  const cores = availableParallelism();
  const memoryGiB = Math.round(totalmem() / 2 ** 30);
  const platform = `${process.platform} ${release()} ${process.arch}`;
  const { node, v8 } = process.versions;
  const lines = [`${cpu}, ${cores} cores, ${memoryGiB} GiB, ${platform}`, `Node v${node}, V8 ${v8}`];
  return { machine: { cpu, cores, memoryGiB, platform, node: `v${node}`, v8 }, lines };
}

/** Three significant digits, without an exponent. */
export function digits(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3);
}

/** Three significant digits with at most two decimals. */
export function milliseconds(ms: number): string {
  if (ms >= 100) return ms.toFixed(0);
  return ms >= 10 ? ms.toFixed(1) : ms.toFixed(2);
}

/** A ratio: 1.04x. */
export function ratioText(ratio: number): string {
  return `${ratio.toFixed(2)}x`;
}

/** The ends of a spread: (0.52 .. 0.61). */
export function ends({ min, max }: Spread, text: (value: number) => string): string {
  return `(${text(min)} .. ${text(max)})`;
}

/** @param headers one for each column; the first, for names, may be empty */
export function figuresTable(headers: readonly string[], rows: readonly (readonly string[])[]): string {
  const columns = headers.map((header, index) => ({ header, align: index === 0 ? 'left' : 'right' }) as const);
  return formatTable(columns, rows, '  ');
}
