/** One training by the built coordinator, as a user starts it: a separate process that writes a report. */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CommandFailure } from '@lockstep/command';
import type { Report } from '@lockstep/train';
import type { CompareOptions } from '../options.ts';
import type { Training } from './grid.ts';

/**
 * The workers of a training: threads of one process without sockets; processes, including the coordinator's; worker
 * processes next to the coordinator; or browser tabs.
 */
export interface Workers {
  readonly kind: 'threads' | 'processes' | 'workers' | 'tabs';
  readonly count: number;
}

export function workersName({ kind, count }: Workers): string {
  return count === 1 ? `1 ${kind.slice(0, -1)}` : `${count} ${kind}`;
}

export type RunSettings = Pick<CompareOptions, 'seed' | 'backend' | 'threads' | 'data'> & {
  /** Folder for reports, which also holds the data of run-data.ts. */
  readonly folder: string;
};

/** Five epochs of MNIST, the coordinator's default. */
const imagesInDefaultRun = 300_000;

/** The coordinator's options for this training. */
function trainingArguments(training: Training, workers: Workers, settings: Omit<RunSettings, 'folder'>): string[] {
  const { modelOption, batch, learningRate, steps } = training;
  const { seed, backend, threads, data } = settings;
  return [
    ...computing(workers, threads),
    ...['--model', modelOption, '--batch', `${batch}`, '--steps', `${steps}`],
    // Always enough epochs, since each has at least one step; for most runs, the default number is enough.
    ...(data === undefined && steps * batch <= imagesInDefaultRun ? [] : ['--epochs', `${steps}`]),
    ...['--optimizer', 'sgd', '--lr', `${learningRate}`, '--seed', `${seed}`],
    ...(backend === 'auto' ? [] : ['--backend', backend]),
    ...(data === undefined ? [] : ['--data', data]),
  ];
}

function computing({ kind, count }: Workers, threadsOfWorker: number): string[] {
  switch (kind) {
    case 'threads':
      return ['--single', '--threads', `${count}`];
    case 'processes':
      return ['--colocate', '--workers', `${count - 1}`, '--threads', `${threadsOfWorker}`];
    case 'workers':
      return ['--workers', `${count}`, '--threads', `${threadsOfWorker}`];
    case 'tabs':
      return ['--workers', '0'];
  }
}

/** The command line that repeats this training. */
export function commandOf(training: Training, workers: Workers, settings: Omit<RunSettings, 'folder'>): string {
  const npm = workers.kind === 'tabs' ? 'npm run coordinator --' : 'npm start --';
  return [npm, ...trainingArguments(training, workers, settings)].join(' ');
}

/** @throws CommandFailure */
export async function runLockstep(training: Training, workers: Workers, settings: RunSettings): Promise<Report> {
  const run = new TrainingRun(training, workers, settings);
  await run.ended;
  return run.report();
}

const program = fileURLToPath(new URL('../../../coordinator/dist/main.js', import.meta.url));
const running = new Set<ChildProcess>();
let reports = 0;

/** Ends every running coordinator; each takes its workers with it. */
export function stopAll(): void {
  for (const child of running) child.kill('SIGTERM');
}

/** A training by a coordinator in a separate process. With tabs as workers, it waits for a start. */
export class TrainingRun {
  /** Resolves when the training ends successfully. @throws CommandFailure with the last sentence of its output */
  readonly ended: Promise<void>;
  readonly #file: string;
  readonly #child: ChildProcess;
  #stdout = '';
  #onOutput = (): void => {};

  constructor(training: Training, workers: Workers, settings: RunSettings) {
    reports += 1;
    this.#file = join(settings.folder, `run-${reports}.json`);
    const args = [
      workers.kind === 'tabs' ? 'coordinator' : 'start',
      ...trainingArguments(training, workers, settings),
      ...(workers.kind === 'threads' ? [] : ['--port', '0']),
      ...(workers.kind === 'tabs' ? ['--wait-for-start'] : []),
      ...['--report', this.#file],
    ];
    const child = spawn(process.execPath, [...process.execArgv, program, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, NO_COLOR: '1' },
    });
    this.#child = child;
    running.add(child);
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      this.#stdout += text;
      this.#onOutput();
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr = (stderr + text).slice(-2_000);
    });
    this.ended = new Promise((resolve, reject) => {
      const fail = (message: string): void => reject(new CommandFailure(message, 1));
      child.once('error', (error) => fail(`the coordinator cannot be started: ${error.message}`));
      child.once('close', (code, signal) => {
        running.delete(child);
        if (code === 0) resolve();
        else fail(`the coordinator ended with ${signal ?? `exit code ${code}`}${reasonIn(stderr)}`);
      });
    });
    // A caller that awaits only `printed` gets the failure from there.
    this.ended.catch(() => undefined);
  }

  /** The first group of the pattern, once the output matches it. @throws CommandFailure if the process ends first */
  printed(pattern: RegExp): Promise<string> {
    return new Promise((resolve, reject) => {
      this.#onOutput = () => {
        const found = pattern.exec(this.#stdout)?.[1];
        if (found !== undefined) resolve(found);
      };
      this.#onOutput();
      const missing = new CommandFailure(`the coordinator ended before it printed ${pattern}`, 1);
      this.ended.then(() => reject(missing), reject);
    });
  }

  /** The results, after the training has ended successfully. */
  async report(): Promise<Report> {
    return JSON.parse(await readFile(this.#file, 'utf8'));
  }

  stop(): void {
    this.#child.kill('SIGTERM');
  }
}

/** The sentence that says why a program failed. A crash ends with the engine's version, below its error. */
function reasonIn(stderr: string): string {
  const lines = stderr.trim().split('\n');
  const last = lines.findLast((line) => /^lockstep: |Error\b.*: /.test(line)) ?? lines.at(-1);
  return last ? `: ${last}` : '';
}
