/**
 * A run of a few steps that an honest worker ends with the weights of one process, whatever else its sockets receive.
 */
import type { Socket } from 'node:net';
import type { Report } from '@lockstep/train';
import { afterEach, expect } from 'vitest';
import { WebSocket } from 'ws';
import type { DashboardServer } from '../../../packages/server/test/dashboard-server.ts';
import { temporaryFolder } from '../../../packages/train/test/folder.ts';
import { tinyArgs } from '../../../packages/train/test/tiny-data.ts';
import { runToReport, startWorker } from './processes.ts';

interface FloodedRun {
  readonly args: readonly string[];
  /** Sockets to close after each test. */
  readonly sockets: (Socket | WebSocket)[];
  /** Lets an honest worker finish the run, and checks the result. */
  finishHonestly(server: DashboardServer): Promise<Report>;
}

/** Called at the top of a test file. */
export async function prepareFloods(): Promise<FloodedRun> {
  const folder = temporaryFolder();
  const sockets: (Socket | WebSocket)[] = [];
  afterEach(() => {
    for (const socket of sockets.splice(0)) {
      if (socket instanceof WebSocket) socket.terminate();
      else socket.destroy();
    }
  });
  const args = [...(await tinyArgs(folder)), '--epochs', '100', '--steps', '40'];
  const { report: expected } = await runToReport(folder, [...args, '--single']);
  return {
    args,
    sockets,
    async finishHonestly(server) {
      const worker = startWorker(['--url', server.ws, '--name', 'honest']);
      expect(await server.run.outcome).toEqual({ type: 'finished' });
      const report = server.report();
      expect(report.weightsSha256).toBe(expected.weightsSha256);
      expect(report.workers.find(({ name }) => name === 'honest')?.shards).toBeGreaterThan(0);
      expect((await worker.ended).code).toBe(0);
      await server.close();
      return report;
    },
  };
}
