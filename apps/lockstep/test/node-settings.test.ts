/** The settings with which Node is started, and the exit code if a signal ends it. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { expect, it } from 'vitest';
import { engineArguments } from '../programs.mjs';

const node = { ...process.versions, bun: undefined, deno: undefined };

it('gives V8 as many threads as there are cores, where its own four are more', () => {
  const sizes = [1, 2, 3, 4, 64].map((cores) => engineArguments({ cores, versions: node, options: '' }));
  expect(sizes).toEqual([['--v8-pool-size=1'], ['--v8-pool-size=2'], ['--v8-pool-size=3'], [], []]);
});

it("leaves a person's own size and other engines alone", () => {
  expect(engineArguments({ cores: 2, versions: node, options: '--v8-pool-size=3' })).toEqual([]);
  for (const versions of [
    { ...node, bun: '1.3.0' },
    { ...node, deno: '2.5.0' },
  ]) {
    expect(engineArguments({ cores: 2, versions, options: '' })).toEqual([]);
  }
});

it('is taken by this Node', () => {
  const args = [...engineArguments({ cores: 2 }), '--print', 'process.execArgv.join()'];
  const { status, stdout } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  expect(status).toBe(0);
  expect(stdout).toContain(engineArguments({ cores: 2 }).join());
});

it('ends a program that is still loading as an interrupted one, whichever signal it gets', async () => {
  const child = new URL('../child.mjs', import.meta.url).href;
  const program = 'process.stdout.write("loading"); setInterval(() => {}, 1_000)';
  const script = `import { runChild } from ${JSON.stringify(child)};
    const { code } = await runChild(process.execPath, ['--eval', ${JSON.stringify(program)}]);
    process.exit(code);`;
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    const launcher = spawn(process.execPath, ['--input-type=module', '--eval', script]);
    await once(launcher.stdout, 'data');
    launcher.kill(signal);
    expect(await once(launcher, 'close')).toEqual([130, null]);
  }
});
