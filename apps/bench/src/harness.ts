/** Measures the entrants of a case against its first one: judged first, then timed in interleaved rounds. */
import type { Contender, Entrant } from './contender.ts';
import type { Case, Verdict } from './question.ts';
import { pairedRatios, type Spread, spread } from './statistics.ts';

/** How long to measure. */
export interface Effort {
  /** Timed bursts of each contender. */
  readonly rounds: number;
  /** Aimed length of one burst, in milliseconds; a burst has at least one step. */
  readonly burstMs: number;
  /** Least time that a contender runs before it is timed, in milliseconds. */
  readonly warmUpMs: number;
  /** A contender that has been timed this long, in milliseconds, takes no part in later rounds: a slow peer holds nobody up. */
  readonly budgetMs: number;
}

/** One entrant's answer. */
export type Row =
  | {
      readonly status: 'measured';
      readonly name: string;
      readonly version: string;
      readonly notes: readonly string[];
      readonly verdict: Verdict;
      readonly stepsPerRound: number;
      /** Rounds it took part in, from the first on. */
      readonly rounds: number;
      readonly msPerStep: Spread;
      /** Its milliseconds over the baseline's, round by round: 2 means that the baseline is twice as fast. */
      readonly timesBaseline: Spread;
    }
  | {
      /** It computed something else, so its time means nothing. */
      readonly status: 'refused';
      readonly name: string;
      readonly version: string;
      readonly verdict: Verdict;
      readonly reason: string;
    }
  | { readonly status: 'absent'; readonly name: string; readonly reason: string }
  | { readonly status: 'failed'; readonly name: string; readonly reason: string };

/** All rows of a case, in the order of its entrants. */
export interface CaseResult {
  readonly name: string;
  readonly baseline: string;
  readonly workPerStep: Case['workPerStep'];
  readonly figureName: string;
  readonly tolerance: number;
  readonly rounds: number;
  readonly rows: readonly Row[];
}

type Measured = Extract<Row, { status: 'measured' }>;

/** An entrant that computes what it should, warm and ready to be timed. */
export interface Runner {
  readonly name: string;
  readonly contender: Contender;
  readonly verdict: Verdict;
  /** Of the steps that it was judged by, which were its first. */
  readonly judgedMsPerStep: number;
  readonly stepsPerRound: number;
  readonly msPerStep: number[];
  spentMs: number;
}

/**
 * Runs a case. Every contender starts each burst from its initial state. A round times one burst of every contender, and
 * each round starts one contender further, so that none always follows the same neighbor. An entrant that cannot open,
 * fails or computes something else gets a row that says so. Without the baseline nothing can be compared: where this machine
 * lacks it the whole case is absent; where it fails or computes something else, this throws.
 */
export async function measureCase(
  subject: Case,
  effort: Effort,
  progress: (message: string) => void,
): Promise<CaseResult> {
  const baseline = subject.entrants[0];
  if (baseline === undefined) throw new RangeError(`${subject.name}: at least one entrant expected, got none`);
  const rows = new Map<string, Row>();
  const runners: Runner[] = [];
  try {
    for (const entrant of subject.entrants) {
      progress(`${subject.name}: ${entrant.name}: checking and warming up`);
      const entered = await enter(subject, entrant, effort);
      if ('contender' in entered) runners.push(entered);
      else rows.set(entrant.name, entered);
      if (entrant === baseline && 'status' in entered && entered.status === 'absent') {
        return skipped(subject, entered.reason);
      }
    }
    for (let round = 0; round < effort.rounds; round++) {
      progress(`${subject.name}: round ${round + 1} of ${effort.rounds}`);
      const going = runners.filter(
        ({ name, spentMs }) => !rows.has(name) && (name === baseline.name || spentMs < effort.budgetMs),
      );
      for (let turn = 0; turn < going.length; turn++) {
        const runner = going[(round + turn) % going.length]!;
        try {
          await runBurst(runner);
        } catch (error) {
          rows.set(runner.name, { status: 'failed', name: runner.name, reason: errorMessage(error) });
        }
      }
    }
    const lost = rows.get(baseline.name);
    if (lost !== undefined && 'reason' in lost) {
      throw new Error(`${subject.name}: the baseline ${baseline.name} cannot be measured: ${lost.reason}`);
    }
    for (const runner of runners) {
      if (!rows.has(runner.name)) rows.set(runner.name, measuredRow(runner, runners[0]!));
    }
    return {
      name: subject.name,
      baseline: baseline.name,
      workPerStep: subject.workPerStep,
      figureName: subject.figureName,
      tolerance: subject.tolerance,
      rounds: effort.rounds,
      rows: subject.entrants.map((entrant) => rows.get(entrant.name)!),
    };
  } finally {
    await Promise.allSettled(runners.map((runner) => runner.contender.close()));
  }
}

