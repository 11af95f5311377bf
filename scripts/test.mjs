/** Runs every check of the project in turn, the cheapest first, and stops at the first that fails. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { environment, fail, root } from './project.mjs';
import { setUp } from './set-up.mjs';

const bin = (name) => join(root, 'node_modules', '.bin', name);
const reporters = ['--reporter=default', `--reporter=${join(root, 'scripts', 'skipped-reporter.mjs')}`];

const checks = [
  ['lint and format', bin('biome'), ['ci', '.']],
  ['types', bin('turbo'), ['run', 'typecheck', '--output-logs=errors-only']],
  ['tests', bin('vitest'), ['run', ...reporters, ...process.argv.slice(2)]],
];

/** The browser that the tests drive, which may have to be fetched first; `none` where there is none to be had. */
function browser() {
  const program = join(root, 'packages', 'chromium', 'dist', 'main.js');
  const { status, stdout } = spawnSync(process.execPath, [program], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (status !== 0) fail('looking for a browser failed', status ?? 1);
  return stdout;
}

for (const [what, program, args] of checks) {
  // Types and tests need the build, which other commands may be making as well.
  if (what === 'types') await setUp({ packages: 'all', build: ['build', 'build-for-tests'] });
  const env = what === 'tests' ? { ...environment, CHROME_PATH: browser() } : environment;
  const { status } = spawnSync(program, args, { cwd: root, stdio: 'inherit', env });
  if (status !== 0) fail(`${what} failed`, status ?? 1);
}
process.exit(0);
