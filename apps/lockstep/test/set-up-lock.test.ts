/** Only one process at a time sets up a clone, whatever happens to the others. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { temporaryFolder } from '../../../packages/train/test/folder.ts';

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

class Holder {
  readonly process: ChildProcessWithoutNullStreams;
  printed = '';

  constructor(lock: string, how = 'until told') {
    this.process = spawn(process.execPath, ['--input-type=module', '-e', program, lock, how]);
    this.process.stdout.setEncoding('utf8').on('data', (text: string) => {
      this.printed += text;
    });
    onTestFinished(() => void this.process.kill('SIGKILL'));
  }

  /** Resolves when a line that matches has been printed. */
  async prints(line: RegExp): Promise<RegExpMatchArray> {
    for (;;) {
      const match = this.printed.match(line);
      if (match) return match;
      await Promise.race([once(this.process.stdout, 'data'), once(this.process, 'close').then(() => this.fail(line))]);
    }
  }

  fail(line: RegExp): void {
    if (!line.test(this.printed)) throw new Error(`expected ${line}, got ${JSON.stringify(this.printed)}`);
  }

  release(): void {
    this.process.stdin.write('go\n');
  }

  async kill(): Promise<void> {
    const closed = once(this.process, 'close');
    this.process.kill('SIGKILL');
    await closed;
  }
}

describe('the lock of a set-up', () => {
  it('lets the second process wait, which says so and goes on by itself', async () => {
    const lock = newLock();
    const first = new Holder(lock);
    await first.prints(/holds/);
    const second = new Holder(lock);
    await second.prints(/waits/);
    expect(second.printed).toBe('waits\n');
    first.release();
    await second.prints(/holds/);
    await first.prints(/done/);
    second.release();
    await second.prints(/done/);
    expect(second.printed).toBe('waits\nholds\ndone\n');
    expect(readdirSync(lock)).toEqual([]);
  });

  it('is held by one of many that come at once', async () => {
    const lock = newLock();
    const many = Array.from({ length: 6 }, () => new Holder(lock, 'at once'));
    for (const each of many) await each.prints(/done/);
    expect(many.map(({ printed }) => printed.replace('waits\n', ''))).toEqual(Array(6).fill('holds\ndone\n'));
  });

  it.each(['SIGKILL', 'SIGTERM'] as const)('is free after %s of the process that holds it', async (signal) => {
    const lock = newLock();
    const first = new Holder(lock);
    await first.prints(/holds/);
    const second = new Holder(lock, 'after kill');
    await second.prints(/waits/);
    first.process.kill(signal);
    await second.prints(/holds/);
    second.release();
    await second.prints(/done/);
    expect(readdirSync(lock)).toEqual([]);
  });

  it('stays taken while a step of the killed process still runs', async () => {
    const lock = newLock();
    const first = new Holder(lock, 'step');
    const [, step] = await first.prints(/step (\d+)/);
    await first.prints(/holds/);
    await first.kill();
    const second = new Holder(lock, 'after kill');
    await second.prints(/waits/);
    expect(existsSync(join(lock, readdirSync(lock).find((name) => name.startsWith(`${first.process.pid}.`))!))).toBe(
      true,
    );
    process.kill(-Number(step), 'SIGKILL');
    await second.prints(/holds/);
  });

  it.each([
    ['of a process id that no process has', `4194305.a.${hostname()}`, '{}'],
    ['that was being written', `4194305.b.${hostname()}`, ''],
    ['from before the machine was restarted', `${process.pid}.c.${hostname()}`, '{"boot":"another"}'],
  ])('is not held by a claim %s', async (_name, name, claim) => {
    const lock = newLock();
    mkdirSync(lock, { recursive: true });
    writeFileSync(join(lock, name), claim);
    const holder = new Holder(lock);
    await holder.prints(/holds/);
    expect(readdirSync(lock)).toHaveLength(1);
  });
});
