/** Starts the built programs as a user would and always ends them, or runs them from source within the test process. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readModelFile, resolveModel } from '@lockstep/nn';
import { bytesOf } from '@lockstep/protocol';
import type { Report } from '@lockstep/train';
import { expect, vi } from 'vitest';
import { openViewer, type TestViewer } from '../../../packages/server/test/test-viewer.ts';

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Program {
  readonly pid: number;
  readonly ended: Promise<Ended>;
  /** Writes to the program's standard input. */
  write(text: string): void;
  /** Stops reading the program's output, as `head` does. */
  stopReading(): void;
  /** Resolves with the match once the program's output, past or future, matches. */
  printed(pattern: RegExp): Promise<RegExpMatchArray>;
  kill(signal: NodeJS.Signals): void;
  /** Sends a signal to the program and all its descendants at once, as Ctrl-C in a terminal does. */
  killGroup(signal: NodeJS.Signals): void;
  /** The program's living descendants, even if the program itself has ended. */
  offspring(): number[];
}

/** Processes are looked up in `/proc`. */
export const canListProcesses = process.platform === 'linux';

const running = new Set<ChildProcess>();
/** Running programs that all tests of a file share. */
const shared = new Set<ChildProcess>();

/** Called by `end-programs.ts` after each test, and after all tests of a file. */
export function endPrograms({ alsoShared }: { readonly alsoShared: boolean }): Promise<void> {
  return endAll([...running].filter((child) => alsoShared || !shared.has(child)));
}

async function endAll(children: readonly ChildProcess[]): Promise<void> {
  const ended = children.map((child) => new Promise<void>((resolve) => child.once('close', () => resolve())));
  for (const child of children) {
    try {
      process.kill(-child.pid!, 'SIGKILL');
    } catch {
      // The process has just ended.
    }
  }
  await Promise.all(ended);
}

/** Keeps a program running until the last test of the file has ended. */
export function share({ pid }: Program): void {
  for (const child of running) if (child.pid === pid) shared.add(child);
}

/** A terminated test process runs no hooks, and would leave its programs behind. */
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    for (const child of running) child.kill('SIGKILL');
    process.kill(process.pid, signal);
  });
}

const root = fileURLToPath(new URL('../../..', import.meta.url));

interface StartOptions {
  readonly env?: NodeJS.ProcessEnv | undefined;
  readonly cwd?: string;
  /** Whether the program has a channel to the test, as a worker has to a coordinator that started it. */
  readonly hasChannel?: boolean;
  /** Whether the test writes to the program's standard input. */
  readonly takesInput?: boolean;
}

export function startProgram(
  command: string,
  args: readonly string[],
  { env, cwd = root, hasChannel = false, takesInput = false }: StartOptions = {},
): Program {
  // All descendants inherit the mark, which finds them even after the program has ended.
  const mark = `LOCKSTEP_TEST_PROGRAM=${randomUUID()}`;
  const [markName, markValue] = mark.split('=') as [string, string];
  const child = spawn(command, args, {
    cwd,
    stdio: [takesInput ? 'pipe' : 'ignore', 'pipe', 'pipe', ...(hasChannel ? (['ipc'] as const) : [])],
    env: { ...process.env, NO_COLOR: '1', ...env, [markName]: markValue },
    detached: true,
  });
  running.add(child);
  let stdout = '';
  let stderr = '';
  const waiting = new Set<() => void>();
  const checkAll = (): void => {
    for (const check of [...waiting]) check();
  };
  child.stdout!.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
    checkAll();
  });
  child.stderr!.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
    checkAll();
  });
  let isClosed = false;
  const ended = new Promise<Ended>((resolve) => {
    child.once('close', (code) => {
      running.delete(child);
      isClosed = true;
      checkAll();
      resolve({ code, stdout, stderr });
    });
  });
  return {
    pid: child.pid!,
    ended,
    write: (text) => void child.stdin!.write(text),
    stopReading: () => void child.stdout!.destroy(),
    kill: (signal) => void child.kill(signal),
    killGroup: (signal) => void process.kill(-child.pid!, signal),
    offspring: () => processesWith(mark).filter((pid) => pid !== child.pid),
    printed: (pattern) =>
      new Promise((resolve, reject) => {
        const check = (): void => {
          const match = `${stdout}\n${stderr}`.match(pattern);
          if (!match && !isClosed) return;
          waiting.delete(check);
          if (match) resolve(match);
          else reject(new Error(`expected ${pattern} to be printed, got:\n${stdout}\n${stderr}`));
        };
        waiting.add(check);
        check();
      }),
  };
}

/**
 * Runs `npm start` with these options to its end, and returns the report that it writes into `folder`. A run of a
 * single process is run inside the test process: it is the reference for runs of several processes.
 */
export async function runToReport(folder: string, args: readonly string[]): Promise<Ended & { report: Report }> {
  const file = join(folder, `${randomUUID()}.json`);
  const ended = args.includes('--single')
    ? await runInside('coordinator', ['start', ...oneThread(args), '--report', file, ...args])
    : await startCoordinator('start', ['--port', '0', '--report', file, ...args]).ended;
  expect({ code: ended.code, stderr: ended.stderr }).toEqual({ code: 0, stderr: '' });
  return { ...ended, report: readReport(file) };
}

/** With several threads, the run would lower the priority of this process's engine threads. */
const oneThread = (args: readonly string[]): string[] => (args.includes('--threads') ? [] : ['--threads', '1']);

export function readReport(file: string): Report {
  return JSON.parse(readFileSync(file, 'utf8')) as Report;
}

