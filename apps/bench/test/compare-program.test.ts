/** The built command ends at once if it is called wrongly. */
import { readdir } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { temporaryFolder } from '../../../packages/train/test/folder.ts';
import { benchProgram, run } from './run-program.ts';

const folder = temporaryFolder();

test('--help goes to stdout and is no failure', async () => {
  const { code, stdout, stderr } = await run(folder, benchProgram, ['compare', '--help']);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).toMatch(/^npm run compare -- \[options\]\n/);
  expect(stdout).toContain('--predict');
});

test.each([
  [['--rounds', 'many'], '--rounds: expected a whole number from 1 to 100, got many'],
  [
    ['--model', 'tree'],
    '--model tree: expected mlp, cnn, cnn-large, gpt, gpt-nano, names, or JSON with a list of layers, got "tree"',
  ],
  [['--data', '.', '--model', 'mlp'], /^lockstep: --data: .*\n$/],
  [
    ['--html', '/no/such/folder/c.html'],
    '--html: /no/such/folder/c.html: cannot use the folder /no/such/folder: no such file or folder',
  ],
  [['--predict', '--workers', '3', '--speeds', '1,2'], '--speeds: expected one for each of 3 workers, got 2'],
  [['--batch', '70000'], '--batch: expected at most the 60000 samples of the training set, got 70000'],
])('%j is one sentence on stderr and exit code 2, with nothing measured', async (args, message) => {
  const before = await readdir(folder);
  const { code, stdout, stderr } = await run(folder, benchProgram, ['compare', ...args]);
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  if (typeof message === 'string') expect(stderr).toBe(`lockstep: ${message}\n`);
  else expect(stderr).toMatch(message);
  expect(await readdir(folder)).toEqual(before);
});
