/** `--gradients` and rounds of replicas reduce the bytes of a run, and the report says so. */
import { expect, it } from 'vitest';
import { temporaryFolder } from '../../../packages/train/test/folder.ts';
import { expectRefused, runToReport } from './processes.ts';

const steps = 12;
const vectorBytes = 101_770 * 4;

const folder = temporaryFolder();

it.each([
  ['exact', 'leaves out only zeros: fewer bytes and the same bits', 0.9, undefined],
  ['fp16-exact', 'takes no more than half of the bytes', 0.5, 'fp16-exact'],
])('%s %s', async (gradients, _, mostVectors, reported) => {
  const args = ['--steps', `${steps}`, '--gradients', gradients, '--verify-rate', '0'];
  const { report } = await runToReport(folder, args);
  expect(report.exactness).toBe('bit-exact');
  expect(report.config.gradients).toBe(reported);
  // Each worker's answer to the numerics check is sent in full; the remaining bytes are the gradients of two workers.
  const vectors = (report.wire.bytesReceived - 2 * vectorBytes) / (2 * steps * vectorBytes);
  expect(vectors).toBeLessThan(mostVectors);
});

it('replicas send their vectors once a round, and not once an inner step', async () => {
  const [replicas, rounds, innerSteps] = [2, 3, 10];
  const shape = ['--replicas', `${replicas}`, '--inner-steps', `${innerSteps}`, '--batch', '16'];
  const { report } = await runToReport(folder, [...shape, '--steps', `${rounds}`, '--verify-rate', '0']);
  expect(report.steps).toBe(rounds);
  // Answers to the numerics check and trials add a few vectors to one for each replica and round.
  const vectors = report.wire.bytesReceived / vectorBytes;
  expect(vectors).toBeLessThan((replicas * rounds * innerSteps) / 2);
});

it.each(['fp16', 'int8', 'int8-exact'])('%s, which earlier releases had, ends with one line', async (gradients) => {
  const message = new RegExp(`^lockstep: --gradients: expected one of exact, fp16-exact, got ${gradients}\n$`);
  await expectRefused('coordinator', ['start', '--gradients', gradients], message);
});
