/** Only one process at a time sets up a clone, whatever happens to the others. */
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { temporaryFolder } from '../../../packages/train/test/folder.ts';
import { type Program, startProgram } from '../../coordinator/test/processes.ts';

const folder = temporaryFolder();
let locks = 0;
const newLock = (): string => join(folder, `${locks++}`, 'lock');

/**
 * Takes the lock, says so, and holds it until a line arrives; with `step`, starts a long program as a step of the
 * set-up. Prints `overlap` if another process holds the lock at the same time.
 */
const program = `
import { spawn } from 'node:child_process';
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { noteStep, withLock } from '${join(import.meta.dirname, '../../../scripts/set-up-lock.mjs')}';
const [lock, how] = process.argv.slice(1);
const inside = lock + '.inside';
await withLock(lock, async () => {
  if (how !== 'after kill' && existsSync(inside)) console.log('overlap');
  writeFileSync(inside, '');
  if (how === 'step') {
    const step = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { detached: true, stdio: 'ignore' });
    noteStep(step.pid);
    console.log('step ' + step.pid);
  }
  console.log('holds');
  if (how === 'at once') for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
  else await once(process.stdin, 'data');
  rmSync(inside);
}, () => console.log('waits'));
console.log('done');
process.exit(0);
`;

const hold = (lock: string, how = 'until told'): Program =>
  startProgram(process.execPath, ['--input-type=module', '-e', program, lock, how], { takesInput: true });
const release = (holder: Program): void => holder.write('go\n');
const printedBy = async (holder: Program): Promise<string> => (await holder.ended).stdout;

describe('the lock of a set-up', () => {
  it('lets the second process wait, which says so and goes on by itself', async () => {
    const lock = newLock();
    const first = hold(lock);
    await first.printed(/holds/);
    const second = hold(lock);
    await second.printed(/waits/);
    release(first);
    await second.printed(/holds/);
    await first.printed(/done/);
    release(second);
    expect(await printedBy(second)).toBe('waits\nholds\ndone\n');
    expect(readdirSync(lock)).toEqual([]);
  });

  it('is held by one of many that come at once', async () => {
    const lock = newLock();
    const many = Array.from({ length: 6 }, () => hold(lock, 'at once'));
    const printed = await Promise.all(many.map(printedBy));
    expect(printed.map((text) => text.replace('waits\n', ''))).toEqual(Array(6).fill('holds\ndone\n'));
  });

  it.each(['SIGKILL', 'SIGTERM'] as const)('is free after %s of the process that holds it', async (signal) => {
    const lock = newLock();
    const first = hold(lock);
    await first.printed(/holds/);
    const second = hold(lock, 'after kill');
    await second.printed(/waits/);
    first.kill(signal);
    await second.printed(/holds/);
    release(second);
    await second.printed(/done/);
    expect(readdirSync(lock)).toEqual([]);
  });

  it('stays taken while a step of the killed process still runs', async () => {
    const lock = newLock();
    const first = hold(lock, 'step');
    const [, step] = await first.printed(/step (\d+)/);
    await first.printed(/holds/);
    first.kill('SIGKILL');
    await first.ended;
    const second = hold(lock, 'after kill');
    await second.printed(/waits/);
    expect(existsSync(join(lock, readdirSync(lock).find((name) => name.startsWith(`${first.pid}.`))!))).toBe(true);
    process.kill(-Number(step), 'SIGKILL');
    await second.printed(/holds/);
  });

  it.each([
    ['of a process id that no process has', `4194305.a.${hostname()}`, '{}'],
    ['that was being written', `4194305.b.${hostname()}`, ''],
    ['from before the machine was restarted', `${process.pid}.c.${hostname()}`, '{"boot":"another"}'],
  ])('is not held by a claim %s', async (_name, name, claim) => {
    const lock = newLock();
    mkdirSync(lock, { recursive: true });
    writeFileSync(join(lock, name), claim);
    const holder = hold(lock);
    await holder.printed(/holds/);
    expect(readdirSync(lock)).toHaveLength(1);
  });
});
