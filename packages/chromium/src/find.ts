/** Finds a Chromium and a Firefox on this machine, and titles the suites that need one. */
import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { posix, win32 } from 'node:path';
import { chromium } from 'playwright-core';

/** The part of a machine that the search reads; tests bring their own. */
export interface Machine {
  readonly platform: NodeJS.Platform;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly home: string;
  /** Path of the browser that Playwright downloads. */
  readonly downloaded: string;
  readonly exists: (path: string) => boolean;
}

export function thisMachine(): Machine {
  return {
    platform: process.platform,
    environment: process.env,
    home: homedir(),
    downloaded: chromium.executablePath(),
    exists: existsSync,
  };
}

/** The value of CHROME_PATH and of FIREFOX_PATH that skips the tests in that browser. */
export const noBrowserWanted = 'none';

/**
 * Returns the path of a Chromium: from CHROME_PATH, the PATH, its usual installation folders, or Playwright's download.
 * Returns undefined if there is none, or if CHROME_PATH is `none`.
 */
export function findChromium(machine: Machine = thisMachine()): string | undefined {
  const places = [...onPath(chromiumCommands, machine), ...usualPlaces(machine), machine.downloaded];
  return find(machine.environment['CHROME_PATH'], places, machine);
}

/** Returns the path of a Firefox: from FIREFOX_PATH, the PATH, or where it is installed by default. */
export function findFirefox(): string | undefined {
  const machine = thisMachine();
  const places = [...onPath(['firefox-esr', 'firefox'], machine), ...firefoxPlaces(machine)];
  return find(machine.environment['FIREFOX_PATH'], places, machine);
}

function find(named: string | undefined, places: readonly string[], { exists }: Machine): string | undefined {
  if (named === noBrowserWanted) return undefined;
  return [named, ...places].find((path) => path !== undefined && path !== '' && exists(path));
}

function firefoxPlaces({ environment }: Machine): string[] {
  const folders = ['PROGRAMFILES', 'PROGRAMFILES(X86)'].flatMap((name) => environment[name] ?? []);
  const onWindows = folders.map((folder) => win32.join(folder, 'Mozilla Firefox', 'firefox.exe'));
  return ['/Applications/Firefox.app/Contents/MacOS/firefox', ...onWindows];
}

const chromiumCommands = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable', 'chrome'];

function onPath(commands: readonly string[], { platform, environment }: Machine): string[] {
  const { delimiter, join } = platform === 'win32' ? win32 : posix;
  const suffix = platform === 'win32' ? '.exe' : '';
  // Windows uses either spelling.
  const folders = (environment['PATH'] ?? environment['Path'] ?? '').split(delimiter).filter((folder) => folder !== '');
  return commands.flatMap((command) => folders.map((folder) => join(folder, command + suffix)));
}

/** Includes Edge, which is a Chromium too and comes with every Windows. */
function usualPlaces({ platform, environment, home }: Machine): string[] {
  switch (platform) {
    case 'darwin': {
      const programs = ['Google Chrome', 'Chromium', 'Microsoft Edge'];
      return programs.flatMap((name) =>
        ['/', home].map((folder) => posix.join(folder, 'Applications', `${name}.app`, 'Contents', 'MacOS', name)),
      );
    }
    case 'win32': {
      const folders = ['PROGRAMFILES', 'PROGRAMFILES(X86)', 'LOCALAPPDATA'].flatMap((name) => environment[name] ?? []);
      const programs = [
        ['Google', 'Chrome', 'Application', 'chrome.exe'],
        ['Chromium', 'Application', 'chrome.exe'],
        ['Microsoft', 'Edge', 'Application', 'msedge.exe'],
      ];
      return programs.flatMap((parts) => folders.map((folder) => win32.join(folder, ...parts)));
    }
    default:
      return ['/opt/google/chrome/chrome', '/snap/bin/chromium'];
  }
}

/** Command for the user, to run in the project's folder. */
export const installCommand = 'npx pnpm --filter @lockstep/chromium exec playwright-core install --with-deps chromium';

/** Returns `name, in Chromium`, or the name with the reason why the suite is skipped. */
export function inChromium(name: string): string {
  if (findChromium() !== undefined) return `${name}, in Chromium`;
  const reason =
    process.env['CHROME_PATH'] === noBrowserWanted
      ? 'CHROME_PATH is none'
      : `no browser found; run ${installCommand}, or set CHROME_PATH`;
  return `${name} (skipped: ${reason})`;
}

/** Returns `name, in Firefox`, or the name with the reason why the suite is skipped. */
export function inFirefox(name: string): string {
  if (findFirefox() !== undefined) return `${name}, in Firefox`;
  return `${name} (skipped: no Firefox found; install one, or set FIREFOX_PATH)`;
}
