/** Gets a browser for the tests where there is none: carries out what the plan says, quietly and within bounds. */
import { spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import { dirname, join, posix } from 'node:path';
import { findChromium, type Machine, noBrowserWanted, thisMachine } from './find.ts';
import { nextStep, type Way, wayTitles } from './plan.ts';

export interface EnsureOptions {
  readonly machine: Machine;
  /** Whether this process may install packages. */
  readonly isRoot: boolean;
  /** Runs a program and resolves with why it failed, in one line; undefined where it did not. */
  readonly run: (command: Command) => Promise<string | undefined>;
  /** Tells a person what takes long. */
  readonly say: (message: string) => void;
}

export interface Command {
  readonly program: string;
  readonly args: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly limitMs: number;
}

export type Ensured = { readonly path: string } | { readonly message: string };

const downloadLimitMs = 10 * 60_000;
const installLimitMs = 10 * 60_000;
const versionLimitMs = 60_000;

/** The commands of each way, in order. */
export function commandsOf(way: Way): readonly Command[] {
  switch (way) {
    case 'download': {
      const program = join(dirname(createRequire(import.meta.url).resolve('playwright-core/package.json')), 'cli.js');
      const args = [program, 'install', '--no-shell', '--no-progress', 'chromium'];
      return [{ program: process.execPath, args, limitMs: downloadLimitMs }];
    }
    case 'apt': {
      const environment = { DEBIAN_FRONTEND: 'noninteractive' };
      const apt = (...args: string[]): Command => ({ program: 'apt-get', args, environment, limitMs: installLimitMs });
      return [apt('update', '-qq'), apt('install', '-y', '-qq', '--no-install-recommends', 'chromium')];
    }
    default:
      return way satisfies never;
  }
}

export async function ensureBrowser(options: EnsureOptions): Promise<Ensured> {
  const { machine, isRoot, run, say } = options;
  const mayInstall = isRoot && canFind(machine, 'apt-get');
  const isUnwanted = machine.environment['CHROME_PATH'] === noBrowserWanted;
  const failed: { way: Way; reason: string }[] = [];
  let found = findChromium(machine);
  // What an earlier attempt has downloaded may not run here.
  const broken = found === machine.downloaded ? await versionFailure(found, options) : undefined;
  if (broken !== undefined) {
    failed.push({ way: 'download', reason: broken });
    found = undefined;
  }
  for (;;) {
    const step = nextStep({ found, isUnwanted, failed, mayInstall });
    switch (step.do) {
      case 'use':
        return { path: step.path };
      case 'skip':
        return { message: step.message };
      case 'try': {
        say(`No Chrome or Chromium is here; getting one (once): ${wayTitles[step.way]} …`);
        const reason = await attempt(step.way, run);
        found = reason === undefined ? findChromium(machine) : undefined;
        const cannotRun = found === undefined ? undefined : await versionFailure(found, options);
        if (cannotRun !== undefined) found = undefined;
        if (found === undefined) failed.push({ way: step.way, reason: reason ?? cannotRun ?? 'it brought none' });
        break;
      }
      default:
        step satisfies never;
    }
  }
}

async function attempt(way: Way, run: EnsureOptions['run']): Promise<string | undefined> {
  for (const command of commandsOf(way)) {
    const reason = await run(command);
    if (reason !== undefined) return reason;
  }
  return undefined;
}

/** What was downloaded may lack libraries of the system. On Windows, asking for the version would open a window. */
async function versionFailure(program: string, { machine, run }: EnsureOptions): Promise<string | undefined> {
  if (machine.platform === 'win32') return undefined;
  return run({ program, args: ['--version'], limitMs: versionLimitMs });
}

function canFind({ environment, exists }: Machine, program: string): boolean {
  return (environment['PATH'] ?? '').split(posix.delimiter).some((folder) => exists(posix.join(folder, program)));
}

/** Nothing is shown of what it prints but the line that says why it failed. */
export function runQuietly({ program, args, environment, limitMs }: Command): Promise<string | undefined> {
  return new Promise((resolve) => {
    const child = spawn(program, args, {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, ...environment },
      timeout: limitMs,
      killSignal: 'SIGKILL',
    });
    let text = '';
    child.stderr.setEncoding('utf8').on('data', (part: string) => {
      text = (text + part).slice(-16_384);
    });
    child.on('error', ({ message }) => resolve(message));
    child.on('exit', (code, signal) => {
      if (signal !== null) resolve(`it was ended after ${limitMs / 1000} s`);
      else resolve(code === 0 ? undefined : (errorLine(text) ?? `exit code ${code}`));
    });
  });
}

/** The line that says most: the first one that speaks of an error, else the last one. */
function errorLine(text: string): string | undefined {
  const lines = text.split('\n').flatMap((line) => (line.trim() === '' ? [] : [line.trim()]));
  const line = lines.find((each) => /^(E|Error|error): |error while loading/.test(each)) ?? lines.at(-1);
  return line?.slice(0, 200);
}

/** For this machine and its person. */
export function ensureBrowserHere(): Promise<Ensured> {
  return ensureBrowser({
    machine: thisMachine(),
    isRoot: process.getuid?.() === 0,
    run: runQuietly,
    say: (message) => void process.stderr.write(`${message}\n`),
  });
}
