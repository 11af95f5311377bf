/** A coordinator inside the test, over real sockets, for tests that act at a chosen step. */

import type { Run } from '../src/coordinator/run.ts';
import type { RunOutcome } from '../src/coordinator/run-options.ts';
import { type DashboardServer, type DashboardServerOptions, openServer } from './dashboard-server.ts';

export interface TestServer extends Pick<DashboardServer, 'ready' | 'report' | 'drop' | 'close'> {
  readonly url: string;
  readonly outcome: Promise<RunOutcome>;
  readonly control: Run['control'];
}

/** Opens a server that the test closes itself. */
export async function openTestServer(
  options: DashboardServerOptions & { readonly startWorkers: number },
): Promise<TestServer> {
  const { run, ws, ready, report, drop, close } = await openServer(options);
  return { url: ws, outcome: run.outcome, control: (action) => run.control(action), ready, report, drop, close };
}
