/** A second run in one process verifies the weights: what it says, and when it does not begin. */
import { join } from 'node:path';
import type { Report } from '@lockstep/record';
import { openBackend } from '@lockstep/tensor';
import { expect, it } from 'vitest';
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
