/** Runs the chosen benchmarks, prints their results as they arrive, and gathers the report. */
import type { Benchmark } from './benchmark.ts';
import { type CaseResult, type Effort, type MeasuredRow, measureCase, type Row } from './harness.ts';
import { describeMachine, digits, ends, figuresTable, machineLines, type Output, thousands } from './output.ts';

/** The content of `--report`; times in milliseconds. */
export type Report = Awaited<ReturnType<typeof runBenchmarks>>;

export async function runBenchmarks(benchmarks: readonly Benchmark[], effort: Effort, output: Output) {
  const startedAt = new Date();
  const machine = describeMachine();
  output.print(...machineLines(machine));
  const measured = [];
  for (const benchmark of benchmarks) {
    const { name, title, method } = benchmark;
    output.print('', title, ...method);
    measured.push({ name, title, method, cases: await compare(benchmark, effort, output) });
  }
  return {
    bench: 1 as const,
    startedAt: startedAt.toISOString(),
    wallSeconds: (Date.now() - startedAt.getTime()) / 1000,
    machine,
    rounds: effort.rounds,
    benchmarks: measured,
  };
}

async function compare(benchmark: Benchmark, effort: Effort, output: Output) {
  const cases: CaseResult[] = [];
  try {
    for (const subject of await benchmark.cases()) {
      const result = await measureCase(subject, effort, output.progress);
      output.print('', ...caseLines(result));
      cases.push(result);
    }
  } finally {
    await benchmark.close?.();
  }
  output.print('', ...noteLines(cases));
  return cases;
}

/** Whether every candidate agreed with the reference; an absent one is no fault of this code. */
export function isSound({ benchmarks }: Report): boolean {
  return benchmarks.every(({ cases }) =>
    cases.every(({ rows }) => rows.every(({ status }) => status === 'measured' || status === 'absent')),
  );
}

/** Lines of one case: a heading, a table of the measurements, and a sentence for every row without a figure. */
export function caseLines(result: CaseResult): string[] {
  const { name, rounds, rows, baseline, workPerStep } = result;
  const measured = rows.filter((row): row is MeasuredRow => row.status === 'measured');
  const remarks = rows.flatMap((row) => remarkLines(row, rounds));
  if (measured.length === 0) return [name, ...remarks];
  const timing = ['ms a step', '(min .. max)', `${workPerStep.unit}/s`, `time / ${baseline}`, '(min .. max)'];
  const table = figuresTable(
    ['', ...timing, 'off by'],
    measured.map((row) => measuredCells(row, workPerStep.amount)),
  );
  return [`${name}, ${rounds} rounds`, table, ...remarks];
}

/** The notes of each candidate, once for all its cases. */
export function noteLines(results: readonly CaseResult[]): string[] {
  const rows = results.flatMap((result) => result.rows).filter((row) => row.status === 'measured');
  return [...new Set(rows.map(({ name, notes }) => `  ${name}: ${notes.join('; ')}`))];
}

function measuredCells({ name, version, msPerStep, timesBaseline, distance }: MeasuredRow, amount: number): string[] {
  const perSecond = (amount / msPerStep.median) * 1000;
  return [
    `${name} ${version}`,
    digits(msPerStep.median),
    ends(msPerStep, digits),
    perSecond >= 1000 ? thousands(perSecond) : digits(perSecond),
    `${digits(timesBaseline.median)}x`,
    ends(timesBaseline, digits),
    distance.toExponential(1),
  ];
}

function remarkLines(row: Row, rounds: number): string[] {
  if (row.status !== 'measured') return [`  ${row.name} ${row.status}: ${row.reason}`];
  return row.rounds < rounds ? [`  ${row.name} took part in ${row.rounds} of the rounds`] : [];
}