/** The answer of a case whose baseline this machine lacks. */
function skipped(subject: Case, reason: string): CaseResult {
  const baseline = subject.entrants[0]!.name;
  return {
    name: subject.name,
    baseline,
    workPerStep: subject.workPerStep,
    figureName: subject.figureName,
    tolerance: subject.tolerance,
    rounds: 0,
    rows: subject.entrants.map(({ name }) => ({
      status: 'absent',
      name,
      reason: name === baseline ? reason : `not measured, since ${baseline} is absent`,
    })),
  };
}

/** Times one burst from the initial state, and keeps its milliseconds a step. */
export async function runBurst(runner: Runner): Promise<void> {
  await runner.contender.reset();
  const ms = await runner.contender.run(runner.stepsPerRound);
  runner.spentMs += ms;
  runner.msPerStep.push(ms / runner.stepsPerRound);
}

/** Opens an entrant, holds it against the case's truth and warms it up; otherwise the row that says what is wrong. */
export async function enter(subject: Case, entrant: Entrant, effort: Effort): Promise<Runner | Row> {
  const { name } = entrant;
  let contender: Contender | undefined;
  let entered = false;
  try {
    const opened = await entrant.open();
    if ('absent' in opened) return { status: 'absent', name, reason: opened.absent };
    contender = opened;
    await contender.reset();
    const judgedMs = await contender.run(subject.judgedSteps);
    const verdict = subject.judge(await contender.result());
    if (!(verdict.distance <= subject.tolerance)) {
      const reason = `computes something else: relative distance at most ${subject.tolerance} expected after ${subject.judgedSteps} steps, got ${verdict.distance}`;
      return { status: 'refused', name, version: contender.version, verdict, reason };
    }
    // One step that takes more than the whole budget is warm enough.
    const judgedMsPerStep = judgedMs / subject.judgedSteps;
    const isSlow = judgedMsPerStep > effort.budgetMs;
    const stepsPerRound = isSlow ? 1 : await warmUp(contender, subject.judgedSteps, effort);
    entered = true;
    return { name, contender, verdict, judgedMsPerStep, stepsPerRound, msPerStep: [], spentMs: 0 };
  } catch (error) {
    return { status: 'failed', name, reason: errorMessage(error) };
  } finally {
    if (!entered) await contender?.close().catch(() => undefined);
  }
}

/** Runs longer and longer bursts until one has the aimed length and the warm-up is over. Returns the steps of a burst. */
async function warmUp(contender: Contender, firstSteps: number, effort: Effort): Promise<number> {
  let steps = Math.max(1, firstSteps);
  let spentMs = 0;
  for (;;) {
    await contender.reset();
    const ms = await contender.run(steps);
    spentMs += ms;
    if (!(ms > 0)) throw new Error(`its clock must move: more than 0 ms expected for ${steps} steps, got ${ms}`);
    const aimed = Math.max(1, Math.round((steps * effort.burstMs) / ms));
    if (spentMs >= effort.warmUpMs) return aimed;
    steps = Math.min(aimed, steps * 4);
  }
}

function errorMessage(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function measuredRow(runner: Runner, baseline: Runner): Measured {
  return {
    status: 'measured',
    name: runner.name,
    version: runner.contender.version,
    notes: runner.contender.notes,
    verdict: runner.verdict,
    stepsPerRound: runner.stepsPerRound,
    rounds: runner.msPerStep.length,
    msPerStep: spread(runner.msPerStep),
    timesBaseline: spread(pairedRatios(runner.msPerStep, baseline.msPerStep.slice(0, runner.msPerStep.length))),
  };
}
