/** Installs the packages that a command needs with pnpm, where they are not there yet. */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fail, log, manifest, quietly, root } from './project.mjs';

const pnpmVersion = manifest.devEngines.packageManager.version;
const modules = join(root, 'node_modules');
const stampFile = join(modules, '.lockstep-installed');
/** Holds pnpm alone, so that it is there before any package is. */
const toolFolder = join(root, '.tools');
const pnpm = join(toolFolder, 'node_modules', '.bin', 'pnpm');

const programs = ['coordinator-command', 'worker-command', 'relay-command', 'simulate', 'examples'];

/**
 * Each holds the ones before it. Megabytes are what comes over the network for what it has beyond them, from a cold
 * store, on Linux with x64.
 */
const sets = {
  run: { megabytes: 130, purpose: 'what it takes to build and run', args: productionOf(programs) },
  model: {
    megabytes: 9,
    purpose: 'what it takes to read pictures',
    args: productionOf([...programs, 'model-command']),
  },
  all: { megabytes: 191, purpose: 'what tests, benchmarks and other backends need', args: [] },
};
const setNames = Object.keys(sets);

/** `dependencies` are what it takes to build and run, `devDependencies` what only tests and measurements need. */
function productionOf(apps) {
  return [
    '--prod',
    '--filter',
    'lockstep-repository',
    ...apps.flatMap((name) => ['--filter-prod', `@lockstep/${name}...`]),
  ];
}

/** Files of other package managers, which never say what is installed here. */
const foreignLocks = ['package-lock.json', 'npm-shrinkwrap.json', 'yarn.lock', 'bun.lock', 'bun.lockb'];
const foreignMarks = ['.package-lock.json', '.yarn-integrity', '.yarn-state.yml'];

/** @param wanted a name of `sets` */
export async function installPackages(wanted) {
  setForeignLocksAside();
  const state = installed();
  const rank = setNames.indexOf(state.set);
  if (state.isCurrent && rank >= setNames.indexOf(wanted)) return;
  const set = setNames[Math.max(rank, setNames.indexOf(wanted))];
  if (isForeign()) {
    log('node_modules comes from another package manager and is replaced: the lock file here is that of pnpm.');
    rmSync(modules, { recursive: true, force: true });
  }
  rmSync(stampFile, { force: true });
  const { purpose, args } = sets[set];
  const missing = setNames.slice(Math.min(rank + 1, setNames.indexOf(set)), setNames.indexOf(set) + 1);
  const megabytes = missing.reduce((sum, name) => sum + sets[name].megabytes, 0);
  log(`Installing ${purpose} (once; fetches up to ${megabytes} MB) …`);
  await providePnpm();
  const settings = [
    '--frozen-lockfile',
    '--config.confirmModulesPurge=false',
    // Asks the registry about each package's age: 85 MB of answers about versions and hashes that the lock file has fixed.
    '--config.minimumReleaseAge=0',
  ];
  await quietly('installing the packages', pnpm, ['install', ...settings, ...args]);
  writeFileSync(stampFile, `${set} ${lockHash()}`);
}

/** Makes the next `installPackages` install anew, after another package manager has changed the folder. */
export function forgetInstallation() {
  rmSync(stampFile, { force: true });
}

function installed() {
  if (existsSync(stampFile)) {
    const [set, hash] = readFileSync(stampFile, 'utf8').split(' ');
    return { set, isCurrent: hash === lockHash() && !isForeign() };
  }
  const list = join(modules, '.modules.yaml');
  const hasAll = existsSync(list) && /"?devDependencies"?: true/.test(readFileSync(list, 'utf8'));
  return { set: hasAll ? 'all' : undefined, isCurrent: false };
}

function isForeign() {
  if (!existsSync(modules)) return false;
  return !existsSync(join(modules, '.modules.yaml')) || foreignMarks.some((name) => existsSync(join(modules, name)));
}

/** Turborepo refuses a project with the lock files of two package managers. */
function setForeignLocksAside() {
  const found = foreignLocks.filter((name) => existsSync(join(root, name)));
  if (found.length === 0) return;
  for (const name of found) renameSync(join(root, name), join(root, `${name}.unused`));
  log(`${found.join(' and ')} set aside as *.unused: pnpm-lock.yaml alone says what is installed here.`);
}

function lockHash() {
  const hash = createHash('sha256');
  for (const file of ['pnpm-lock.yaml', 'package.json', 'pnpm-workspace.yaml']) {
    hash.update(readFileSync(join(root, file)));
  }
  return `${hash.digest('hex')}-node-${process.versions.modules}`;
}

async function providePnpm() {
  const list = join(toolFolder, 'node_modules', 'pnpm', 'package.json');
  if (existsSync(list) && JSON.parse(readFileSync(list, 'utf8')).version === pnpmVersion) return;
  // In a cache of its own, the archive does not stay behind as a second copy.
  const cache = mkdtempSync(join(tmpdir(), 'lockstep-npm-'));
  const settings = ['--no-save', '--no-audit', '--no-fund', '--no-package-lock', '--ignore-scripts=false'];
  try {
    mkdirSync(toolFolder, { recursive: true });
    writeFileSync(join(toolFolder, 'package.json'), '{ "private": true }\n');
    const args = ['install', `pnpm@${pnpmVersion}`, ...settings, '--prefix', toolFolder, '--cache', cache];
    await quietly('getting pnpm', 'npm', args);
  } finally {
    rmSync(cache, { recursive: true, force: true });
  }
  if (!existsSync(list)) fail(`expected npm to install pnpm ${pnpmVersion} into ${toolFolder}; it did not`);
}