/** The SHA-256 of the weights of an MLP that a run saved. */
export function savedWeightsSha256(file: string): string {
  const weights = readModelFile(resolveModel('mlp'), readFileSync(file));
  return createHash('sha256').update(bytesOf(weights)).digest('hex');
}

export function startCoordinator(
  command: 'start' | 'coordinator',
  args: readonly string[],
  env?: NodeJS.ProcessEnv,
): Program {
  return startProgram(process.execPath, [appFile('coordinator'), command, ...args], { env });
}

/** A coordinator in a terminal, which `kill` closes. */
export function startInTerminal(args: readonly string[]): Program {
  const words = [process.execPath, appFile('coordinator'), 'start', ...args];
  // A separate session, led by the coordinator.
  return startProgram('script', ['-qec', `exec ${words.map((word) => `'${word}'`).join(' ')}`, '/dev/null']);
}

export function startWorker(args: readonly string[], options?: StartOptions): Program {
  return startProgram(process.execPath, [appFile('worker'), ...args], options);
}

export function startRelay(args: readonly string[]): Program {
  return startProgram(process.execPath, [appFile('relay'), ...args]);
}

/** Starts a model command, such as `evaluate`, with its options. */
export function startModelCommand(args: readonly string[]): Program {
  return startProgram(process.execPath, [appFile('lockstep'), ...args]);
}

/** Connects a viewer to a coordinator that has printed its dashboard, and returns its admin token as well. */
export async function watch(program: Program): Promise<{ viewer: TestViewer; token: string }> {
  const [, host = '', token = ''] = await program.printed(/Dashboard: http:\/\/([^/]+)\/#admin=([\w-]+)/);
  return { viewer: await openViewer(`ws://${host}`), token };
}

/** Runs npm in the project's folder, as a user does. */
export function startNpm(args: readonly string[]): Program {
  return startProgram('npm', args);
}

/** Splits a line at spaces, and replaces each `{name}` by a path in the folder; a list is returned as it is. */
export function argumentsIn(folder: string, line: string | readonly string[]): readonly string[] {
  if (typeof line !== 'string') return line;
  const words = line.split(' ').filter((word) => word !== '');
  return words.map((word) => word.replace(/\{(.*)\}/, (_, name: string) => join(folder, name)));
}

function appFile(app: string): string {
  return join(root, 'apps', app, 'dist', 'main.js');
}

/** Ignores zombie processes, whose environment is empty. */
function processesWith(environmentEntry: string): number[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return pids.map(Number).filter((pid) => {
    try {
      return readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0').includes(environmentEntry);
    } catch {
      return false;
    }
  });
}

const programs = {
  coordinator: { file: '../src/main.ts', speaksAs: 'lockstep' },
  worker: { file: '../../worker/src/main.ts', speaksAs: 'worker' },
  relay: { file: '../../relay/src/main.ts', speaksAs: 'relay' },
} as const;

type ProgramName = keyof typeof programs;

const emitters = [process, process.stdout, process.stderr];
let runs = 0;

/** Runs a program to its end inside this process, with this command line and environment. */
export async function runInside(
  program: ProgramName,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Ended> {
  const written = { stdout: '', stderr: '' };
  const spies = (['stdout', 'stderr'] as const).map((name) =>
    vi.spyOn(process[name], 'write').mockImplementation((text) => {
      written[name] += text;
      return true;
    }),
  );
  const { argv, exitCode } = process;
  const listeners = emitters.map((emitter) => new Set(listenersOf(emitter)));
  for (const [name, value] of Object.entries({ NO_COLOR: '1', ...env })) vi.stubEnv(name, value);
  process.argv = [process.execPath, programs[program].file, ...args];
  try {
    // A program runs when it is imported, so each run imports it under a new URL.
    await import(`${programs[program].file}?run=${++runs}`);
    return { code: Number(process.exitCode), ...written };
  } finally {
    process.argv = argv;
    process.exitCode = exitCode;
    vi.unstubAllEnvs();
    for (const spy of spies) spy.mockRestore();
    for (const [index, emitter] of emitters.entries()) removeListenersBut(listeners[index]!, emitter);
  }
}

type Listener = (...args: unknown[]) => void;

function listenersOf(emitter: NodeJS.EventEmitter): Listener[] {
  return emitter.eventNames().flatMap((name) => emitter.rawListeners(name) as Listener[]);
}

function removeListenersBut(kept: ReadonlySet<Listener>, emitter: NodeJS.EventEmitter): void {
  for (const name of emitter.eventNames()) {
    for (const listener of emitter.rawListeners(name) as Listener[]) {
      if (!kept.has(listener)) emitter.removeListener(name, listener);
    }
  }
}

/** Child processes of this process that still exist. */
function children(): string {
  return canListProcesses ? readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8') : '';
}

/**
 * Expects a program to end with one line on standard error and the given exit code, 2 by default, without a stack
 * trace, output or processes left behind.
 */
export async function expectRefused(
  program: ProgramName,
  args: readonly string[],
  message: RegExp,
  { code = 2, env = {} }: { readonly code?: number; readonly env?: Readonly<Record<string, string>> } = {},
): Promise<void> {
  const before = children();
  const { stderr, ...ended } = await runInside(program, args, env);
  expect(stderr).toMatch(new RegExp(`^${programs[program].speaksAs}: [^\\n]+\\n$`));
  expect(stderr).toMatch(message);
  expect(ended).toEqual({ code, stdout: '' });
  expect(children()).toBe(before);
}
