/** Prepares this clone for a command: its packages, installed by pnpm, and its build. */
import { createHash } from 'node:crypto';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { runChild } from '../apps/lockstep/child.mjs';
import { environment, fail, log, manifest, root } from './project.mjs';
import { noteStep, withLock } from './set-up-lock.mjs';

const lock = join(root, '.tools', 'set-up');
/** Records which builds have succeeded. */
const buildStamp = join(root, 'node_modules', '.lockstep-built');
/** Shorter builds are silent. */
const quietMs = 1_500;
/** Pause between attempts, each of which removes what another package manager has added. */
const retryMs = 1_000;
const mostAttempts = 5;

/**
 * Installs and builds what has changed. One process at a time does so; the others wait.
 * @param packages a name of `sets`
 * @param build tasks and filters of turborepo; none if omitted
 * @param isForeign whether another package manager has just changed the packages
 */
export async function setUp({ packages, build, isForeign = false }) {
  const makeReady = async () => {
    if (isForeign) rmSync(stampFile, { force: true });
    // An `npm install` in another terminal takes only a moment, and ends with its own set-up.
    for (let attempt = 1; attempt <= mostAttempts; attempt++) {
      if ((await installPackages(packages)) && (!build || (await runBuild(build)))) return;
      await sleep(retryMs);
    }
    fail('another package manager changes node_modules; run the command again when it has finished');
  };
  try {
    await withLock(lock, makeReady, () => log('Another command is setting up this clone; waiting for it to finish …'));
  } catch (error) {
    if (!['EACCES', 'EPERM', 'EROFS'].includes(error.code)) throw error;
    const missing = missingFor(packages, build);
    if (missing === undefined) return;
    fail(`${missing}, and ${root} cannot be written (${error.code}); run the command where it can, or in a new clone`);
  }
}

async function runBuild(build) {
  const startedAtMs = Date.now();
  const builtAtMs = builds()[build.join(' ')];
  const tell = () => {
    if (builtAtMs === undefined) log('Building (once) …');
    else if (changedSince(builtAtMs)) log('Building what has changed …');
  };
  // The first build of a clone is always long.
  const slow = setTimeout(tell, existsSync(buildStamp) ? quietMs : 0);
  const turbo = join(root, 'node_modules', '.bin', 'turbo');
  const isDone = await quietly('the build', turbo, ['run', ...build, '--output-logs=errors-only'], isMeddledWith);
  clearTimeout(slow);
  if (!isDone) return false;
  writeFileSync(buildStamp, JSON.stringify({ ...builds(), [build.join(' ')]: startedAtMs }));
  return true;
}

/** Start time of each build that succeeded. */
function builds() {
  return existsSync(buildStamp) ? JSON.parse(readFileSync(buildStamp, 'utf8')) : {};
}

/** The reason why a command cannot run in a read-only clone; undefined if it can run. */
function missingFor(packages, build) {
  if (!hasPackages(packages)) return 'the packages that this command needs are not installed';
  if (!build) return undefined;
  const builtAtMs = builds()[build.join(' ')];
  if (builtAtMs === undefined) return 'what this command runs is not built';
  const changed = changedSince(builtAtMs);
  return changed && `the build is older than ${changed}`;
}

function changedSince(builtAtMs) {
  const projects = ['packages', 'apps'].flatMap((group) =>
    readdirSync(join(root, group)).map((name) => join(group, name)),
  );
  for (const project of [...projects, 'examples']) {
    const sources = join(project, 'src');
    if (!existsSync(join(root, sources))) continue;
    for (const file of readdirSync(join(root, sources), { recursive: true })) {
      // Written by the build itself.
      if (/(^|[\\/])generated([\\/]|$)/.test(file)) continue;
      const path = join(sources, file);
      const stats = statSync(join(root, path));
      if (stats.isFile() && stats.mtimeMs > builtAtMs) return path;
    }
  }
  return undefined;
}

const pnpmVersion = manifest.devEngines.packageManager.version;
const modules = join(root, 'node_modules');
/** File in which pnpm records what it has installed. */
const pnpmList = join(modules, '.modules.yaml');
const stampFile = join(modules, '.lockstep-installed');
/** Contains only pnpm, which must be available before any package is installed. */
const toolFolder = join(root, '.tools');
const pnpm = join(toolFolder, 'node_modules', '.bin', 'pnpm');

/** `dependencies` are needed to build and run, `devDependencies` only for tests and measurements. */
const production = ['--prod', '--filter', 'lockstep-repository'].concat(
  ['lockstep', '@lockstep/simulate', '@lockstep/examples'].flatMap((name) => ['--filter-prod', `${name}...`]),
);

