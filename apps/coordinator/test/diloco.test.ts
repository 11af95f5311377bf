/** DiLoCo over real sockets: any workers give the weights of one process, and send far fewer bytes. */
import type { Report } from '@lockstep/train';
import { describe, expect, it } from 'vitest';
import { temporaryFolder } from '../../../packages/train/test/folder.ts';
import { openTestServer } from '../../../packages/train/test/test-server.ts';
import { runToReport, startWorker } from './processes.ts';

const folder = temporaryFolder();
const rounds = ['--replicas', '8', '--inner-steps', '25'];
// 3,200 samples in a round, and in the last one, which is the 19th, 2,400.
const epoch = [...rounds, '--steps', '19'];

async function train(args: readonly string[]): Promise<{ report: Report; stdout: string }> {
  return runToReport(folder, [...epoch, ...args]);
}

describe('rounds of replicas', () => {
  it('give the weights of one process, with any number of workers and threads', async () => {
    const { report: single, stdout } = await train(['--single', '--threads', '1']);
    expect(stdout).toContain('rounds of 8 replicas x 25 inner steps x 16 samples');
    expect(single.config).toMatchObject({
      batch: 3_200,
      microbatchSize: 400,
      diloco: { replicas: 8, innerSteps: 25, batch: 16, learningRate: 0.02, momentum: 0.9 },
      optimizer: { type: 'momentum', learningRate: 0.7, momentum: 0.9, nesterov: true },
    });
    expect(single.epochs.at(-1)!.testAccuracy).toBeGreaterThan(0.9);
    for (const args of [
      ['--single', '--threads', '3'],
      ['--workers', '1'],
      ['--workers', '2'],
      ['--workers', '3', '--gradients', 'exact'],
      ['--workers', '8'],
      ['--workers', '2', '--threads', '2', '--verify-rate', '0.5'],
    ]) {
      const { report } = await train(args);
      expect(report.weightsSha256).toBe(single.weightsSha256);
      expect(report.exactness).toBe('bit-exact');
      expect(report.faults).toMatchObject({ rejected: 0, quarantined: 0 });
    }
  });

  it('give them also where workers are killed and others come', async () => {
    const { report: expected } = await train(['--single']);
    const workers: ReturnType<typeof startWorker>[] = [];
    const join = (url: string): void => {
      workers.push(startWorker(['--url', url, '--name', `w${workers.length}`]));
    };
    const server = await openTestServer({
      args: epoch,
      startWorkers: 3,
      onStep({ step }) {
        if (step % 5 !== 2) return;
        workers[Math.floor(step / 5)]!.kill('SIGKILL');
        join(server.url);
      },
    });
    for (let index = 0; index < 3; index++) join(server.url);
    expect(await server.outcome).toEqual({ type: 'finished' });
    const report = server.report();
    expect(report.weightsSha256).toBe(expected.weightsSha256);
    expect(report.faults.disconnects).toBeGreaterThanOrEqual(3);
    await server.close();
    await Promise.all(workers.map((worker) => worker.ended));
  });

  it('differ with the inner steps', async () => {
    const hashes = [];
    for (const args of [[], ['--inner-lr', '0.03'], ['--inner-momentum', '0.5'], ['--batch', '8']]) {
      const { report } = await runToReport(folder, [...rounds, '--steps', '2', '--single', ...args]);
      hashes.push(report.weightsSha256);
    }
    expect(new Set(hashes).size).toBe(4);
  });
});
