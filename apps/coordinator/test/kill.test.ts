/** `kill -9` of workers and of the coordinator changes no bit; `kill.full.test.ts` has more runs. */
import { describe, expect, it } from 'vitest';
import { openServer } from '../../../packages/server/test/dashboard-server.ts';
import { temporaryFolder } from '../../../packages/train/test/folder.ts';
import { killCoordinator, killWorkers, writeProse } from './kill.ts';
import { runToReport, startWorker } from './processes.ts';

const folder = temporaryFolder();
const weightsOf = async (args: readonly string[]): Promise<string> =>
  (await runToReport(folder, ['--single', ...args])).report.weightsSha256;

const prose = writeProse(folder);

describe('kill -9', () => {
  it('of workers changes no bit, and others take their places', async () => {
    const args = ['--steps', '90'];
    expect(await killWorkers(args, [5, 72], { replaced: true })).toBe(await weightsOf(args));
  });

  it('of all workers pauses the run, and one that comes later ends it with the same bits', async () => {
    const args = ['--steps', '60'];
    const workers: ReturnType<typeof startWorker>[] = [];
    const server = await openServer({
      args,
      startWorkers: 2,
      onStep: ({ step }) => {
        if (step !== 30) return;
        for (const worker of workers) worker.kill('SIGKILL');
      },
    });
    for (let index = 0; index < 2; index++) workers.push(startWorker(['--url', server.ws, '--name', `w${index}`]));
    await Promise.all(workers.map((worker) => worker.ended));
    const late = startWorker(['--url', server.ws, '--name', 'late']);
    expect(await server.run.outcome).toEqual({ type: 'finished' });
    const report = server.report();
    expect(report.weightsSha256).toBe(await weightsOf(args));
    expect(report.faults.disconnects).toBe(2);
    expect(report.workers.at(-1)).toMatchObject({ name: 'late' });
    expect(report.workers.at(-1)?.shards).toBeGreaterThan(0);
    await server.close();
    expect((await late.ended).code).toBe(0);
  });

  // A step of gpt-nano is short: with this seed, both kills come long before the run would end by itself.
  it('of the coordinator at two moments: same texts, few steps again, and workers come back', async () => {
    const text = ['--data', prose, '--model', 'gpt-nano', '--batch', '48'];
    await killCoordinator({ seed: 12, kills: 2, options: [...text, '--sample-every', '75', '--prompt', 'the '] });
  });
});
