/** A second run in one process verifies the weights: what it says, and when it does not begin. */
import { join } from 'node:path';
import type { Report } from '@lockstep/record';
import { openBackend } from '@lockstep/tensor';
import { expect, it } from 'vitest';
import { readReport, startCoordinator } from '../../../apps/coordinator/test/processes.ts';
import { prepareArguments } from '../../prepare/test/prepare-arguments.ts';
import { train } from '../src/index.ts';
import { nodePlatform } from '../src/node-platform.ts';
import { TrainingResult } from '../src/training-result.ts';
import { temporaryFolder } from './folder.ts';
import { tinyArgs } from './tiny-data.ts';

const folder = temporaryFolder();
const tiny = [...(await tinyArgs(folder)), '--epochs', '4'];
const { report, weights } = await train({ data: join(folder, 'tiny'), batch: 32, epochs: 4 }).result;
const { weightsSha256 } = report;
const begins = 'Verifying: the same 8 steps in one process';

it.each<[what: string, changes: Partial<Report>, isFinished: boolean, verified: boolean | null, lines: RegExp[]]>([
  [
    'the same',
    {},
    true,
    true,
    [new RegExp(`^verified: training in one process gives the same weights, ${weightsSha256}$`)],
  ],
  ['other weights', { weightsSha256: 'ab'.repeat(32) }, true, false, []],
  ['those of GPUs', { bitExactAmong: 'webgl' }, true, null, [/^not verified: only webgl workers computed, /]],
  ['mixed', { exactness: 'sample-exact' }, true, null, [/^not verified: workers rounded differently/]],
  ['wrong', { exactness: 'unverified' }, true, null, [/^not verified: the weights may include wrong results/]],
  ['none', { exactness: null }, true, null, [/^not verified: no step was taken$/]],
  ['not those of the end', {}, false, null, [/^not verified: the run did not reach its last step$/]],
])('weights that are %s: %j, finished %s: verified %s', async (_, changes, isFinished, verified, expected) => {
  // The second run needs no token, and computes each shard once, however many of the first run's were computed twice.
  const prepared = await prepareArguments([...tiny, '--verify-rate', '1', '--token', 'a secret']);
  const lines: string[] = [];
  const { backend } = await openBackend('auto');
  const ending = isFinished ? undefined : ({ type: 'stopped', code: 'owner', message: 'stopped' } as const);
  const trained = { ...{ prepared, ending, weights, checkpoint: undefined }, close: async () => {} };
  const result = new TrainingResult({ ...trained, report: { ...report, ...changes } }, nodePlatform, backend);
  const failure = expect.stringMatching(
    new RegExp(`this run gave weights (ab){32}, one process gave weights ${weightsSha256}$`),
  );
  expect(await result.verify({ log: (line) => lines.push(line) })).toEqual({
    verified,
    ...(verified === false && { failure }),
  });
  const texts = expected.map((text) => expect.stringMatching(text));
  expect(lines).toEqual(verified === null ? texts : [begins, ...texts]);
});

it('--verify that is interrupted says so, and leaves the report', async () => {
  const file = join(folder, 'interrupted.json');
  // Both runs take seconds, so that the signal arrives in time on a busy machine too.
  const args = ['--single', '--model', 'cnn-large', '--epochs', '800', '--verify', '--report', file];
  const program = startCoordinator('start', [...tiny.slice(0, 4), ...args]);
  await program.printed(/Verifying: the same 1,600 steps in one process/);
  program.kill('SIGINT');
  const { code, stdout, stderr } = await program.ended;
  expect({ code, stderr }).toEqual({ code: 130, stderr: '' });
  expect(stdout).toContain('not verified: the verifying run was interrupted');
  expect(readReport(file)).toMatchObject({ verified: null, weightsSha256: expect.stringMatching(/^[0-9a-f]{64}$/) });
});
