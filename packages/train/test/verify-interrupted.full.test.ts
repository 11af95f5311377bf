/** A process that verifies the weights of its run, and is interrupted meanwhile. */
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { readReport, startCoordinator } from '../../../apps/coordinator/test/processes.ts';
import { temporaryFolder } from './folder.ts';
import { tinyArgs } from './tiny-data.ts';

const folder = temporaryFolder();
const data = (await tinyArgs(folder)).slice(0, 4);

it('--verify that is interrupted says so, and leaves the report', async () => {
  const file = join(folder, 'interrupted.json');
  // Both runs take seconds, so that the signal arrives in time on a busy machine too.
  const args = ['--single', '--model', 'cnn-large', '--epochs', '800', '--verify', '--report', file];
  const program = startCoordinator('start', [...data, ...args]);
  await program.printed(/Verifying: the same 1,600 steps in one process/);
  program.kill('SIGINT');
  const { code, stdout, stderr } = await program.ended;
  expect({ code, stderr }).toEqual({ code: 130, stderr: '' });
  expect(stdout).toContain('not verified: the verifying run was interrupted');
  expect(readReport(file)).toMatchObject({ verified: null, weightsSha256: expect.stringMatching(/^[0-9a-f]{64}$/) });
});
