/** Lets one process at a time install and build in this clone, without any package: none may be installed yet. */
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const pollMs = 200;
const heartbeatMs = 1_000;
/** Shorter waits are silent. */
const quietPolls = 5;
/** Polls without a heartbeat after which a claim expires, such as one from another machine. */
const silentPolls = 150;
/** Polls during which the installer of a killed command may end by itself. */
const orphanPolls = 1_500;

/** Differs after each boot of the machine, since process ids from before a boot mean nothing. */
const boot = readOptional('/proc/sys/kernel/random/boot_id').trim();

/** This process's claim, and the process group of the current set-up step. */
let held;

/**
 * Runs a task while no other process runs one under the same lock. The lock of a killed process is free once the
 * programs that it had started have ended.
 *
 * A process claims the lock with its own file in the folder, and holds the lock if it then finds no other claim there:
 * of two that claim at once, at least one sees the other and withdraws.
 * @param folder the lock; created if missing
 * @param onWait called once if other processes hold the lock for longer than a moment
 * @throws the file system's error if the folder cannot be written
 */
export async function withLock(folder, task, onWait) {
  mkdirSync(folder, { recursive: true });
  const name = `${process.pid}.${Math.random().toString(36).slice(2)}.${hostname()}`;
  const file = join(folder, name);
  const release = () => {
    rmSync(file, { force: true });
    held = undefined;
  };
  process.on('exit', release);
  const others = observe(folder, name);
  for (let polls = 0; ; polls++) {
    if (!others()) {
      held = { file, boot };
      write();
      if (!others()) break;
      release();
    }
    if (polls === quietPolls) onWait();
    // A random pause, so that two that withdrew at once do not collide again.
    await sleep(pollMs * (0.5 + Math.random()));
  }
  const heartbeat = setInterval(() => touch(file), heartbeatMs);
  try {
    return await task();
  } finally {
    clearInterval(heartbeat);
    process.off('exit', release);
    release();
  }
}

/** Records the process group of a set-up step, which outlives this process if that is killed. */
export function noteStep(group) {
  if (held === undefined) return;
  held.group = group;
  write();
}

function write() {
  const { file, ...claim } = held;
  writeFileSync(file, JSON.stringify(claim));
}

/** Returns a function that looks for other claims and removes those of dead processes. */
function observe(folder, own) {
  /** Per claim: its last heartbeat, and the number of polls since. */
  const seen = new Map();
  return () => {
    let isHeld = false;
    for (const name of readdirSync(folder)) {
      if (name === own) continue;
      const file = join(folder, name);
      const beatAtMs = statSync(file, { throwIfNoEntry: false })?.mtimeMs;
      if (beatAtMs === undefined) continue;
      const before = seen.get(name);
      const polls = before?.beatAtMs === beatAtMs ? before.polls + 1 : 0;
      seen.set(name, { beatAtMs, polls });
      if (isGone(name, file, polls)) rmSync(file, { force: true });
      else isHeld = true;
    }
    return isHeld;
  };
}

/** Whether a claim is void: its process has ended, and so has the step that the process had started. */
function isGone(name, file, polls) {
  const [pid, , ...host] = name.split('.');
  const { boot: claimBoot = boot, group } = parseOptional(readOptional(file));
  if (host.join('.') !== hostname()) return polls >= silentPolls;
  if (claimBoot !== boot || polls >= orphanPolls) return true;
  if (isAlive(Number(pid)) && polls < silentPolls) return false;
  return group === undefined || !isAlive(process.platform === 'win32' ? group : -group);
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}

function touch(file) {
  const now = new Date();
  try {
    utimesSync(file, now, now);
  } catch {
    // The next heartbeat may succeed; without any, the claim expires and other processes proceed.
  }
}

/** Returns an empty text if the file does not exist: a claim may have been withdrawn. */
function readOptional(file) {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

/** Returns an empty object for a claim that is still being written. */
function parseOptional(json) {
  try {
    return JSON.parse(json);
  } catch {
    return {};
  }
}
