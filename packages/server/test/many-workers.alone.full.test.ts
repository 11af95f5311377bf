/** 64 workers: every step is taken once, every worker is counted, and memory stays flat. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { createLocalCompute } from '@lockstep/compute';
import { subprotocol, webSocketTransport } from '@lockstep/protocol';
import { sha256 } from '@lockstep/record/node';
import { openBackend } from '@lockstep/tensor';
import { systemClock } from '@lockstep/worker';
import { Session } from '@lockstep/worker/internal';
import { expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { runToReport } from '../../../apps/coordinator/test/processes.ts';
import { temporaryFolder } from '../../train/test/folder.ts';
import { openServer } from './dashboard-server.ts';

const workers = 64;
const steps = 12;
/** One microbatch of 64 samples for each worker. */
const args = ['--batch', `${64 * workers}`, '--steps', `${steps}`];
const vectorBytes = 101_770 * 4;
const folder = temporaryFolder();

setFlagsFromString('--expose-gc');
const gc = runInNewContext('gc') as () => void;

/** Collects twice: another thread frees the buffers outside the heap, and the next collection waits for it. */
function collectGarbage(): void {
  gc();
  gc();
}

it('64 workers on 64 sockets take every step, with the bits of one process and memory that stays flat', async () => {
  const { report: expected } = await runToReport(folder, ['--single', ...args]);
  const { backend } = await openBackend('auto');
  const mark = backend.allocate(1);
  const liveBytes = new Map<number, number>();
  const taken: number[] = [];
  const server = await openServer({
    // Otherwise, the run would begin without those that have not joined within ten seconds.
    args: [...args, '--wait-for-start'],
    startWorkers: workers,
    // On a busy machine, a step of 64 workers in one thread may take long, but no worker counts as late here.
    limits: {
      softDeadlineMs: 600_000,
      hardDeadlineMs: 600_000,
      handshakeMs: 600_000,
      numericsCheckMs: 600_000,
      deadMs: 600_000,
      // A worker gives up after eight of them.
      heartbeatMs: 75_000,
    },
    onStep({ step }) {
      taken.push(step);
      if (step !== 3 && step !== steps - 1) return;
      collectGarbage();
      // Excludes the workers' own plans, since each makes one for every size of shard that it meets.
      const plansBytes = backend.view(mark).buffer.byteLength;
      liveBytes.set(step, process.memoryUsage().arrayBuffers - plansBytes);
    },
  });
  const sessions: Session[] = [];
  while (sessions.length < workers) {
    const socket = new WebSocket(server.ws, subprotocol, { perMessageDeflate: false });
    sessions.push(
      new Session({
        transport: webSocketTransport(socket, { side: 'worker', remote: server.ws }),
        compute: createLocalCompute(backend, systemClock),
        identity: { kind: 'node', name: `worker-${sessions.length}` },
        clock: systemClock,
        hash: sha256,
      }),
    );
    // The numerics checks of all others, in the same thread, could last longer than a session waits for its welcome.
    await server.ready(sessions.length);
  }
  server.run.control('start');
  expect(await server.run.outcome).toEqual({ type: 'finished' });
  const ends = await Promise.all(sessions.map((session) => session.ended));
  expect(ends.every(({ type }) => type === 'finished')).toBe(true);

  const report = server.report();
  expect(taken).toEqual(Array.from({ length: steps }, (_, step) => step));
  expect(report.weightsSha256).toBe(expected.weightsSha256);
  expect(report.faults).toEqual({ reassigned: 0, duplicated: 0, rejected: 0, disconnects: 0, quarantined: 0 });
  expect(report.workers).toHaveLength(workers);
  expect(report.workers.reduce((sum, { samples }) => sum + samples, 0)).toBe(64 * workers * steps);
  // One message in flight to each worker may differ; if no message were freed, it would be eight each way.
  expect(liveBytes.get(steps - 1)! - liveBytes.get(3)!).toBeLessThan(workers * vectorBytes);
  await server.close();
}, 120_000);
