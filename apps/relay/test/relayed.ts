/** Starts relays with workers. */
import type { DashboardServer } from '../../../packages/server/test/dashboard-server.ts';
import { type Program, startRelay, startWorker } from '../../coordinator/test/processes.ts';

export interface Relayed {
  readonly relay: Program;
  readonly workers: readonly Program[];
}

/** A relay with two workers. */
export async function relayWithWorkers({ ws }: DashboardServer, name: string): Promise<Relayed> {
  const relay = startRelay(['--url', ws, '--name', name, '--port', '0']);
  const [, below = ''] = await relay.printed(/--url '?(ws:[^'\s]+)/);
  const workers = [1, 2].map((number) => startWorker(['--url', below, '--name', `${name}-${number}`]));
  return { relay, workers };
}
