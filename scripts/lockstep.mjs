/**
 * Runs one of the product's commands on a machine that has only Node and git: installs and builds what has changed,
 * then starts the program, hands it the terminal and the signals, and ends as it ends.
 */
import { join } from 'node:path';
import { runChild } from './child.mjs';
import { installPackages } from './packages.mjs';
import { environment, fail, log, manifest, quietly, root } from './project.mjs';

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

const training = ['coordinator-command'];

/** Of each command: the set of packages that it needs, what turborepo builds for it, and what runs then. */
const commands = {
  start: {
    does: 'trains a network on this machine: a coordinator and local workers',
    packages: 'run',
    build: training,
    run: [...app('coordinator/dist/main.js'), 'start'],
  },
  coordinator: {
    does: 'waits for workers and trains with those that join',
    packages: 'run',
    build: training,
    run: [...app('coordinator/dist/main.js'), 'coordinator'],
  },
  worker: { does: 'joins a coordinator', packages: 'run', build: ['worker-command'], run: app('worker/dist/main.js') },
  evaluate: {
    does: 'measures a saved model on test samples',
    packages: 'model',
    build: ['model-command'],
    run: [...app('model/dist/main.js'), 'evaluate'],
  },
  predict: {
    does: 'says what a saved model sees in pictures',
    packages: 'model',
    build: ['model-command'],
    run: [...app('model/dist/main.js'), 'predict'],
  },
  export: {
    does: 'writes a saved model as ONNX',
    packages: 'model',
    build: ['model-command'],
    run: [...app('model/dist/main.js'), 'export'],
  },
  compare: {
    does: 'measures one process against many, beside other tools',
    packages: 'all',
    build: ['bench', ...training],
    run: app('bench/dist/compare/main.js'),
  },
  bench: {
    does: 'measures each part against its peers',
    packages: 'all',
    build: ['bench'],
    run: app('bench/dist/main.js'),
  },
  simulate: {
    does: 'runs the rules in virtual time, with faults',
    packages: 'run',
    build: ['simulate'],
    run: app('simulate/dist/main.js'),
  },
  test: {
    does: 'checks lint, types and every test; takes the arguments of vitest',
    packages: 'all',
    run: script('test'),
  },
  engines: {
    does: 'compares the weights that several engines give',
    packages: 'run',
    build: training,
    run: script('engines'),
  },
  'tfjs-node': {
    does: "gets TensorFlow's C library for --backend tfjs-node",
    packages: 'all',
    run: script('tfjs-node'),
  },
  setup: { does: 'gets every package: for --backend webgpu and for work on the project', packages: 'all' },
};

function app(program) {
  return [...engineFlags, join(root, 'apps', program)];
}

function script(name) {
  return [join(root, 'scripts', `${name}.mjs`)];
}

async function build(apps) {
  const filters = apps.map((name) => `--filter=@lockstep/${name}...`);
  const turbo = join(root, 'node_modules', '.bin', 'turbo');
  await quietly('the build', turbo, ['run', 'build', '--output-logs=errors-only', ...filters]);
}

/** Of the scripts, which know no options of this kind; the programs answer for themselves. */
function printed(name, args) {
  const asked = name?.startsWith('-') ? name : args[0];
  if (name !== undefined && commands[name]?.build && name !== 'engines') return false;
  if (asked === '--version') process.stdout.write(`${manifest.version}\n`);
  else if (asked === '--help' || asked === '-h') process.stdout.write(helpText(name));
  else return false;
  return true;
}

function helpText(name) {
  if (commands[name]) return `npm run ${name}: ${commands[name].does}\n`;
  const width = Math.max(...Object.keys(commands).map(({ length }) => length)) + 2;
  const lines = Object.entries(commands).map(([command, { does }]) => `  ${command.padEnd(width)}${does}\n`);
  return `npm run COMMAND -- [options], with one of these commands; most have --help:\n${lines.join('')}`;
}

async function main([name, ...args]) {
  const [major] = process.versions.node.split('.').map(Number);
  if (major < 20) fail(`expected Node 20 or newer, got ${process.versions.node}`, 2);
  if (printed(name, args)) return 0;
  const command = Object.hasOwn(commands, name ?? '') ? commands[name] : undefined;
  if (!command) fail(`expected a command of ${Object.keys(commands).join(', ')}; got ${name ?? 'none'}`, 2);
  await installPackages(command.packages);
  if (command.build) await build(command.build);
  if (!command.run) {
    log('Every package is installed.');
    return 0;
  }
  const { code, error } = await runChild(process.execPath, [...command.run, ...args], {
    cwd: root,
    // A script hands its children over to this process; a program ends its own.
    group: !command.build,
    env: { ...allocatorSettings, ...(command.build ? process.env : environment) },
  });
  if (error) fail(`could not start ${process.execPath}: ${error.message}`);
  return code;
}

process.exit(await main(process.argv.slice(2)));
