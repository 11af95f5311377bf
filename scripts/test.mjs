/** Runs every check of the project in turn, cheapest first, and stops at the first failure. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { chromiumPath, environment, fail, reporters, root } from './project.mjs';
import { setUp } from './set-up.mjs';

const bin = (name) => join(root, 'node_modules', '.bin', name);

const checks = [
  ['lint and format', bin('biome'), ['ci', '.']],
  ['types', bin('turbo'), ['run', 'typecheck', '--output-logs=errors-only']],
  ['tests', bin('vitest'), ['run', ...reporters, ...process.argv.slice(2)]],
];

for (const [what, program, args] of checks) {
  // Types and tests need the build, which another command may be running as well.
  if (what === 'types') await setUp({ packages: 'all', build: ['build', 'build-for-tests'] });
  const env = what === 'tests' ? { ...environment, CHROME_PATH: chromiumPath() } : environment;
  const { status } = spawnSync(program, args, { cwd: root, stdio: 'inherit', env });
  if (status !== 0) fail(`${what} failed`, status ?? 1);
}
process.exit(0);
