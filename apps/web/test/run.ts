/** Starts a coordinator with its dashboard for a test. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { Report } from '../../../packages/record/src/report.ts';
import type { DashboardServer } from '../../../packages/server/test/dashboard-server.ts';
import { openViewer, type TestViewer } from '../../../packages/server/test/test-viewer.ts';
import { openThrottledLink } from '../../../packages/train/test/throttled-link.ts';
import { tinyFiles, writeFolder } from '../../../packages/train/test/tiny-data.ts';
import { type Program, startCoordinator } from '../../coordinator/test/processes.ts';

/** The addresses that a coordinator prints, and the end of its run. */
export interface RunAddresses {
  /** For watching, and for joining if no token is needed. */
  readonly page: string;
  /** Contains the admin token. */
  readonly owner: string;
  /** A tab that opens this address joins at once. */
  readonly join: string;
  /** Resolves with a message when the run has ended. */
  readonly ended: Promise<string>;
}

/** Returns the addresses of a server in this process, which stays when its run ends. */
export function addressesOf({ addresses: { page, owner } }: DashboardServer): RunAddresses {
  return { page, owner, join: page, ended: new Promise<string>(() => {}) };
}

export interface TestRun extends RunAddresses {
  readonly program: Program;
  /** Address for Node workers. */
  readonly worker: string;
  /** Connects a viewer without a browser. */
  watch(): Promise<TestViewer>;
  /** Resolves when the run has ended with exit code 0. */
  report(): Promise<Report>;
  /** Interrupts the run. */
  stop(): Promise<Report>;
  /** Ends the server that has stayed after its run. */
  close(): Promise<Report>;
}

/**
 * Arguments of a run that does not end during a test. One process computes all its steps again, so steps are small; each
 * has a microbatch for up to four workers.
 */
export const endless = ['--epochs', '1000000', '--batch', '64', '--microbatch', '16'] as const;

let reports = 0;

/** Returns options of a run of three epochs on tiny data, whose dashboard stays. */
export async function shortRun(folder: string): Promise<string[]> {
  const data = await writeFolder(folder, 'tiny', tinyFiles());
  return ['--workers', '1', '--data', data, '--batch', '32', '--epochs', '3', '--stay'];
}

/** Connections to a server, as a proxy. */
interface Link {
  /** Returns an address of the server with the proxy's port. */
  through(address: string): string;
  close(): void;
}

/**
 * Opens connections so narrow that a worker takes about ten steps of the default model a second. Workers at full speed
 * would take the processors from the pages.
 * @param port 0 for any free port
 */
export async function openSlowLink(address: string, port = 0): Promise<Link> {
  const { url, close } = await openThrottledLink(address, 5_000_000, port);
  const [there, here] = [address, url].map((each) => `:${new URL(each).port}`) as [string, string];
  return { through: (shown) => shown.replace(there, here), close };
}

const direct: Link = { through: (address) => address, close() {} };

interface Listening {
  /** 0 for any free port. */
  readonly port?: number;
  /** Whether the addresses are those of a slow link. */
  readonly isSlow?: boolean;
}

/** @param folder for the report */
export async function startRun(
  folder: string,
  args: readonly string[],
  { port = 0, isSlow = false }: Listening = {},
): Promise<TestRun> {
  const file = join(folder, `report-${++reports}.json`);
  const program = startCoordinator('coordinator', ['--port', `${isSlow ? 0 : port}`, '--report', file, ...args]);
  const [, dashboard = ''] = await program.printed(/Dashboard: (\S+)/);
  const { through, close } = isSlow ? await openSlowLink(dashboard, port) : direct;
  void program.ended.then(close);
  const [, guest = ''] = await program.printed(/Join in a browser: (\S+)/);
  const [, worker = ''] = await program.printed(/--url '?([^'\s]+)/);
  const owner = through(dashboard);
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
    join: through(guest),
    worker: through(worker),
    watch: () => openViewer(page.replace(/^http/, 'ws').replace(/\/$/, '')),
    report: () => reportAfter(0),
    async close() {
      await program.printed(/The dashboard stays open/);
      program.kill('SIGINT');
      return reportAfter(0);
    },
    stop() {
      program.kill('SIGINT');
      return reportAfter(130);
    },
  };
}

/** Trains the same run in one process. */
export async function singleRun(folder: string, args: readonly string[]): Promise<Report> {
  const file = join(folder, `report-${++reports}.json`);
  const { code, stderr } = await startCoordinator('start', ['--single', '--report', file, ...args]).ended;
  expect(code, stderr).toBe(0);
  return JSON.parse(readFileSync(file, 'utf8')) as Report;
}

/** Returns the hash of the weights that one process computes in as many steps as the reported run took. */
export async function singleHash(folder: string, { steps }: Report): Promise<string> {
  return (await singleRun(folder, [...endless, '--steps', `${steps}`])).weightsSha256;
}
