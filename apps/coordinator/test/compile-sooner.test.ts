/** When the engine compiles what a run in one process runs often. */
import { expect, it } from 'vitest';
import { temporaryFolder } from '../../../packages/train/test/folder.ts';
import { tinyArgs } from '../../../packages/train/test/tiny-data.ts';
import { startCoordinator } from './processes.ts';

const folder = temporaryFolder();
const witness = new URL('compilation-witness.mjs', import.meta.url).href;

/** Calls of a function until the engine wants it compiled, in a run on so many threads. */
async function callsUntilCompiled(threads: number): Promise<number> {
  const args = ['--single', '--threads', `${threads}`, '--steps', '1', ...(await tinyArgs(folder))];
  const { ended } = startCoordinator('start', args, { NODE_OPTIONS: `--import=${witness}` });
  const { code, stdout, stderr } = await ended;
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return Number(/^compiled after (\d+) calls$/m.exec(stdout)?.[1]);
}

// Later versions count calls, and have no such budget.
it.runIf(process.version.startsWith('v20.'))('Node 20 compiles sooner where one thread computes', async () => {
  const [one, two] = await Promise.all([callsUntilCompiled(1), callsUntilCompiled(2)]);
  expect(one).toBeGreaterThan(1);
  expect(one).toBeLessThan(two / 2);
});
