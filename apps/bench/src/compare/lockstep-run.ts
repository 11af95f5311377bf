/** One training by the built coordinator, as a person starts it: a process of its own that leaves a report. */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CommandFailure } from '@lockstep/command';
import type { Report } from '@lockstep/train';
import type { Training } from './grid.ts';

export type { Report };

/** Who computes: one process without sockets, or so many worker processes. */
export type Crew = { readonly kind: 'single' } | { readonly kind: 'workers' | 'tabs'; readonly count: number };

export interface RunSettings {
  readonly seed: number;
  readonly backend: string;
  readonly threads: number;
  readonly data: string | undefined;
  /** Where reports go. */
  readonly folder: string;
}

export const coordinatorProgram = fileURLToPath(new URL('../../../coordinator/dist/main.js', import.meta.url));

/** Five epochs of MNIST. */
const imagesInUsualRun = 300_000;

/** The command line after `npm start --` that trains the same. */
export function trainingArguments(training: Training, crew: Crew, settings: Omit<RunSettings, 'folder'>): string[] {
  const { modelOption, batch, learningRate, steps } = training;
  const { seed, backend, threads, data } = settings;
  const who = crew.kind === 'single' ? ['--single'] : ['--workers', crew.kind === 'tabs' ? '0' : `${crew.count}`];
  return [
    ...who,
    ...['--model', modelOption, '--batch', `${batch}`, '--steps', `${steps}`],
    // An epoch has at least one step; the usual number of epochs is enough for most runs.
    ...(data === undefined && steps * batch <= imagesInUsualRun ? [] : ['--epochs', `${steps}`]),
    ...['--optimizer', 'sgd', '--lr', `${learningRate}`, '--seed', `${seed}`],
    ...(backend === 'auto' ? [] : ['--backend', backend]),
    ...(threads === 1 || crew.kind !== 'workers' ? [] : ['--threads', `${threads}`]),
    ...(data === undefined ? [] : ['--data', data]),
  ];
}

/** A coordinator that was started. */
export interface Started {
  /** Resolves with the first group of what it prints and the pattern finds. @throws CommandFailure when it ends before. */
  printed(pattern: RegExp): Promise<string>;
  /** Resolves when it has ended well. @throws CommandFailure with its last sentence. */
  readonly ended: Promise<void>;
  /** Asks it to end, where it has not. */
  end(): void;
}

const running = new Set<ChildProcess>();

/** Ends every coordinator that is still at work; each takes its workers with it. */
export function stopAll(): void {
  for (const child of running) child.kill('SIGTERM');
}

export function startCoordinator(args: readonly string[]): Started {
  const child = spawn(process.execPath, [...process.execArgv, coordinatorProgram, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, NO_COLOR: '1' },
  });
  running.add(child);
  let stdout = '';
  let stderr = '';
  let check = (): void => {};
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
    check();
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr = (stderr + text).slice(-2_000);
  });
  const ended = new Promise<void>((resolve, reject) => {
    const fail = (message: string): void => reject(new CommandFailure(message, 1));
    child.once('error', (error) => fail(`the coordinator cannot be started: ${error.message}`));
    child.once('close', (code, signal) => {
      running.delete(child);
      const lines = stderr.trim().split('\n');
      // A crash ends with the engine's version; what happened stands above.
      const last = lines.findLast((line) => /^lockstep: |Error\b.*: /.test(line)) ?? lines.at(-1);
      if (code === 0) resolve();
      else fail(`the coordinator ended with ${signal ?? `exit code ${code}`}${last ? `: ${last}` : ''}`);
    });
  });
  // Who awaits nothing but what is printed hears of the end there.
  ended.catch(() => undefined);
  return {
    ended,
    end: () => void child.kill('SIGTERM'),
    printed: (pattern) =>
      new Promise((resolve, reject) => {
        check = () => {
          const found = pattern.exec(stdout)?.[1];
          if (found !== undefined) resolve(found);
        };
        check();
        ended.then(() => reject(new CommandFailure(`the coordinator ended before it printed ${pattern}`, 1)), reject);
      }),
  };
}

let reports = 0;

export function nextReportFile(folder: string): string {
  reports += 1;
  return join(folder, `run-${reports}.json`);
}

export async function readReport(file: string): Promise<Report> {
  return JSON.parse(await readFile(file, 'utf8')) as Report;
}

/** Trains once and reads what came of it. @throws CommandFailure. */
export async function runLockstep(training: Training, crew: Crew, settings: RunSettings): Promise<Report> {
  const file = nextReportFile(settings.folder);
  const network = crew.kind === 'single' ? [] : ['--port', '0'];
  await startCoordinator(['start', ...trainingArguments(training, crew, settings), ...network, '--report', file]).ended;
  return readReport(file);
}
