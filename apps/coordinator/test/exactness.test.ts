import { join } from 'node:path';
import type { Report } from '@lockstep/train';
import { describe, expect, it } from 'vitest';
import { temporaryFolder } from '../../../packages/train/test/folder.ts';
import { openTestServer } from '../../../packages/train/test/test-server.ts';
import { canListProcesses, readReport, runToReport, startCoordinator, startWorker } from './processes.ts';

const folder = temporaryFolder();
const steps = 200;

async function train(args: readonly string[]): Promise<Report> {
  return (await runToReport(folder, ['--steps', `${steps}`, ...args])).report;
}

let single: Promise<Report> | undefined;
const oracle = (): Promise<Report> => {
  single ??= train(['--single', '--threads', '1']);
  return single;
};

describe('weightsSha256', () => {
  it('is that of one process, for any number of worker processes', async () => {
    const expected = await oracle();
    expect(expected.workers).toMatchObject([{ kind: 'local', shards: steps }]);
    for (const workers of [1, 2, 3, 5]) {
      const report = await train(['--workers', `${workers}`]);
      expect(report.weightsSha256).toBe(expected.weightsSha256);
      expect(report.initialLoss).toBe(expected.initialLoss);
      expect(report.exactness).toBe('bit-exact');
      expect(report.workers).toHaveLength(workers);
      expect(report.faults).toMatchObject({ rejected: 0, disconnects: 0 });
      const samples = report.workers.reduce((sum, worker) => sum + worker.samples, 0);
      expect(samples).toBe(steps * report.config.batch);
      // With more workers than half of the microbatches, the slowest may compute none.
      if (workers <= 2) for (const worker of report.workers) expect(worker.shards).toBeGreaterThan(0);
    }
  });

  it.each([
    ['--single'],
    ['--single', '--threads', '2'],
    ['--single', '--threads', '3'],
    ['--workers', '1', '--threads', '3'],
    ['--workers', '2', '--threads', '2'],
  ])('is the same with several threads over one memory: %s %s %s %s', async (...args) => {
    const report = await train(args);
    expect(report.weightsSha256).toBe((await oracle()).weightsSha256);
    expect(report.exactness).toBe('bit-exact');
  });

  it.each([
    ['--workers', '1', '--threads', '1'],
    ['--workers', '2', '--threads', '2'],
    ['--workers', '2', '--verify-rate', '1'],
  ])('is the same where the coordinator computes too: %s %s %s %s', async (...args) => {
    const report = await train(['--colocate', ...args]);
    expect(report.weightsSha256).toBe((await oracle()).weightsSha256);
    expect(report.exactness).toBe('bit-exact');
    expect(report.faults).toMatchObject({ rejected: 0, disconnects: 0, quarantined: 0 });
    const own = report.workers.find(({ name }) => name === 'coordinator');
    expect(own?.kind).toBe('local');
    expect(own?.shards).toBeGreaterThan(0);
  });

  it('is the same on the reference backend', async () => {
    const short = ['--steps', '20', '--batch', '32'];
    const { report: expected } = await runToReport(folder, ['--single', ...short]);
    const reference = await runToReport(folder, ['--workers', '1', '--backend', 'reference', ...short]);
    expect(reference.report.weightsSha256).toBe(expected.weightsSha256);
  });

  it('differs for another seed', async () => {
    const report = await train(['--single', '--seed', '2']);
    expect(report.weightsSha256).not.toBe((await oracle()).weightsSha256);
  });
});

describe('kill -9', () => {
  it('of one of three workers at any step changes no bit, ten times', async () => {
    const expected = await oracle();
    for (let round = 0; round < 10; round++) {
      // Steps spread over the run, another worker each time; the moment within the step is left to chance.
      const atStep = 5 + ((round * 67) % 180);
      const workers: ReturnType<typeof startWorker>[] = [];
      const server = await openTestServer({
        args: ['--steps', `${steps}`],
        startWorkers: 3,
        onStep: ({ step }) => {
          if (step === atStep) workers[round % 3]!.kill('SIGKILL');
        },
      });
      for (let index = 0; index < 3; index++) workers.push(startWorker(['--url', server.url, '--name', `w${index}`]));
      expect(await server.outcome).toEqual({ type: 'finished' });
      const report = server.report();
      expect(report.weightsSha256).toBe(expected.weightsSha256);
      expect(report.faults.disconnects).toBe(1);
      expect(report.workers).toHaveLength(3);
      await server.close();
      await Promise.all(workers.map((worker) => worker.ended));
    }
  }, 180_000);

  it.skipIf(!canListProcesses)(
    'of all workers leaves a coordinator that computes to go on alone, with the same bits',
    async () => {
      const options = ['--steps', '500', '--batch', '256'];
      const { report: expected } = await runToReport(folder, ['--single', ...options]);
      const file = join(folder, 'colocated.json');
      const all = ['--port', '0', '--report', file, '--colocate', '--workers', '2', ...options];
      const run = startCoordinator('start', all);
      // It begins with all three.
      for (const id of ['w1', 'w2', 'w3']) await run.printed(new RegExp(`${id} \\S+ joined`));
      for (const pid of run.offspring()) process.kill(pid, 'SIGKILL');
      const { code, stdout, stderr } = await run.ended;
      expect(code).toBe(0);
      expect(`${stdout}${stderr}`.match(/worker local-\d ended \(killed\)/g)).toHaveLength(2);
      const report = readReport(file);
      expect(report.weightsSha256).toBe(expected.weightsSha256);
      expect(report.faults.disconnects).toBe(2);
    },
  );

  it('of all workers pauses the run, and one that comes later ends it with the same bits', async () => {
    const expected = await oracle();
    const workers: ReturnType<typeof startWorker>[] = [];
    const server = await openTestServer({
      args: ['--steps', `${steps}`],
      startWorkers: 2,
      onStep: ({ step }) => {
        if (step !== 70) return;
        for (const worker of workers) worker.kill('SIGKILL');
      },
    });
    for (let index = 0; index < 2; index++) workers.push(startWorker(['--url', server.url, '--name', `w${index}`]));
    await Promise.all(workers.map((worker) => worker.ended));
    const late = startWorker(['--url', server.url, '--name', 'late']);
    expect(await server.outcome).toEqual({ type: 'finished' });
    const report = server.report();
    expect(report.weightsSha256).toBe(expected.weightsSha256);
    expect(report.faults.disconnects).toBe(2);
    expect(report.workers.at(-1)).toMatchObject({ name: 'late' });
    expect(report.workers.at(-1)?.shards).toBeGreaterThan(0);
    await server.close();
    expect((await late.ended).code).toBe(0);
  });
});
