/** Runs the chosen benchmarks, prints their results as they arrive, and gathers the report. */
import type { Benchmark, Comparison, Inspection } from './benchmark.ts';
import { caseLines, factLine, noteLines } from './case-text.ts';
import { type CaseResult, measureCase } from './harness/measure-case.ts';
import type { Effort } from './harness/open-candidates.ts';
import { describeMachine, machineLines } from './machine.ts';
import type { Output } from './terminal.ts';

/** The content of `--report`; times in milliseconds. A benchmark has cases or facts. */
export type Report = Awaited<ReturnType<typeof runBenchmarks>>;

export async function runBenchmarks(benchmarks: readonly Benchmark[], effort: Effort, output: Output) {
  const startedAt = new Date();
  const machine = describeMachine();
  output.print(...machineLines(machine));
  const measured = [];
  for (const benchmark of benchmarks) {
    const { name, title, method } = benchmark;
    output.print('', title, ...method);
    const results = benchmark.kind === 'comparison' ? compare(benchmark, effort, output) : inspect(benchmark, output);
    measured.push({ name, title, method, ...(await results) });
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

async function compare(comparison: Comparison, effort: Effort, output: Output) {
  const cases: CaseResult[] = [];
  try {
    for (const subject of await comparison.cases()) {
      const result = await measureCase(subject, effort, output.progress);
      output.print('', ...caseLines(result));
      cases.push(result);
    }
  } finally {
    await comparison.close?.();
  }
  output.print('', ...noteLines(cases));
  return { cases, facts: [] };
}

async function inspect(inspection: Inspection, output: Output) {
  const facts = await inspection.facts(output.progress);
  output.print('', ...facts.map(factLine));
  return { cases: [], facts };
}

/** Whether every fact holds and every candidate agreed with the reference; an absent one is no fault of this code. */
export function isSound({ benchmarks }: Report): boolean {
  return benchmarks.every(
    ({ cases, facts }) =>
      facts.every(({ holds }) => holds) &&
      cases.every(({ rows }) => rows.every(({ status }) => status === 'measured' || status === 'absent')),
  );
}
