/**
 * Runs one of the product's commands on a machine that has only Node and git: installs and builds what has changed,
 * then starts the program, hands it the terminal and the signals, and ends as it ends.
 */
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const pnpmVersion = manifest.devDependencies.pnpm;
const stampFile = join(root, 'node_modules', '.lockstep-installed');

/**
 * Every step passes megabytes of messages through memory outside V8's heap, which makes V8 mark the whole heap again and
 * again for a few bytes; without incremental marking the cheap collections of young objects free them. Local workers
 * inherit the flag.
 */
const engineFlags = ['--no-incremental-marking'];
// Node 20 has relaxed SIMD, which the backend cpu-relaxed asks for, behind a flag that later versions no longer know.
if (process.versions.node.startsWith('20.')) engineFlags.push('--experimental-wasm-relaxed-simd');

/**
 * For the same reason glibc must not give freed memory back to the kernel, which would fault it in again page by page at
 * the next step. The first alone would keep it from learning how large the program's blocks are. Other C libraries do not look.
 */
const allocatorSettings = {
  MALLOC_TRIM_THRESHOLD_: `${256 * 2 ** 20}`,
  MALLOC_MMAP_THRESHOLD_: `${64 * 2 ** 20}`,
  MALLOC_TOP_PAD_: `${16 * 2 ** 20}`,
};

/** What each command builds with turborepo, and what it runs then. */
const commands = {
  start: { build: ['coordinator', 'worker', 'web'], run: [...app('coordinator/dist/main.js'), 'start'] },
  coordinator: { build: ['coordinator', 'worker', 'web'], run: [...app('coordinator/dist/main.js'), 'coordinator'] },
  worker: { build: ['worker'], run: app('worker/dist/main.js') },
  compare: { build: ['bench', 'coordinator', 'worker', 'web'], run: app('bench/dist/compare/main.js') },
  bench: { build: ['bench'], run: app('bench/dist/main.js') },
  simulate: { build: ['simulate'], run: app('simulate/dist/main.js') },
  test: { build: [], run: [join(root, 'scripts/test.mjs')] },
  'tfjs-node': { build: [], run: [join(root, 'scripts/tfjs-node.mjs')] },
};

function app(program) {
  return [...engineFlags, join(root, 'apps', program)];
}

function fail(message, code = 1) {
  process.stderr.write(`lockstep: ${message}\n`);
  process.exit(code);
}

/** Runs a step of the set-up quietly; what it printed is shown only if it fails. */
function quietly(what, program, args) {
  const { status, stdout, stderr, error } = spawnSync(program, args, {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
    shell: process.platform === 'win32',
    env: {
      ...process.env,
      // Turborepo looks for pnpm there; npm has put it there already, a shell has not.
      PATH: `${join(root, 'node_modules', '.bin')}${delimiter}${process.env.PATH}`,
      TURBO_TELEMETRY_DISABLED: '1',
      DO_NOT_TRACK: '1',
      TURBO_NO_UPDATE_NOTIFIER: '1',
    },
  });
  if (status === 0) return;
  process.stderr.write(`${stdout ?? ''}${stderr ?? ''}`);
  fail(`${what} failed${error ? `: ${error.message}` : ''}; what it printed stands above`);
}

function lockHash() {
  const hash = createHash('sha256');
  for (const file of ['pnpm-lock.yaml', 'package.json', 'pnpm-workspace.yaml'])
    hash.update(readFileSync(join(root, file)));
  return `${hash.digest('hex')} node-${process.versions.modules}`;
}

function install() {
  if (existsSync(stampFile) && readFileSync(stampFile, 'utf8') === lockHash()) return;
  process.stderr.write('Installing packages (once) …\n');
  const args = ['--yes', `pnpm@${pnpmVersion}`, 'install', '--frozen-lockfile', '--config.confirm-modules-purge=false'];
  quietly('installing the packages', 'npx', args);
  writeFileSync(stampFile, lockHash());
}

function build(apps) {
  const turbo = join(root, 'node_modules', '.bin', 'turbo');
  const filters = apps.map((name) => `--filter=@lockstep/${name}...`);
  quietly('the build', turbo, ['run', 'build', '--output-logs=errors-only', ...filters]);
}

const [name, ...args] = process.argv.slice(2);
const command = commands[name];
if (!command) fail(`expected a command of ${Object.keys(commands).join(', ')}; got ${name ?? 'none'}`, 2);
const [major] = process.versions.node.split('.').map(Number);
if (major < 20) fail(`expected Node 20 or newer, got ${process.versions.node}`, 2);

install();
build(command.build);

const child = spawn(process.execPath, [...command.run, ...args], {
  cwd: root,
  stdio: 'inherit',
  env: { ...allocatorSettings, ...process.env },
});
// The child decides how it ends; this process waits for it, so that nothing is left behind.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
child.on('error', (error) => fail(`could not start ${process.execPath}: ${error.message}`));
child.on('exit', (code, signal) => process.exit(code ?? (signal === 'SIGINT' ? 130 : 1)));
