/** Prepares this clone for a command: its packages and its build. */
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { forgetInstallation, hasPackages, installPackages, isMeddledWith } from './packages.mjs';
import { fail, log, quietly, root } from './project.mjs';
import { withLock } from './set-up-lock.mjs';

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
 * @param packages a set of `packages.mjs`
 * @param build tasks and filters of turborepo; none if omitted
 * @param isForeign whether another package manager has just changed the packages
 */
export async function setUp({ packages, build, isForeign = false }) {
  const makeReady = async () => {
    if (isForeign) forgetInstallation();
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
  const slow = setTimeout(() => log('Building what has changed …'), quietMs);
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
  for (const folder of ['packages', 'apps']) {
    for (const name of readdirSync(join(root, folder))) {
      const sources = join(folder, name, 'src');
      if (!existsSync(join(root, sources))) continue;
      for (const file of readdirSync(join(root, sources), { recursive: true })) {
        // Written by the build itself.
        if (/(^|[\\/])generated([\\/]|$)/.test(file)) continue;
        const path = join(sources, file);
        const stats = statSync(join(root, path));
        if (stats.isFile() && stats.mtimeMs > builtAtMs) return path;
      }
    }
  }
  return undefined;
}
