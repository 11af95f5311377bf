/** Lets one process at a time install and build in this clone: no package that could do that is installed yet. */
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const pollMs = 200;
const heartbeatMs = 1_000;
/** A command that waits for less says nothing. */
const quietPolls = 5;
/** Polls without a heartbeat after which a claim counts for nothing, such as one of another machine. */
const silentPolls = 150;
/** Polls that the installer of a killed command gets to end by itself. */
const orphanPolls = 1_500;

/** Differs after each start of the machine: a process id of before says nothing. */
const boot = readOptional('/proc/sys/kernel/random/boot_id').trim();

/** The claim that this process holds, and the process group of the set-up step that runs now. */
let held;

/**
 * Runs a task while no other process runs one under the same lock. The lock of a process that was killed is free once the
 * programs that it had started have ended.
 *
 * A process claims the lock by a file of its own in the folder, and holds the lock if it then finds no other claim there:
 * of two that claim at once, at least one sees the other and withdraws.
 * @param folder the lock; made if it is missing
 * @param onWait called once if other processes hold the lock for longer than a moment
 * @throws the error of the file system if the folder cannot be written
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
    // Two that withdrew at once do not meet again.
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

/** Notes the process group of a set-up step, which outlives this process if that is killed. */
export function noteStep(group) {
  if (held === undefined) return;
  held.group = group;
  write();
}

function write() {
  const { file, ...claim } = held;
  writeFileSync(file, JSON.stringify(claim));
}

/** Returns what looks for other claims and removes those of processes that are gone. */
function observe(folder, own) {
  /** Per claim: its last heartbeat, and the polls since. */
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

/** Whether a claim counts for nothing: its process has ended, and the step that the process had started. */
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
    // The next one may be possible; without any, other processes go on.
  }
}

/** Empty if there is no such file: a claim may have been withdrawn. */
function readOptional(file) {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

/** Empty for a claim that is being written. */
function parseOptional(json) {
  try {
    return JSON.parse(json);
  } catch {
    return {};
  }
}
