import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { readReport, runToReport, startCoordinator } from '../../../apps/coordinator/test/processes.ts';
import { nodePlatform } from '../src/node/node-platform.ts';
import type { Report } from '../src/record/report.ts';
import { verifyRun } from '../src/training-result.ts';
import { temporaryFolder } from './folder.ts';
import { prepareArguments } from './prepare-arguments.ts';
import { tinyArgs } from './tiny-data.ts';

const folder = temporaryFolder();
let tiny: string[] = [];
let report: Report;

beforeAll(async () => {
  tiny = await tinyArgs(folder);
  report = (await runToReport(folder, [...tiny, '--single'])).report;
});

describe('--verify', () => {
  it.each([['--workers', '2'], ['--single']])('finds the same weights in one process: %s', async (...args) => {
    const { stdout, report: verified } = await runToReport(folder, [...tiny, ...args, '--verify']);
    expect(verified).toMatchObject({ verified: true, weightsSha256: report.weightsSha256 });
    expect(stdout).toContain(`\nverified: training in one process gives the same weights, ${report.weightsSha256}\n`);
  });

  it('needs no token in a run that asks workers for one', async () => {
    const args = [...tiny, '--workers', '1', '--token', 'a secret', '--verify'];
    expect((await runToReport(folder, args)).report.verified).toBe(true);
  });

  it('that is interrupted says so, and leaves the report', async () => {
    const file = join(folder, 'interrupted.json');
    const program = startCoordinator('start', [
      ...tiny,
      ...['--single', '--backend', 'reference', '--epochs', '40', '--verify', '--report', file],
    ]);
    await program.printed(/Verifying: the same 80 steps in one process/);
    program.kill('SIGINT');
    const { code, stdout, stderr } = await program.ended;
    expect({ code, stderr }).toEqual({ code: 130, stderr: '' });
    expect(stdout).toContain('not verified: the verifying run was interrupted');
    expect(readReport(file)).toMatchObject({ verified: null, weightsSha256: expect.stringMatching(/^[0-9a-f]{64}$/) });
  });
});

describe('a verification', () => {
  const verify = async (changes: Partial<Report>, isFinished: boolean) => {
    // The second run computes each shard once, however many of the first run's were computed twice.
    const prepared = await prepareArguments([...tiny, '--verify-rate', '1']);
    const lines: string[] = [];
    const { signal } = new AbortController();
    const log = (line: string): void => void lines.push(line);
    const verification = await verifyRun({
      ...{ prepared, platform: nodePlatform, isFinished, signal, log },
      report: { ...report, ...changes },
    });
    return { ...verification, lines };
  };
  it('of other weights fails with one sentence that has both hashes', async () => {
    const { weightsSha256 } = report;
    expect(await verify({ weightsSha256: 'ab'.repeat(32) }, true)).toEqual({
      verified: false,
      failure: expect.stringMatching(
        new RegExp(`this run gave weights (ab){32}, one process gave weights ${weightsSha256}$`),
      ),
      lines: ['Verifying: the same 500 steps in one process'],
    });
  });

  it.each<[changes: Partial<Report>, reason: RegExp]>([
    [{ bitExactAmong: 'webgl' }, /^not verified: only webgl workers computed, /],
    [{ exactness: 'sample-exact' }, /^not verified: workers rounded differently/],
    [{ exactness: 'unverified' }, /^not verified: the weights include wrong results/],
    [{ exactness: null }, /^not verified: no step was taken$/],
  ])('of a run that cannot be compared takes no step: %j', async (changes, reason) => {
    const lines = [expect.stringMatching(reason)];
    expect(await verify(changes, true)).toEqual({ verified: null, lines });
  });

  it('is not for a run that did not reach its end', async () => {
    const lines = ['not verified: the run did not reach its last step'];
    expect(await verify({}, false)).toEqual({ verified: null, lines });
  });
});
