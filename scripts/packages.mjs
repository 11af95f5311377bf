/** Installs the packages that a command needs with pnpm, unless they are installed. */
import { createHash } from 'node:crypto';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fail, log, manifest, quietly, root } from './project.mjs';

const pnpmVersion = manifest.devEngines.packageManager.version;
const modules = join(root, 'node_modules');
/** File in which pnpm records what it has installed. */
const pnpmList = join(modules, '.modules.yaml');
const stampFile = join(modules, '.lockstep-installed');
/** Contains only pnpm, which must be available before any package is installed. */
const toolFolder = join(root, '.tools');
const pnpm = join(toolFolder, 'node_modules', '.bin', 'pnpm');

const programs = ['coordinator-command', 'worker-command', 'relay-command', 'simulate', 'examples'];

/** Each set contains the previous ones. Megabytes are its additional download to an empty store, on Linux with x64. */
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

/** `dependencies` are needed to build and run, `devDependencies` only for tests and measurements. */
function productionOf(apps) {
  return [
    '--prod',
    '--filter',
    'lockstep-repository',
    ...apps.flatMap((name) => ['--filter-prod', `@lockstep/${name}...`]),
  ];
}

/** Files of other package managers, whose content never describes this installation. */
const foreignLocks = ['package-lock.json', 'npm-shrinkwrap.json', 'yarn.lock', 'bun.lock', 'bun.lockb'];
const foreignMarks = ['.package-lock.json', '.yarn-integrity', '.yarn-state.yml'];

/** Errors when another package manager creates or removes an entry while it is read or removed here. */
const cameOrWent = ['ENOENT', 'ENOTEMPTY', 'ENOTDIR', 'EEXIST'];
/** Retries the removal of such an entry, after pauses that grow to a second. */
const removal = { recursive: true, force: true, maxRetries: 10, retryDelay: 100 };

/** Whether the packages of the lock file are installed. @param wanted a name of `sets` */
export function hasPackages(wanted) {
  const { set, isCurrent } = installed();
  return isCurrent && setNames.indexOf(set) >= setNames.indexOf(wanted);
}

/**
 * Returns false if another package manager, which does not know our lock, interfered.
 * @param wanted a name of `sets`
 */
export async function installPackages(wanted) {
  try {
    return await install(wanted);
  } catch (error) {
    if (cameOrWent.includes(error.code) && error.path?.startsWith(modules)) return false;
    throw error;
  }
}

async function install(wanted) {
  setForeignLocksAside();
  if (hasPackages(wanted)) return true;
  const rank = setNames.indexOf(installed().set);
  const set = setNames[Math.max(rank, setNames.indexOf(wanted))];
  removeForeign();
  rmSync(stampFile, { force: true });
  const { purpose, args } = sets[set];
  const missing = setNames.slice(Math.min(rank + 1, setNames.indexOf(set)), setNames.indexOf(set) + 1);
  const megabytes = missing.reduce((sum, name) => sum + sets[name].megabytes, 0);
  log(`Installing ${purpose} (once; fetches up to ${megabytes} MB) …`);
  await providePnpm();
  const settings = [
    '--frozen-lockfile',
    '--config.confirmModulesPurge=false',
    // Otherwise pnpm asks the registry for each package's age: 85 MB of answers about versions that are locked.
    '--config.minimumReleaseAge=0',
    // The same retries as for npm below.
    '--config.fetchRetryMintimeout=2000',
    '--config.fetchRetryFactor=3',
  ];
  const isDone = await quietly('installing the packages', pnpm, ['install', ...settings, ...args], isMeddledWith);
  if (!isDone) return false;
  writeFileSync(stampFile, `${set} ${lockHash()}`);
  return true;
}

/** Makes the next `installPackages` install again, after another package manager has changed the folder. */
export function forgetInstallation() {
  rmSync(stampFile, { force: true });
}

function installed() {
  if (existsSync(stampFile)) {
    const [set, hash] = readFileSync(stampFile, 'utf8').split(' ');
    return { set, isCurrent: hash === lockHash() && existsSync(pnpmList) && !isMeddledWith() };
  }
  const hasAll = existsSync(pnpmList) && /"?devDependencies"?: true/.test(readFileSync(pnpmList, 'utf8'));
  return { set: hasAll ? 'all' : undefined, isCurrent: false };
}

/** Entries of node_modules from another package manager: its marker files, and folders that replace pnpm's links. */
function foreignEntries() {
  if (!existsSync(modules)) return [];
  const names = readdirSync(modules).flatMap((name) =>
    name.startsWith('@') ? readdirSync(join(modules, name)).map((inner) => join(name, inner)) : [name],
  );
  return names.filter(
    (name) => foreignMarks.includes(name) || (!name.startsWith('.') && lstatSync(join(modules, name)).isDirectory()),
  );
}

/** Whether another package manager has changed the packages since they were installed. */
export function isMeddledWith() {
  return foreignEntries().length > 0;
}

/** Removes foreign entries but keeps what pnpm has installed, since programs may be running from it. */
function removeForeign() {
  const found = foreignEntries();
  if (found.length > 0) log('What another package manager installed here is replaced: the lock file is that of pnpm.');
  if (existsSync(pnpmList)) {
    // pnpm inspects existing files only if its own state is unknown.
    if (found.length > 0) found.push('.bin', '.pnpm-workspace-state-v1.json');
    for (const name of found) rmSync(join(modules, name), removal);
  } else if (existsSync(modules)) {
    if (found.length === 0) log('An installation here was cut off; it begins again.');
    rmSync(modules, removal);
  }
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
  // With a temporary cache, no second copy of the archive remains.
  const cache = mkdtempSync(join(tmpdir(), 'lockstep-npm-'));
  const settings = ['--no-save', '--no-audit', '--no-fund', '--no-package-lock', '--ignore-scripts=false'];
  try {
    mkdirSync(toolFolder, { recursive: true });
    writeFileSync(join(toolFolder, 'package.json'), '{ "private": true }\n');
    // By default, npm takes more than a minute to find out that there is no network.
    const patience = ['--fetch-retry-mintimeout=2000', '--fetch-retry-factor=3'];
    const own = ['--loglevel=error', '--prefix', toolFolder, '--cache', cache];
    const args = ['install', `pnpm@${pnpmVersion}`, ...settings, ...patience, ...own];
    await quietly('getting pnpm', 'npm', args);
  } finally {
    rmSync(cache, { recursive: true, force: true });
  }
  if (!existsSync(list)) fail(`expected npm to install pnpm ${pnpmVersion} into ${toolFolder}; it did not`);
}
