/** What `--gradients` does to the bytes of a run, and that its report and summary say so. */
import type { Report } from '@lockstep/train';
import { expect, it } from 'vitest';
import { temporaryFolder } from '../../../packages/train/test/folder.ts';
import { runToReport, startCoordinator } from './processes.ts';

const steps = 30;
const vectorBytes = 101_770 * 4;

const folder = temporaryFolder();

async function train(gradients: string): Promise<{ report: Report; stdout: string; vectors: number }> {
  const { report, stdout } = await runToReport(folder, ['--steps', `${steps}`, '--gradients', gradients]);
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

it.each([
  ['fp16', 0.5],
  ['int8', 0.27],
])('%s takes no more than %d of the bytes, and the report says so', async (gradients, part) => {
  const { report, stdout, vectors } = await train(gradients);
  expect(report.exactness).toBe('sample-exact');
  expect(report.config.gradients).toBe(gradients);
  expect(stdout).toContain(`gradients traveled as ${gradients}`);
  expect(vectors).toBeLessThan(part);
});

it('another encoding ends with one line', async () => {
  const { code, stderr } = await startCoordinator('start', ['--gradients', 'fp8']).ended;
  expect(code).toBe(2);
  expect(stderr).toMatch(/^.*--gradients.*expected.*exact.*fp16.*int8.*fp8.*\n$/);
});
