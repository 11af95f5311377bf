/** A room of 64: every step is taken once, everybody computes, and nothing piles up in memory. */
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { openChecksum, subprotocol, webSocketTransport } from '@lockstep/protocol';
import { openBackend } from '@lockstep/tensor';
import type { Report } from '@lockstep/train';
import { systemClock } from '@lockstep/train';
import { createLocalCompute, startSession } from '@lockstep/training';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { sha256 } from '../src/assemble.ts';
import { startCoordinator } from './processes.ts';
import { openRoom } from './room.ts';

const workers = 64;
const steps = 12;
/** One microbatch of 64 samples for each worker. */
const args = ['--batch', `${64 * workers}`, '--steps', `${steps}`];
const vectorBytes = 101_770 * 4;

let folder = '';

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lockstep-'));
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

setFlagsFromString('--expose-gc');
const gc = runInNewContext('gc') as () => void;

/** Twice, since buffers outside the heap are given back by a thread of their own, for which the next collection waits. */
function collectGarbage(): void {
  gc();
  gc();
}

it('64 workers on 64 sockets take every step, with the bits of one process and memory that stays flat', async () => {
  const file = join(folder, 'single.json');
  const single = startCoordinator('start', ['--single', '--report', file, ...args]);
  expect((await single.ended).code).toBe(0);
  const expected = JSON.parse(readFileSync(file, 'utf8')) as Report;

  const { backend } = await openBackend('auto');
  const mark = backend.allocate(1);
  const liveBytes = new Map<number, number>();
  const taken: number[] = [];
  const room = await openRoom({
    args,
    startWorkers: workers,
    // On a busy machine a step of 64 workers in one thread may take long; nobody is late here.
    limits: {
      softDeadlineMs: 600_000,
      hardDeadlineMs: 600_000,
      handshakeMs: 600_000,
      numericsCheckMs: 600_000,
      deadMs: 600_000,
    },
    onStep({ step }) {
      taken.push(step);
      if (step !== 3 && step !== steps - 1) return;
      collectGarbage();
      // Not the workers' own plans, of which each makes one for every size of shard that it meets.
      const plansBytes = backend.view(mark).buffer.byteLength;
      liveBytes.set(step, process.memoryUsage().arrayBuffers - plansBytes);
    },
  });
  const checksum = await openChecksum();
  const sessions = Array.from({ length: workers }, (_, index) => {
    const socket = new WebSocket(room.url, subprotocol, { perMessageDeflate: false });
    return startSession({
      transport: webSocketTransport(socket, { side: 'worker', remote: room.url }),
      compute: createLocalCompute(backend, systemClock),
      identity: { kind: 'node', name: `worker-${index}` },
      clock: systemClock,
      checksum,
      hash: sha256,
    });
  });
  expect(await room.outcome).toEqual({ type: 'finished' });
  const ends = await Promise.all(sessions.map((session) => session.ended));
  expect(ends.every(({ type }) => type === 'finished')).toBe(true);

  const report = room.report();
  expect(taken).toEqual(Array.from({ length: steps }, (_, step) => step));
  expect(report.weightsSha256).toBe(expected.weightsSha256);
  expect(report.faults).toEqual({ reassigned: 0, duplicated: 0, rejected: 0, disconnects: 0 });
  expect(report.workers).toHaveLength(workers);
  expect(report.workers.reduce((sum, { samples }) => sum + samples, 0)).toBe(64 * workers * steps);
  // A message on the way to each worker may differ; had every message since then stayed, it would be eight each way.
  expect(liveBytes.get(steps - 1)! - liveBytes.get(3)!).toBeLessThan(workers * vectorBytes);
  await room.close();
}, 120_000);
