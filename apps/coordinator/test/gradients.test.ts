/** What `--gradients` does to the bytes of a run, and that its report and summary say so. */
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Report } from '@lockstep/train';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startCoordinator } from './processes.ts';

const steps = 30;
const vectorBytes = 101_770 * 4;

let folder = '';

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lockstep-'));
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

async function train(gradients: string): Promise<{ report: Report; stdout: string; vectors: number }> {
  const file = join(folder, `${gradients}.json`);
  const args = ['--steps', `${steps}`, '--port', '0', '--report', file, '--gradients', gradients];
  const { code, stdout, stderr } = await startCoordinator('start', args).ended;
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  const report = JSON.parse(readFileSync(file, 'utf8')) as Report;
  // Each worker's answer to the numerics check travels whole; what is left are the gradients of two workers.
  const vectors = (report.wire.bytesReceived - 2 * vectorBytes) / (2 * steps * vectorBytes);
  return { report, stdout, vectors };
}

it('exact leaves out zeros alone: fewer bytes, and every bit', async () => {
  const { report, vectors } = await train('exact');
  expect(report.exactness).toBe('bit-exact');
  expect(report.config).not.toHaveProperty('gradients');
  expect(vectors).toBeLessThan(0.9);
});

it.each([
  ['fp16', 0.5],
  ['int8', 0.27],
])('%s takes no more than %d of the bytes, and is called what it is', async (gradients, part) => {
  const { report, stdout, vectors } = await train(gradients);
  expect(report.exactness).toBe('sample-exact');
  expect(report.config.gradients).toBe(gradients);
  expect(stdout).toContain(`gradients traveled as ${gradients}`);
  expect(vectors).toBeLessThan(part);
});

it('anything else ends with one sentence', async () => {
  const { code, stderr } = await startCoordinator('start', ['--gradients', 'fp8']).ended;
  expect(code).toBe(2);
  expect(stderr).toMatch(/^.*--gradients.*expected.*exact.*fp16.*int8.*fp8.*\n$/);
});
