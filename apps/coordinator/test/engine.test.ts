/** How a run in one process configures its engine: when functions are compiled, and the priorities of threads. */
import { readdirSync, readFileSync } from 'node:fs';
import { getPriority } from 'node:os';
import { expect, it } from 'vitest';
import { temporaryFolder } from '../../../packages/train/test/folder.ts';
import { tinyArgs } from '../../../packages/train/test/tiny-data.ts';
import { startCoordinator } from './processes.ts';

const folder = temporaryFolder();
/** Tests may themselves run at a lower priority. */
const own = getPriority();

/** Nice values of all threads, the main thread first. */
function niceValues(pid: number): number[] {
  return readdirSync(`/proc/${pid}/task`).map((thread) => {
    const stat = readFileSync(`/proc/${pid}/task/${thread}/stat`, 'utf8');
    // The name is in parentheses and may contain spaces; nice is the 17th field after it (proc(5)).
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[16]);
  });
}

it.runIf(process.platform === 'linux').each([
  ['the engine gives way if several threads compute', '2', 19],
  ['the engine has the usual priority if one thread computes', '1', own],
])('%s', async (_, threads, engine) => {
  const args = ['--single', '--threads', threads, '--epochs', '1000000', ...(await tinyArgs(folder))];
  const program = startCoordinator('start', args);
  await program.printed(/epoch +1\//);
  const [main, ...others] = niceValues(program.pid);
  expect(main).toBe(own);
  expect(others.filter((nice) => nice === engine).length).toBeGreaterThan(0);
  expect(others.filter((nice) => nice === own).length).toBeGreaterThan(0);
  expect(new Set([own, engine, ...others])).toEqual(new Set([own, engine]));
});

const witness = new URL('compilation-witness.mjs', import.meta.url).href;

/** Calls of a function until the engine requests its compilation, in a run on this number of threads. */
async function callsUntilCompiled(threads: number): Promise<number> {
  const args = ['--single', '--threads', `${threads}`, '--steps', '1', ...(await tinyArgs(folder))];
  const { ended } = startCoordinator('start', args, { NODE_OPTIONS: `--import=${witness}` });
  const { code, stdout, stderr } = await ended;
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return Number(/^compiled after (\d+) calls$/m.exec(stdout)?.[1]);
}

// Later versions count calls, without such a budget.
it.runIf(process.version.startsWith('v20.'))('Node 20 compiles sooner if one thread computes', async () => {
  const [one, two] = await Promise.all([callsUntilCompiled(1), callsUntilCompiled(2)]);
  expect(one).toBeGreaterThan(1);
  expect(one).toBeLessThan(two / 2);
});
