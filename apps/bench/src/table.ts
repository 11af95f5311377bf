/** The answers as plain text: one table a case, every figure with its spread. */
import type { CaseResult, Row } from './harness.ts';
import type { Machine } from './machine.ts';
import type { Fact } from './question.ts';
import type { Spread } from './statistics.ts';

type Cells = readonly string[];

/** Lines that say what the figures were measured on. */
export function machineLines(machine: Machine): string[] {
  const { cpu, cores, memoryGiB, platform, node, v8, relaxedSimd } = machine;
  return [
    `${cpu}, ${cores} cores, ${memoryGiB} GiB, ${platform}`,
    `Node ${node}, V8 ${v8}, WebAssembly relaxed SIMD ${relaxedSimd ? 'on' : 'off'}`,
  ];
}

/** Lines of one case: a heading, a table of what was measured, and a sentence for every row without a figure. */
export function caseLines(result: CaseResult): string[] {
  const { unit } = result.workPerStep;
  const header: Cells = [
    '',
    'ms a step',
    '(min .. max)',
    `${unit}/s`,
    `time / ${result.baseline}`,
    '(min .. max)',
    result.figureName,
    'off by',
  ];
  const measured = result.rows.flatMap((row) => (row.status === 'measured' ? [measuredCells(result, row)] : []));
  return [
    result.rows.some(({ status }) => status === 'measured') ? `${result.name}, ${result.rounds} rounds` : result.name,
    ...(measured.length > 0 ? align([header, ...measured]) : []),
    ...result.rows.flatMap((row) => remarkLines(row, result.rounds)),
  ];
}

/** What a reader must know of each contender, once for all cases it was measured in. */
export function noteLines(results: readonly CaseResult[]): string[] {
  const notes = new Set<string>();
  for (const row of results.flatMap(({ rows }) => rows)) {
    if (row.status === 'measured') notes.add(`  ${row.name}: ${row.notes.join('; ')}`);
  }
  return [...notes];
}

/** A fact with its name and whether it holds. */
export function factLine({ name, holds, message }: Fact): string {
  return `  ${holds ? 'holds' : 'DOES NOT HOLD'}  ${name}: ${message}`;
}

function measuredCells(result: CaseResult, row: Extract<Row, { status: 'measured' }>): Cells {
  const { amount } = result.workPerStep;
  return [
    `${row.name} ${row.version}`,
    digits(row.msPerStep.median),
    range(row.msPerStep),
    rate((amount / row.msPerStep.median) * 1000),
    `${digits(row.timesBaseline.median)}x`,
    range(row.timesBaseline),
    row.verdict.figure.toFixed(6),
    row.verdict.distance.toExponential(1),
  ];
}

function remarkLines(row: Row, rounds: number): string[] {
  switch (row.status) {
    case 'measured':
      return row.rounds < rounds ? [`  ${row.name} took part in ${row.rounds} of the rounds`] : [];
    case 'absent':
    case 'refused':
    case 'failed':
      return [`  ${row.name} ${row.status}: ${row.reason}`];
    default:
      return row satisfies never;
  }
}

/** Pads the columns to their widest cell; the first is set left, the figures right. */
function align(rows: readonly Cells[]): string[] {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows.map((row) =>
    `  ${row.map((cell, column) => (column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!))).join('  ')}`.trimEnd(),
  );
}

function range({ min, max }: Spread): string {
  return `(${digits(min)} .. ${digits(max)})`;
}

/** Whole thousands with commas, small rates with three significant digits. */
function rate(perSecond: number): string {
  return perSecond >= 1000 ? Math.round(perSecond).toLocaleString('en-US') : digits(perSecond);
}

/** Three significant digits, never in exponents. */
function digits(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3);
}