/** Each set contains the previous one. Megabytes are its download to an empty store, on Linux with x64. */
const sets = {
  run: { megabytes: 139, purpose: 'what is needed to build and run', args: production },
  all: { megabytes: 330, purpose: 'what tests, benchmarks and other backends need', args: [] },
};

/** Files of other package managers, whose content never describes this installation. */
const foreignLocks = ['package-lock.json', 'npm-shrinkwrap.json', 'yarn.lock', 'bun.lock', 'bun.lockb'];
const foreignMarks = ['.package-lock.json', '.yarn-integrity', '.yarn-state.yml'];

/** Errors when another package manager creates or removes an entry while it is read or removed here. */
const cameOrWent = ['ENOENT', 'ENOTEMPTY', 'ENOTDIR', 'EEXIST'];
/** Retries the removal of such an entry, after pauses that grow to a second. */
const removal = { recursive: true, force: true, maxRetries: 10, retryDelay: 100 };

/** Whether the packages of the lock file are installed. @param wanted a name of `sets` */
function hasPackages(wanted) {
  const { set, isCurrent } = installed();
  return isCurrent && (set === wanted || set === 'all');
}

/**
 * Returns false if another package manager, which does not know our lock, interfered.
 * @param wanted a name of `sets`
 */
async function installPackages(wanted) {
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
  const set = installed().set === 'all' ? 'all' : wanted;
  removeForeign();
  rmSync(stampFile, { force: true });
  const { purpose, megabytes, args } = sets[set];
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
function isMeddledWith() {
  return foreignEntries().length > 0;
}

/** Removes foreign entries but keeps what pnpm has installed, since programs may be running from it. */
function removeForeign() {
  const found = foreignEntries();
  if (found.length > 0)
    log('Replacing what another package manager installed: this project uses the lock file of pnpm.');
  if (existsSync(pnpmList)) {
    // pnpm inspects existing files only if its own state is unknown.
    if (found.length > 0) found.push('.bin', '.pnpm-workspace-state-v1.json');
    for (const name of found) rmSync(join(modules, name), removal);
  } else if (existsSync(modules)) {
    if (found.length === 0) log('An earlier installation was interrupted; starting again.');
    rmSync(modules, removal);
  }
}

/** Turborepo refuses a project with the lock files of two package managers. */
function setForeignLocksAside() {
  const found = foreignLocks.filter((name) => existsSync(join(root, name)));
  if (found.length === 0) return;
  for (const name of found) renameSync(join(root, name), join(root, `${name}.unused`));
  log(`${found.join(' and ')} renamed to *.unused: only pnpm-lock.yaml decides what is installed.`);
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
  // With a cache that is removed, no second copy of the archive remains.
  const cache = join(toolFolder, 'npm-cache');
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

/** Frequent causes of a failed step, recognized in the output of package managers, each with advice. */
const causes = [
  {
    // Error codes of npm, and the wording of pnpm.
    printed:
      /error sending request|\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|EHOSTUNREACH|ERR_SOCKET_TIMEOUT)\b/,
    sentence: (registry) =>
      `the package registry ${registry} could not be reached; check the network, or npm's settings registry and proxy, and run the command again`,
  },
  { printed: /\bENOSPC\b/, sentence: () => `the disk of ${root} is full; make room, and run the command again` },
];

/**
 * Runs a step of the set-up; shows its output only if it fails for an unknown cause.
 * @param mayFail whether the failure is acceptable, asked after it
 * @returns whether it succeeded
 */
async function quietly(what, program, args, mayFail = () => false) {
  let printed = '';
  const { code, signal, error } = await runChild(program, args, {
    cwd: root,
    env: environment,
    shell: process.platform === 'win32',
    group: true,
    onStart: noteStep,
    output: (text) => {
      printed += text;
    },
  });
  if (signal !== undefined) process.exit(code === 0 ? 130 : code);
  if (code === 0) return true;
  if (mayFail()) return false;
  const cause = causes.find((candidate) => candidate.printed.test(printed));
  if (cause) {
    const [registry = ''] = printed.match(/https?:\/\/[^/\s"']+\//) ?? [];
    fail(`${what} failed: ${cause.sentence(registry)}`.replace(/ {2,}/g, ' '));
  }
  process.stderr.write(printed);
  fail(`${what} failed${error ? `: ${error.message}` : ''}; see its output above`);
}
