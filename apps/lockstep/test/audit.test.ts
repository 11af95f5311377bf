/** `npm run audit`: says in one sentence and an exit code whether a recorded run is exact, also for data of every kind. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openDataset } from '@lockstep/data/node';
import { type TrainOptions, train } from '@lockstep/train';
import { beforeAll, describe, expect, it } from 'vitest';
import { flipBit, forgeRun } from '../../../packages/audit/test/recorded-run.ts';
import { temporaryFolder } from '../../../packages/train/test/folder.ts';
import { auditFile } from '../src/audit.ts';
import { expectRefusal, printed } from './bars.ts';

const folder = temporaryFolder();
const place = (name: string): string => join(folder, name);
const rows = Array.from(
  { length: 90 },
  (_, row) => `${row % 7},${row % 5},${row % 11 === 3 ? '' : row % 4},${row % 2}`,
);
const prose = 'the whale and the sea and a sailor\n'.repeat(30);

async function record(name: string, options: TrainOptions) {
  const result = await train({ steps: 12, threads: 1, ...options, transcript: place(name) }).result;
  writeFileSync(place(`${name}.safetensors`), result.modelFile());
  return result.report;
}

beforeAll(async () => {
  writeFileSync(place('rows.csv'), ['a,b,c,odd', ...rows, ''].join('\n'));
  writeFileSync(place('other.csv'), ['a,b,c,odd', ...rows.slice(1), rows[1], ''].join('\n'));
  writeFileSync(
    place('whole.csv'),
    ['a,b,odd', ...rows.map((_, row) => `${row % 7},${row % 5},${row % 2}`), ''].join('\n'),
  );
  writeFileSync(place('prose.txt'), prose);
  await record('text', { data: place('prose.txt'), model: 'gpt-nano', batch: 6, sampleEvery: 0 });
  const readBy = { isDefault: false, options: { label: 'odd', ignore: ['b'], missing: 'mean' } } as const;
  const data = { ...(await openDataset(place('rows.csv'), { ...readBy.options, seed: 4 })), readBy, name: 'rows.csv' };
  const checkpoint = { folder: place('checkpoints'), every: { steps: 1 }, keep: 100 };
  await record('table', { data, seed: 4, validation: 0.2, checkpoint });
});

const table = (...args: string[]): string[] => [place('table'), '--data', place('rows.csv'), ...args];

describe('npm run audit', () => {
  it.each<[args: string[], stdout: RegExp]>([
    [
      table('--load', place('table.safetensors')),
      /^All 12 steps are exact, up to the weights [0-9a-f]{16}…; the run finished\n$/,
    ],
    [[place('text'), '--data', place('prose.txt'), '--threads', '2'], /^All 12 steps are exact/],
    [
      table('--checkpoint', place('checkpoints'), '--rate', '1'),
      /^12 of 12 steps \(100\.00 %, in \d+ spans\) are exact; /,
    ],
    [
      table('--against', place('table'), '--checkpoint', place('checkpoints')),
      /^4 comparisons of states, 0 steps .*\nBoth transcripts have the same state after each of 12 steps; none was computed\n$/,
    ],
  ])('%j: nothing is wrong', async (args, stdout) => {
    const { code, stdout: got } = await printed(() => auditFile(args));
    expect({ code, got }).toEqual({ code: 0, got: expect.stringMatching(stdout) });
  });

  it('a wrong step ends with exit code 1', async () => {
    const data = await openDataset(place('whole.csv'), { seed: 1 });
    const weights = (step: number, values: Float32Array): void => {
      if (step === 2) flipBit(values);
    };
    await forgeRun(folder, { data, model: 'mlp', steps: 4 }, { weights });
    expect(await printed(() => auditFile([place('forged'), '--data', place('whole.csv')]))).toEqual({
      code: 1,
      stdout: expect.stringMatching(
        /^Step 3 is wrong: all its results are right but the state after it is not, so .*\n$/,
      ),
    });
  });

  it.each<[args: string[], message: RegExp]>([
    [[], /^audit: expected one transcript, got 0$/],
    [[place('table'), place('text')], /^audit: expected one transcript, got 2$/],
    [[place('table'), '--fleet', 'nats://127.0.0.1:1'], /^audit: expected one transcript, got 2$/],
    [[place('missing')], /missing: no such file or folder$/],
    [[place('rows.csv')], /rows\.csv: expected a transcript, got another kind of file$/],
    [[place('table')], /table: expected the data of the run \(rows\.csv\), got none$/],
    [[place('table'), '--data', place('missing.csv')], /^--data: .*missing\.csv: no such file or folder$/],
    [
      [place('table'), '--data', place('other.csv')],
      /table: expected the training samples of the run \(rows\.csv, SHA-256 /,
    ],
    [
      table('--load', place('text.safetensors')),
      /table: expected the transcript of weights [0-9a-f]{16}…, got one of weights /,
    ],
    [
      table('--key', 'ab'.repeat(32)),
      /table: expected a transcript signed with the key abababababababab…, got one signed /,
    ],
    [table('--key', 'ab'), /^--key: expected 64 hexadecimal digits, got ab$/],
    [table('--against', place('text')), /table: the second transcript: it is of another run: expected /],
    [table('--rate', '0.5'), /^--rate: requires --checkpoint DIR, whose checkpoints the spans begin with$/],
    [
      table('--rate', '0.5', '--checkpoint', place('nowhere')),
      /table: expected a folder of checkpoints, got .*nowhere \(/,
    ],
    [
      table('--rate', '0.5', '--checkpoint', folder),
      /table: expected checkpoints of this run, at which samples can begin, got none/,
    ],
    [
      table('--rate', '1', '--against', place('text'), '--checkpoint', folder),
      /^--against: cannot be combined with --rate/,
    ],
    [table('--init', place('missing')), /^--init: .*missing: no such file or folder$/],
  ])('refuses %j', async (args, message) => {
    await expectRefusal(() => auditFile(args), message);
  });
});
