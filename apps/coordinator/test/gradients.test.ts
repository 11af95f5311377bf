/** What `--gradients` does to the bytes of a run, and that its report and summary say so. */
import type { Report } from '@lockstep/train';
import { describe, expect, it } from 'vitest';
import { temporaryFolder } from '../../../packages/train/test/folder.ts';
import { openTestServer } from '../../../packages/train/test/test-server.ts';
import { runToReport, startCoordinator, startWorker } from './processes.ts';

const steps = 12;
const vectorBytes = 101_770 * 4;

const folder = temporaryFolder();

async function train(gradients: string, ...args: readonly string[]) {
  const { report, stdout } = await runToReport(folder, ['--steps', `${steps}`, '--gradients', gradients, ...args]);
  // Each worker's answer to the numerics check travels whole; the rest are the gradients of two workers.
  const vectors = (report.wire.bytesReceived - 2 * vectorBytes) / (2 * steps * vectorBytes);
  return { report, stdout, vectors };
}

it('exact leaves out only zeros: fewer bytes and the same bits', async () => {
  const { report, vectors } = await train('exact');
  expect(report.exactness).toBe('bit-exact');
  expect(report.config).not.toHaveProperty('gradients');
  expect(vectors).toBeLessThan(0.9);
});

/** The report of a run, which is made once. */
function once(run: () => Promise<{ report: Report }>): () => Promise<Report> {
  let made: Promise<Report> | undefined;
  return () => {
    made ??= run().then(({ report }) => report);
    return made;
  };
}

const exactly = once(() => train('exact', '--single'));

describe('fp16-exact', () => {
  const gradients = 'fp16-exact';
  const expected = once(() => train(gradients, '--single', '--threads', '1'));

  it('gives other weights than exact', async () => {
    expect((await expected()).weightsSha256).not.toBe((await exactly()).weightsSha256);
  });

  it.each([
    ['--single', '--threads', '2'],
    ['--single', '--threads', '3'],
    ['--single', '--backend', 'reference'],
    ['--workers', '1'],
    ['--workers', '2'],
    ['--workers', '3', '--verify-rate', '0.5'],
    ['--workers', '2', '--threads', '2', '--verify'],
  ])('gives the weights of one process: %s %s %s %s %s', async (...args) => {
    const { report } = await train(gradients, ...args);
    expect(report.weightsSha256).toBe((await expected()).weightsSha256);
    expect(report.exactness).toBe('bit-exact');
    expect(report.config.gradients).toBe(gradients);
    expect(report.faults).toMatchObject({ rejected: 0, quarantined: 0 });
    expect(report.verified).toBe(args.includes('--verify') ? true : null);
  });

  it('takes no more than half of the bytes', async () => {
    const { vectors } = await train(gradients, '--verify-rate', '0');
    expect(vectors).toBeLessThan(0.5);
  });

  it('gives them also where a worker is killed', async () => {
    const workers: ReturnType<typeof startWorker>[] = [];
    const server = await openTestServer({
      args: ['--steps', `${steps}`, '--gradients', gradients],
      startWorkers: 3,
      onStep({ step }) {
        if (step === 5) workers[1]!.kill('SIGKILL');
      },
    });
    for (let index = 0; index < 3; index++) workers.push(startWorker(['--url', server.url, '--name', `w${index}`]));
    expect(await server.outcome).toEqual({ type: 'finished' });
    const report = server.report();
    expect(report.weightsSha256).toBe((await expected()).weightsSha256);
    expect(report.faults.disconnects).toBe(1);
    await server.close();
    await Promise.all(workers.map((worker) => worker.ended));
  });
});

it.each(['fp16', 'int8', 'int8-exact'])('%s, which earlier releases had, ends with one line', async (gradients) => {
  const { code, stderr } = await startCoordinator('start', ['--gradients', gradients]).ended;
  expect(code).toBe(2);
  expect(stderr).toBe(`lockstep: --gradients: expected one of exact, fp16-exact, got ${gradients}\n`);
});
