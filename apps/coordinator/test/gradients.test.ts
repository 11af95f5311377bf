/** What `--gradients` does to the bytes of a run, and that its report and summary say so. */
import { type NodeRoundingName, nodeRoundings } from '@lockstep/protocol';
import type { Report } from '@lockstep/train';
import { describe, expect, it } from 'vitest';
import { temporaryFolder } from '../../../packages/train/test/folder.ts';
import { expectRefused, runToReport } from './processes.ts';

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

/** The report of a run, which is made once. */
function once(run: () => Promise<{ report: Report }>): () => Promise<Report> {
  let made: Promise<Report> | undefined;
  return () => {
    made ??= run().then(({ report }) => report);
    return made;
  };
}

const exactly = once(() => train('exact', '--single'));

/** Of the bytes of float32 gradients. */
const largestPart: Record<NodeRoundingName, number> = { 'fp16-exact': 0.5, 'int8-exact': 0.27 };

describe.each(nodeRoundings)('%s', (gradients) => {
  const expected = once(() => train(gradients, '--single', '--threads', '1'));

  it('gives other weights than exact', async () => {
    expect((await expected()).weightsSha256).not.toBe((await exactly()).weightsSha256);
  });

  it('takes fewer bytes', async () => {
    const { vectors } = await train(gradients, '--verify-rate', '0');
    expect(vectors).toBeLessThan(largestPart[gradients]);
  });
});

it('another encoding ends with one line', async () => {
  await expectRefused('coordinator', ['start', '--gradients', 'fp8'], /--gradients.*expected.*exact.*fp16.*fp8/);
});
