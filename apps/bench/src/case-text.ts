/** The results of a benchmark as plain text: one table per case, every figure with its spread. */
import type { Fact } from './benchmark.ts';
import { digits, ends, figuresTable, thousands } from './figure-text.ts';
import type { CaseResult, MeasuredRow, Row } from './harness/measure-case.ts';

/** Lines of one case: a heading, a table of the measurements, and a sentence for every row without a figure. */
export function caseLines(result: CaseResult): string[] {
  const { name, rounds, rows, baseline, figureName, workPerStep } = result;
  const measured = rows.filter((row): row is MeasuredRow => row.status === 'measured');
  const remarks = rows.flatMap((row) => remarkLines(row, rounds));
  if (measured.length === 0) return [name, ...remarks];
  const timing = ['ms a step', '(min .. max)', `${workPerStep.unit}/s`, `time / ${baseline}`, '(min .. max)'];
  const table = figuresTable(
    ['', ...timing, figureName, 'off by'],
    measured.map((row) => measuredCells(row, workPerStep.amount)),
  );
  return [`${name}, ${rounds} rounds`, table, ...remarks];
}

/** The notes of each candidate, once for all its cases. */
export function noteLines(results: readonly CaseResult[]): string[] {
  const rows = results.flatMap((result) => result.rows).filter((row) => row.status === 'measured');
  return [...new Set(rows.map(({ name, notes }) => `  ${name}: ${notes.join('; ')}`))];
}

export function factLine({ name, holds, message }: Fact): string {
  return `  ${holds ? 'holds' : 'DOES NOT HOLD'}  ${name}: ${message}`;
}

function measuredCells({ name, version, msPerStep, timesBaseline, check }: MeasuredRow, amount: number): string[] {
  const perSecond = (amount / msPerStep.median) * 1000;
  return [
    `${name} ${version}`,
    digits(msPerStep.median),
    ends(msPerStep, digits),
    perSecond >= 1000 ? thousands(perSecond) : digits(perSecond),
    `${digits(timesBaseline.median)}x`,
    ends(timesBaseline, digits),
    check.figure.toFixed(6),
    check.distance.toExponential(1),
  ];
}

function remarkLines(row: Row, rounds: number): string[] {
  if (row.status !== 'measured') return [`  ${row.name} ${row.status}: ${row.reason}`];
  return row.rounds < rounds ? [`  ${row.name} took part in ${row.rounds} of the rounds`] : [];
}
