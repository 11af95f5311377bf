import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Report } from '@lockstep/train';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startCoordinator, startWorker } from './processes.ts';
import { openRoom } from './room.ts';

let folder = '';

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lockstep-'));
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

async function train(name: string, args: readonly string[]): Promise<Report> {
  const file = join(folder, `${name}.json`);
  const program = startCoordinator('start', ['--steps', '200', '--port', '0', '--report', file, ...args]);
  const { code, stderr } = await program.ended;
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return JSON.parse(readFileSync(file, 'utf8')) as Report;
}

let single: Promise<Report> | undefined;
const oracle = (): Promise<Report> => {
  single ??= train('single', ['--single']);
  return single;
};

describe('weightsSha256', () => {
  it('is that of one process, for any number of worker processes', async () => {
    const expected = await oracle();
    expect(expected.workers).toMatchObject([{ kind: 'local', shards: 200 }]);
    for (const workers of [1, 2, 3, 5]) {
      const report = await train(`workers-${workers}`, ['--workers', `${workers}`]);
      expect(report.weightsSha256).toBe(expected.weightsSha256);
      expect(report.initialLoss).toBe(expected.initialLoss);
      expect(report.exactness).toBe('bit-exact');
      expect(report.workers).toHaveLength(workers);
      expect(report.faults).toMatchObject({ rejected: 0, disconnects: 0 });
      const samples = report.workers.reduce((sum, worker) => sum + worker.samples, 0);
      expect(samples).toBe(200 * report.config.batch);
      // With more workers than half the microbatches, the slowest may have none.
      if (workers <= 2) for (const worker of report.workers) expect(worker.shards).toBeGreaterThan(0);
    }
  });

  it('is the same with several threads behind one socket', async () => {
    const report = await train('threads', ['--workers', '1', '--threads', '3']);
    expect(report.weightsSha256).toBe((await oracle()).weightsSha256);
  });

  it('is the same on the reference backend, and bit-exact where it mixes with cpu', async () => {
    const steps = ['--steps', '20', '--batch', '32'];
    const expected = await runArgs('reference-single', ['--single', ...steps]);
    const reference = await runArgs('reference', ['--workers', '1', '--backend', 'reference', ...steps]);
    expect(reference.weightsSha256).toBe(expected.weightsSha256);
  });

  it('is another for another seed', async () => {
    const report = await train('seed', ['--single', '--seed', '2']);
    expect(report.weightsSha256).not.toBe((await oracle()).weightsSha256);
  });
});

async function runArgs(name: string, args: readonly string[]): Promise<Report> {
  const file = join(folder, `${name}.json`);
  const { code, stderr } = await startCoordinator('start', ['--port', '0', '--report', file, ...args]).ended;
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return JSON.parse(readFileSync(file, 'utf8')) as Report;
}

describe('kill -9', () => {
  it('of one of three workers at any step changes no bit, ten times', async () => {
    const expected = await oracle();
    for (let round = 0; round < 10; round++) {
      // Steps spread over the run, another worker each time; the moment within the step is the machine's own.
      const atStep = 5 + ((round * 67) % 180);
      const workers: ReturnType<typeof startWorker>[] = [];
      const room = await openRoom({
        args: ['--steps', '200'],
        startWorkers: 3,
        onStep: ({ step }) => {
          if (step === atStep) workers[round % 3]!.kill('SIGKILL');
        },
      });
      for (let index = 0; index < 3; index++) workers.push(startWorker(['--url', room.url, '--name', `w${index}`]));
      expect(await room.outcome).toEqual({ type: 'finished' });
      const report = room.report();
      expect(report.weightsSha256).toBe(expected.weightsSha256);
      expect(report.faults.disconnects).toBe(1);
      expect(report.workers).toHaveLength(3);
      await room.close();
      await Promise.all(workers.map((worker) => worker.ended));
    }
  }, 180_000);

  it('of all workers pauses the run, and one that comes later ends it with the same bits', async () => {
    const expected = await oracle();
    const workers: ReturnType<typeof startWorker>[] = [];
    const room = await openRoom({
      args: ['--steps', '200'],
      startWorkers: 2,
      onStep: ({ step }) => {
        if (step !== 70) return;
        for (const worker of workers) worker.kill('SIGKILL');
      },
    });
    for (let index = 0; index < 2; index++) workers.push(startWorker(['--url', room.url, '--name', `w${index}`]));
    await Promise.all(workers.map((worker) => worker.ended));
    const late = startWorker(['--url', room.url, '--name', 'late']);
    expect(await room.outcome).toEqual({ type: 'finished' });
    const report = room.report();
    expect(report.weightsSha256).toBe(expected.weightsSha256);
    expect(report.faults.disconnects).toBe(2);
    expect(report.workers.at(-1)).toMatchObject({ name: 'late' });
    expect(report.workers.at(-1)?.shards).toBeGreaterThan(0);
    await room.close();
    expect((await late.ended).code).toBe(0);
  });
});
