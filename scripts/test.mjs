/** Runs every check of the project in turn, the cheapest first, and stops at the first that fails. */
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const bin = (name) => join(root, 'node_modules', '.bin', name);

const environment = { ...process.env, TURBO_TELEMETRY_DISABLED: '1', DO_NOT_TRACK: '1', TURBO_NO_UPDATE_NOTIFIER: '1' };

const checks = [
  ['lint and format', bin('biome'), ['ci', '.']],
  ['types', bin('turbo'), ['run', 'typecheck', '--output-logs=errors-only']],
  ['tests', bin('vitest'), ['run', ...process.argv.slice(2)]],
];

function stop(what, status) {
  process.stderr.write(`lockstep: ${what} failed\n`);
  process.exit(status ?? 1);
}

/** The browser that the tests drive, which may have to be fetched first; `none` where there is none to be had. */
function browser() {
  const program = join(root, 'packages', 'chromium', 'dist', 'main.js');
  const { status, stdout } = spawnSync(process.execPath, [program], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (status !== 0) stop('looking for a browser', status);
  return stdout;
}

for (const [what, program, args] of checks) {
  const env = what === 'tests' ? { ...environment, CHROME_PATH: browser() } : environment;
  const { status } = spawnSync(program, args, { cwd: root, stdio: 'inherit', env });
  if (status !== 0) stop(what, status);
}
