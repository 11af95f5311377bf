/** A run with its dashboard, as the tests need it. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Report } from '@lockstep/train';
import { expect } from 'vitest';
import { type Program, startCoordinator } from '../../coordinator/test/processes.ts';
import { openViewer, type TestViewer } from '../../coordinator/test/test-viewer.ts';

/** Where a run is seen. */
export interface Place {
  /** Where anybody watches and, if no token is needed, joins. */
  readonly page: string;
  /** Where the owner steers. */
  readonly owner: string;
  /** Where a guest joins at once. */
  readonly join: string;
  /** Resolves with a sentence when the run has ended and nothing more will happen. */
  readonly ended: Promise<string>;
}

export interface TestRun extends Place {
  readonly program: Program;
  /** For workers in terminals. */
  readonly worker: string;
  /** Watches as a program. */
  watch(): Promise<TestViewer>;
  /** Resolves when the run has ended well. */
  report(): Promise<Report>;
  /** Interrupts the run where it is. */
  stop(): Promise<Report>;
}

/** For a run that does not end by itself while a test looks at it. */
export const endless = ['--epochs', '1000000'] as const;

let reports = 0;

/** @param folder for its report */
export async function startRun(folder: string, args: readonly string[]): Promise<TestRun> {
  const file = join(folder, `report-${++reports}.json`);
  const program = startCoordinator('coordinator', ['--port', '0', '--report', file, ...args]);
  const [, owner = ''] = await program.printed(/Dashboard: (\S+)/);
  const [, guest = ''] = await program.printed(/Join in a browser: (\S+)/);
  const [, worker = ''] = await program.printed(/--url (\S+)/);
  const page = owner.replace(/#.*/, '');
  const reportAfter = async (expectedCode: number): Promise<Report> => {
    const { code, stderr } = await program.ended;
    expect(code, stderr).toBe(expectedCode);
    return JSON.parse(readFileSync(file, 'utf8')) as Report;
  };
  return {
    program,
    ended: program.ended.then(({ code, stdout, stderr }) => `it ended with exit code ${code}:\n${stdout}${stderr}`),
    page,
    owner,
    join: guest,
    worker,
    watch: () => openViewer(page.replace(/^http/, 'ws').replace(/\/$/, '')),
    report: () => reportAfter(0),
    stop() {
      program.kill('SIGINT');
      return reportAfter(130);
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

/** What one process gives after as many steps as this run took: where a run is stopped changes no step before it. */
export async function singleHash(folder: string, { steps }: Report): Promise<string> {
  return (await singleRun(folder, [...endless, '--steps', `${steps}`])).weightsSha256;
}
