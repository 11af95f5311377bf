/** Installs a browser for the tests if there is none, quietly and within time limits. */
import { spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import { dirname, join, posix } from 'node:path';
import { findChromium, installCommand, type Machine, noBrowserWanted, thisMachine } from './find.ts';

export interface InstallCommand {
  readonly program: string;
  readonly args: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly limitMs: number;
}

interface InstallOptions {
  readonly machine: Machine;
  /** Whether this process may install packages. */
  readonly isRoot: boolean;
  /** Runs a program and resolves with the reason of its failure, in one line; undefined if it succeeded. */
  readonly run: (command: InstallCommand) => Promise<string | undefined>;
  readonly log: (message: string) => void;
}

/** Path of a browser that runs, or the reason why there is none. */
type InstallResult = { readonly path: string } | { readonly reason: string };

const installLimitMs = 10 * 60_000;
const versionLimitMs = 60_000;

/** Ways to get a browser: commands that run in order. */
export const methods = {
  download: {
    title: "Playwright's download",
    commands(): readonly InstallCommand[] {
      const program = join(dirname(createRequire(import.meta.url).resolve('playwright-core/package.json')), 'cli.js');
      const args = [program, 'install', '--no-shell', '--no-progress', 'chromium'];
      return [{ program: process.execPath, args, limitMs: installLimitMs }];
    },
  },
  apt: {
    title: "Debian's package",
    commands(): readonly InstallCommand[] {
      const environment = { DEBIAN_FRONTEND: 'noninteractive' };
      const apt = (...args: string[]): InstallCommand => ({
        program: 'apt-get',
        args,
        environment,
        limitMs: installLimitMs,
      });
      return [apt('update', '-qq'), apt('install', '-y', '-qq', '--no-install-recommends', 'chromium')];
    },
  },
};

/** Returns a browser of this machine, Playwright's download, Debian's package, or else a sentence with what to do. */
export async function findOrInstall(options: InstallOptions): Promise<InstallResult> {
  const { machine, isRoot, log } = options;
  if (machine.environment['CHROME_PATH'] === noBrowserWanted) {
    return { reason: 'the browser tests are skipped: CHROME_PATH is none' };
  }
  const found = findChromium(machine);
  if (found !== undefined && found !== machine.downloaded) return { path: found };
  const tried: (keyof typeof methods)[] = isRoot && hasApt(machine) ? ['download', 'apt'] : ['download'];
  const failures: string[] = [];
  for (const method of tried) {
    const isInstalled = method === 'download' && found !== undefined;
    if (!isInstalled) log(`No Chrome or Chromium is here; getting one (once): ${methods[method].title} …`);
    const result = await tryMethod(method, isInstalled, options);
    if ('path' in result) return result;
    failures.push(`${methods[method].title} failed (${result.reason})`);
  }
  const reasons = `no Chrome or Chromium was found, and ${failures.join(' and ')}`;
  return { reason: `the browser tests are skipped: ${reasons}; run ${installCommand}, or set CHROME_PATH` };
}

/** Returns the browser that a method installs, if it runs: a download may lack libraries of the system. */
async function tryMethod(
  method: keyof typeof methods,
  isInstalled: boolean,
  { machine, run }: InstallOptions,
): Promise<InstallResult> {
  for (const command of isInstalled ? [] : methods[method].commands()) {
    const reason = await run(command);
    if (reason !== undefined) return { reason };
  }
  const path = findChromium(machine);
  if (path === undefined) return { reason: 'it brought none' };
  // On Windows, asking for the version would open a window.
  if (machine.platform === 'win32') return { path };
  const reason = await run({ program: path, args: ['--version'], limitMs: versionLimitMs });
  return reason === undefined ? { path } : { reason };
}

function hasApt({ environment, exists }: Machine): boolean {
  return (environment['PATH'] ?? '').split(posix.delimiter).some((folder) => exists(posix.join(folder, 'apt-get')));
}

/** Resolves with the line of standard error that says why the program failed; undefined if it succeeded. */
export function runQuietly({ program, args, environment, limitMs }: InstallCommand): Promise<string | undefined> {
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

/** Returns the first line that names an error, else the last line. */
function errorLine(text: string): string | undefined {
  const lines = text.split('\n').flatMap((line) => (line.trim() === '' ? [] : [line.trim()]));
  const line = lines.find((each) => /^(E|Error|error): |error while loading/.test(each)) ?? lines.at(-1);
  return line?.slice(0, 200);
}

/** The path of a browser for the tests, installed if there is none; `none`, with the reason on stderr, if that fails. */
export async function browserForTests(): Promise<string> {
  const result = await findOrInstall({
    machine: thisMachine(),
    isRoot: process.getuid?.() === 0,
    run: runQuietly,
    log: (message) => void process.stderr.write(`${message}\n`),
  });
  if ('path' in result) return result.path;
  process.stderr.write(`lockstep: ${result.reason}\n`);
  return noBrowserWanted;
}
