/** Runs every check of the project in turn, the cheapest first, and stops at the first that fails. */
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const bin = (name) => join(root, 'node_modules', '.bin', name);
const chosen = process.argv.slice(2);

const checks = [
  ['lint and format', bin('biome'), ['ci', '.']],
  ['types', bin('turbo'), ['run', 'typecheck', '--output-logs=errors-only']],
  ['tests', bin('vitest'), ['run', ...chosen]],
];

for (const [what, program, args] of checks) {
  const env = { ...process.env, TURBO_TELEMETRY_DISABLED: '1', DO_NOT_TRACK: '1', TURBO_NO_UPDATE_NOTIFIER: '1' };
  const { status } = spawnSync(program, args, { cwd: root, stdio: 'inherit', env });
  if (status !== 0) {
    process.stderr.write(`lockstep: ${what} failed\n`);
    process.exit(status ?? 1);
  }
}
