/** The JSON that `--report` writes. */
import { accessSync, constants, existsSync, statSync, writeFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import type { CaseResult } from './harness.ts';
import type { Machine } from './machine.ts';
import { UsageError } from './options.ts';
import type { Fact } from './question.ts';

/** Everything that a run of the bench has measured; times in milliseconds. A question has cases or facts. */
export interface Report {
  readonly bench: 1;
  readonly startedAt: string;
  readonly wallSeconds: number;
  readonly machine: Machine;
  readonly rounds: number;
  readonly questions: readonly {
    readonly name: string;
    readonly title: string;
    readonly method: readonly string[];
    readonly cases: readonly CaseResult[];
    readonly facts: readonly Fact[];
  }[];
}

/** Throws `UsageError` when no report could be written to `file`: better before a long measurement than after it. */
export function checkReportPath(file: string): void {
  const folder = dirname(resolve(file));
  if (!existsSync(folder)) throw new UsageError(`--report: expected a file in an existing folder, got '${file}'`);
  if (existsSync(file) && statSync(file).isDirectory()) {
    throw new UsageError(`--report: expected a file, got the folder '${file}'`);
  }
  try {
    accessSync(existsSync(file) ? file : folder, constants.W_OK);
  } catch {
    throw new UsageError(`--report: expected a file that may be written, got '${file}'`);
  }
}

export function writeReport(file: string, report: Report): void {
  writeFileSync(file, `${JSON.stringify(report, null, 2)}\n`);
}
