/**
 * Runs one of the product's commands on a machine that has only Node and git: installs and builds what has changed,
 * then starts the program, hands it the terminal and the signals, and exits as it does.
 */
import { join } from 'node:path';
import { commandLines, commands as productCommands, runProgram } from '../apps/lockstep/programs.mjs';
import { environment, fail, log, manifest, root } from './project.mjs';
import { setUp } from './set-up.mjs';

const training = ['coordinator-command'];

/** For each command: the set of packages it needs, what turborepo builds for it, and what it runs. */
const commands = {
  ...Object.fromEntries(Object.entries(productCommands).map(([name, command]) => [name, ofProduct(command)])),
  example: {
    does: 'runs a chapter of the lesson or an example; lists them by default',
    packages: 'run',
    build: ['examples'],
    run: [join(root, 'examples/dist/src/main.js')],
  },
  compare: {
    does: 'compares one process with several, and with other libraries',
    packages: 'all',
    build: ['bench', ...training],
    run: [...app('bench/dist/main.js'), 'compare'],
  },
  bench: {
    does: 'benchmarks each part against other libraries',
    packages: 'all',
    build: ['bench', ...training],
    run: [...app('bench/dist/main.js'), 'bench'],
  },
  simulate: {
    does: 'simulates runs with faults in virtual time',
    packages: 'run',
    build: ['simulate'],
    run: app('simulate/dist/main.js'),
  },
  test: {
    does: 'runs lint, type checks and the quick tests; accepts vitest arguments',
    packages: 'all',
    run: script('test'),
  },
  'test:all': {
    does: 'runs lint, type checks and all tests; with --rest, only the tests that npm test omits',
    packages: 'all',
    run: [...script('test'), '--all'],
  },
  'test:long': {
    does: 'runs the long tests for --minutes N; --seed N repeats a run',
    packages: 'all',
    run: [...script('test'), '--long'],
  },
  docs: {
    does: 'writes the API reference (docs/api) and docs/options.md',
    packages: 'all',
    build: ['reference'],
    run: app('reference/dist/main.js'),
    takesNothing: true,
  },
  site: {
    does: 'builds the site; with --serve [PORT], serves it on this machine',
    packages: 'all',
    build: ['site'],
    run: app('site/scripts/main.mjs'),
  },
  engines: {
    does: 'compares the weights computed by several JavaScript engines',
    packages: 'run',
    build: training,
    run: script('engines'),
  },
  release: {
    does: 'releases the packages: version, then publish',
    packages: 'all',
    run: script('release'),
  },
  'tfjs-node': {
    does: "installs TensorFlow's C library for --backend tfjs-node",
    packages: 'all',
    run: script('tfjs-node'),
  },
  setup: { does: 'installs all packages, for --backend webgpu and development', packages: 'all', takesNothing: true },
};

function ofProduct({ does, app: name, args }) {
  return {
    does,
    packages: 'run',
    build: [name === 'lockstep' ? name : `${name}-command`],
    run: [...app(`${name}/dist/main.js`), ...args],
  };
}

function app(program) {
  return [join(root, 'apps', program)];
}

function script(name) {
  return [join(root, 'scripts', `${name}.mjs`)];
}

/** Prints a script's help or version, and returns whether it did; programs print their own. */
function printed(name, args) {
  const asked = name?.startsWith('-') ? name : args[0];
  if (name !== undefined && commands[name]?.build && !['engines', 'docs', 'site'].includes(name)) return false;
  if (asked === '--version') process.stdout.write(`${manifest.version}\n`);
  else if (asked === '--help' || asked === '-h') process.stdout.write(helpText(name));
  else return false;
  return true;
}

function helpText(name) {
  if (commands[name]) return `npm run ${name}: ${commands[name].does}\n`;
  return `npm run COMMAND -- [options], with one of these commands; most have --help:\n${commandLines(commands)}`;
}

/** After an installation by a package manager other than pnpm: replaces its packages by those that commands need. */
async function afterInstallation() {
  const agent = process.env['npm_config_user_agent'] ?? '';
  // npm has changed no package here (see .npmrc), so packages that running programs may use stay in place.
  if (!agent.startsWith('pnpm')) await setUp({ packages: 'run', isForeign: !agent.startsWith('npm') });
  return 0;
}

async function main([name, ...args]) {
  const [major] = process.versions.node.split('.').map(Number);
  if (major < 20) fail(`expected Node 20 or newer, got ${process.versions.node}`, 2);
  if (name === 'postinstall') return afterInstallation();
  if (printed(name, args)) return 0;
  const command = Object.hasOwn(commands, name ?? '') ? commands[name] : undefined;
  if (!command) fail(`expected one of the commands ${Object.keys(commands).join(', ')}, got ${name ?? 'none'}`, 2);
  if (command.takesNothing && args.length > 0) fail(`${name}: expected no arguments, got ${args.join(' ')}`, 2);
  const filters = command.build?.map((app) => `--filter=${app === 'lockstep' ? app : `@lockstep/${app}`}...`);
  await setUp({ packages: command.packages, build: filters && ['build', ...filters] });
  if (!command.run) {
    log('Every package is installed.');
    return 0;
  }
  const { code, error } = await runProgram([...command.run, ...args], {
    cwd: root,
    // A script leaves its children to this process; a program ends its own.
    group: !command.build,
    env: command.build ? process.env : environment,
  });
  if (error) fail(`could not start ${process.execPath}: ${error.message}`);
  return code;
}

process.exit(await main(process.argv.slice(2)));
