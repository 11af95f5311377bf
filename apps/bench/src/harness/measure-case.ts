/** Measures the candidates of a case against the first one. */
import { CommandFailure } from '@lockstep/command';
import type { Case } from '../benchmark.ts';
import { pairedRatios, spread } from '../statistics.ts';
import { type CandidateRunner, type Effort, type MissingRow, OpenCandidates } from './open-candidates.ts';
import { runRounds } from './rounds.ts';

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
export async function measureCase(subject: Case, effort: Effort, progress: (message: string) => void) {
  const { name, candidates, workPerStep, figureName, tolerance } = subject;
  const [baseline, ...others] = candidates;
  if (baseline === undefined) throw new RangeError(`${name}: at least one candidate expected, got none`);
  const result = { name, baseline: baseline.name, workPerStep, figureName, tolerance };
  const opened = new OpenCandidates(subject, effort);
  try {
    await opened.open([baseline], { progress });
    const missing = opened.missing(baseline.name);
    if (missing?.status === 'absent') return { ...result, rounds: 0, rows: absentRows(subject, missing.reason) };
    await opened.open(others, { progress });
    const { runners } = opened;
    const [baselineRunner] = runners;
    // Every ratio needs the baseline's rounds, however slow they are.
    if (missing === undefined) baselineRunner!.budgetMs = Number.POSITIVE_INFINITY;
    await runRounds(runners, { name, rounds: effort.rounds, progress });
    const lost = opened.missing(baseline.name);
    if (lost) throw new CommandFailure(`${name}: the baseline ${lost.name} cannot be measured: ${lost.reason}`, 1);
    const rows = candidates.map(
      (each): Row => opened.missing(each.name) ?? measuredRow(opened.runner(each.name)!, baselineRunner!),
    );
    return { ...result, rounds: effort.rounds, rows };
  } finally {
    await opened.close();
  }
}

function absentRows({ candidates }: Case, reason: string): Row[] {
  const because = `not measured, since ${candidates[0]!.name} is absent`;
  return candidates.map(({ name }, index) => ({ status: 'absent', name, reason: index === 0 ? reason : because }));
}

function measuredRow(runner: CandidateRunner, baseline: CandidateRunner) {
  const { name, implementation, check, stepsPerRound, msPerStep } = runner;
  const { version, notes } = implementation;
  const rounds = msPerStep.length;
  const figures = { status: 'measured' as const, name, version, notes, check, stepsPerRound };
  return {
    ...figures,
    /** Rounds in which the candidate took part, counted from the first. */
    rounds,
    msPerStep: spread(msPerStep),
    /** Its milliseconds over the baseline's, round by round: 2 means that the baseline is twice as fast. */
    timesBaseline: spread(pairedRatios(msPerStep, baseline.msPerStep.slice(0, rounds))),
  };
}
