/** A run with its dashboard, as the tests need it. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Report } from '@lockstep/training';
import { expect } from 'vitest';
import { type Program, startCoordinator } from '../../coordinator/test/processes.ts';

export interface TestRun {
  readonly program: Program;
  /** Where anybody watches and joins. */
  readonly page: string;
  /** Where the owner steers. */
  readonly owner: string;
  /** For workers in terminals. */
  readonly worker: string;
  /** Resolves when the run has ended well. */
  report(): Promise<Report>;
}

let reports = 0;

/** @param folder for its report */
export async function startRun(folder: string, args: readonly string[]): Promise<TestRun> {
  const file = join(folder, `report-${++reports}.json`);
  const program = startCoordinator('coordinator', ['--port', '0', '--report', file, ...args]);
  const [owner] = (await program.printed(/Dashboard: (\S+)/)).slice(1) as [string];
  const [worker] = (await program.printed(/--url (\S+)/)).slice(1) as [string];
  return {
    program,
    page: owner.replace(/#.*/, ''),
    owner,
    worker,
    async report() {
      const { code, stderr } = await program.ended;
      expect(code, stderr).toBe(0);
      return JSON.parse(readFileSync(file, 'utf8')) as Report;
    },
  };
}

/** What the same run gives in one process. */
export async function singleRun(folder: string, args: readonly string[]): Promise<Report> {
  const file = join(folder, `report-${++reports}.json`);
  const { code, stderr } = await startCoordinator('start', ['--single', '--report', file, ...args]).ended;
  expect(code, stderr).toBe(0);
  return JSON.parse(readFileSync(file, 'utf8')) as Report;
}
