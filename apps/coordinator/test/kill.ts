/** Runs whose workers are killed, for any options that the weights depend on. */
import { expect } from 'vitest';
import { openTestServer } from '../../../packages/train/test/test-server.ts';
import { type Program, startWorker } from './processes.ts';

/**
 * Runs three workers and kills one with `kill -9` at each of these steps; with `replaced`, another takes its place. The
 * moment within the step is random.
 * @returns the SHA-256 of the weights
 */
export async function killWorkers(
  args: readonly string[],
  atSteps: readonly number[],
  { replaced = false, first = 0 } = {},
): Promise<string> {
  const workers: Program[] = [];
  const join = (url: string): void => {
    workers.push(startWorker(['--url', url, '--name', `w${workers.length}`]));
  };
  const server = await openTestServer({
    args,
    startWorkers: 3,
    onStep({ step }) {
      const kill = atSteps.indexOf(step);
      if (kill < 0) return;
      workers[(first + kill) % workers.length]!.kill('SIGKILL');
      if (replaced) join(server.url);
    },
  });
  for (let index = 0; index < 3; index++) join(server.url);
  expect(await server.outcome).toEqual({ type: 'finished' });
  const report = server.report();
  expect(report.faults.disconnects).toBe(atSteps.length);
  expect(report.exactness).toBe('bit-exact');
  if (!replaced) expect(report.workers).toHaveLength(3);
  await server.close();
  await Promise.all(workers.map((worker) => worker.ended));
  return report.weightsSha256;
}
