/** `npm run bench`: its options; runs benchmarks, prints their results as they arrive, and gathers the report. */
import { readdirSync } from 'node:fs';
import { type CommandLine, generalOptions, listKind, oneOfKind, textKind, wholeKind } from '@lockstep/command';
import { thousands } from '@lockstep/data/shown';
import {
  type Benchmark,
  type CaseResult,
  describeMachine,
  digits,
  type Effort,
  ends,
  figuresTable,
  type MeasuredRow,
  measureCase,
  type Output,
  type Row,
} from './harness.ts';

const folder = new URL('./cases/', import.meta.url);
const modules = readdirSync(folder).filter((name) => /\.[jt]s$/.test(name) && !name.endsWith('.d.ts'));

/** Every module in `cases/` exports its benchmarks by default. */
export const benchmarks = (
  await Promise.all(modules.map((name) => import(new URL(name, folder).href) as Promise<{ default: Benchmark[] }>))
).flatMap((module) => module.default);

const names = benchmarks.map(({ name }) => name);
const width = Math.max(...names.map(({ length }) => length));
const expected = `names from ${names.join(', ')}, each at most once`;

export const reportOption = { kind: textKind, placeholder: 'FILE.json', help: 'file for all figures' } as const;

export const benchCommand = {
  name: 'bench',
  args: '[options]',
  summary: [
    'Compares Lockstep with other libraries on this machine: medians of the ratios of paired, interleaved measurements. Benchmarks:',
    ...benchmarks.map(({ name, title }) => `  ${name.padEnd(width)}  ${title}`),
  ].join('\n'),
  options: {
    benchmark: {
      kind: listKind(oneOfKind(names), expected, 'NAME,…', { mayRepeat: false }),
      help: 'benchmarks to run, separated by commas',
      default: names,
      defaultText: 'all',
    },
    rounds: { kind: wholeKind({ from: 1, to: 10_000 }), help: 'measurements of each candidate', default: 15 },
    report: reportOption,
    ...generalOptions,
  },
} as const satisfies CommandLine;

/** The content of `--report`; times in milliseconds. */
type Report = Awaited<ReturnType<typeof runBenchmarks>>;

export async function runBenchmarks(benchmarks: readonly Benchmark[], effort: Effort, output: Output) {
  const startedAt = new Date();
  const { machine, lines } = describeMachine();
  output.print(...lines);
  const measured = [];
  for (const benchmark of benchmarks) {
    const { name, title, method } = benchmark;
    output.print('', title, ...method);
    measured.push({ name, title, method, cases: await measureCases(benchmark, effort, output) });
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

async function measureCases(benchmark: Benchmark, effort: Effort, output: Output) {
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
  const rows = cases.flatMap((result) => result.rows).filter((row) => row.status === 'measured');
  // The notes of each candidate, once for all its cases.
  output.print('', ...new Set(rows.map(({ name, notes }) => `  ${name}: ${notes.join('; ')}`)));
  return cases;
}

/** Whether every candidate agreed with the reference; an absent one is no fault of this code. */
export function isSound({ benchmarks }: Report): boolean {
  const rows = benchmarks.flatMap(({ cases }) => cases.flatMap((each) => each.rows));
  return rows.every(({ status }) => status === 'measured' || status === 'absent');
}

/** Lines of one case: a heading, a table of the measurements, and a sentence for every row without a figure. */
export function caseLines({ name, rounds, rows, baseline, workPerStep }: CaseResult): string[] {
  const measured = rows.filter((row): row is MeasuredRow => row.status === 'measured');
  const remarks = rows.flatMap((row) => remarkLines(row, rounds));
  if (measured.length === 0) return [name, ...remarks];
  const timing = ['ms per step', '(min .. max)', `${workPerStep.unit}/s`, `time / ${baseline}`, '(min .. max)'];
  const cells = measured.map((row) => measuredCells(row, workPerStep.amount));
  return [`${name}, ${rounds} rounds`, figuresTable(['', ...timing, 'off by'], cells), ...remarks];
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
