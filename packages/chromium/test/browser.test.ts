/** Finding the browser that the tests run in, installing one if there is none, and opening pages in it. */
import { execFile } from 'node:child_process';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { temporaryFolder } from '../../train/test/folder.ts';
import { findChromium, installCommand, type Machine } from '../src/find.ts';
import { inChromium, openBuiltPage } from '../src/index.ts';
import { findOrInstall, type InstallCommand, methods, runQuietly } from '../src/install.ts';

const downloaded = '/home/me/.cache/ms-playwright/chromium/chrome';

function machineWith(files: readonly string[], changes: Partial<Machine> = {}): Machine {
  return {
    platform: 'linux',
    environment: { PATH: '/usr/local/bin:/usr/bin' },
    home: '/home/me',
    downloaded,
    exists: (path) => files.includes(path),
    ...changes,
  };
}

describe('a browser is found', () => {
  const mac: Partial<Machine> = { platform: 'darwin', home: '/Users/me' };
  const windows: Partial<Machine> = {
    platform: 'win32',
    environment: { Path: 'C:\\Windows;D:\\tools', PROGRAMFILES: 'C:\\Program Files', LOCALAPPDATA: 'C:\\Users\\me' },
  };
  const chrome = '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome';
  const edge = 'C:\\Program Files\\Microsoft\\Edge\\Application\\msedge.exe';
  const ownChrome = 'C:\\Users\\me\\Google\\Chrome\\Application\\chrome.exe';

  test.each<[name: string, files: string[], changes: Partial<Machine>, expected: string | undefined]>([
    ['nowhere', [], {}, undefined],
    ['on the PATH', ['/usr/bin/chromium'], {}, '/usr/bin/chromium'],
    [
      'on the PATH, Chromium before Chrome',
      ['/usr/local/bin/google-chrome', '/usr/bin/chromium'],
      {},
      '/usr/bin/chromium',
    ],
    [
      'by CHROME_PATH before the PATH',
      ['/mine', '/usr/bin/chromium'],
      { environment: { PATH: '/usr/bin', CHROME_PATH: '/mine' } },
      '/mine',
    ],
    [
      'on the PATH if CHROME_PATH leads nowhere',
      ['/usr/bin/chromium'],
      { environment: { PATH: '/usr/bin', CHROME_PATH: '/mine' } },
      '/usr/bin/chromium',
    ],
    [
      'never if CHROME_PATH is none',
      ['/usr/bin/chromium', downloaded],
      { environment: { PATH: '/usr/bin', CHROME_PATH: 'none' } },
      undefined,
    ],
    ['if nothing is on the PATH', ['/opt/google/chrome/chrome'], { environment: {} }, '/opt/google/chrome/chrome'],
    ['as Playwright downloaded it', [downloaded], {}, downloaded],
    ['before what Playwright downloaded', [downloaded, '/usr/bin/chrome'], {}, '/usr/bin/chrome'],
    ['on a Mac', [chrome], mac, chrome],
    ['on a Mac, in the folder of the user', [`/Users/me${chrome}`], mac, `/Users/me${chrome}`],
    ['on Windows, in the folder of the user, before Edge', [edge, ownChrome], windows, ownChrome],
    ['on Windows, Edge', [edge], windows, edge],
    ['on Windows, on the PATH', [edge, 'D:\\tools\\chrome.exe'], windows, 'D:\\tools\\chrome.exe'],
  ])('%s', (_, files, changes, expected) => {
    expect(findChromium(machineWith(files, changes))).toBe(expected);
  });
});

describe('installing a browser', () => {
  const line = ({ program, args }: InstallCommand): string => [program, ...args].join(' ');

  /**
   * Installs on a machine with `files`. A command whose line ends with a key of `outcomes` creates the file that it
   * `brings`, or fails for the given reason.
   */
  async function install(
    files: string[],
    outcomes: Readonly<Record<string, { brings: string } | { fails: string }>>,
    { isRoot = true, ...changes }: Partial<Machine> & { isRoot?: boolean } = {},
  ) {
    const ran: string[] = [];
    const logged: string[] = [];
    const result = await findOrInstall({
      machine: machineWith(files, changes),
      isRoot,
      async run(command) {
        ran.push(line(command));
        const outcome = Object.entries(outcomes).find(([end]) => line(command).endsWith(end))?.[1];
        if (outcome && 'fails' in outcome) return outcome.fails;
        if (outcome) files.push(outcome.brings);
        return undefined;
      },
      log: (message) => logged.push(message),
    });
    return { result, ran, logged };
  }

  const [download] = methods.download.commands().map(line);
  const installs = ['apt-get update -qq', 'apt-get install -y -qq --no-install-recommends chromium'] as const;
  const installed = '/usr/bin/chromium';
  const apt = '/usr/bin/apt-get';

  const noNetwork = { '--no-progress chromium': { fails: 'no network' } };
  const skipped = (reasons: string) => ({
    reason: `the browser tests are skipped: no Chrome or Chromium was found, and ${reasons}; run ${installCommand}, or set CHROME_PATH`,
  });

  test.each([
    ['there is one', {}, { path: installed }],
    ['CHROME_PATH is none', { CHROME_PATH: 'none' }, { reason: 'the browser tests are skipped: CHROME_PATH is none' }],
  ])('runs nothing if %s', async (_, environment, result) => {
    const machine = { environment: { PATH: '/usr/bin', ...environment } };
    expect(await install([installed, apt], {}, machine)).toEqual({ result, ran: [], logged: [] });
  });

  test.each([[[apt]], [[]]])('downloads it, and sees that it runs, on a machine with %j', async (files) => {
    const outcomes = { '--no-progress chromium': { brings: downloaded } };
    const { result, ran, logged } = await install([...files], outcomes);
    expect(result).toEqual({ path: downloaded });
    expect(ran).toEqual([download, `${downloaded} --version`]);
    expect(logged).toHaveLength(1);
  });

  test('does not ask for the version on Windows, where that would open a window', async () => {
    const outcomes = { '--no-progress chromium': { brings: downloaded } };
    const { result, ran } = await install([], outcomes, { platform: 'win32', isRoot: false });
    expect(result).toEqual({ path: downloaded });
    expect(ran).toEqual([download]);
  });

  test('installs the package if nothing can be downloaded', async () => {
    const { result, ran, logged } = await install([apt], { ...noNetwork, [installs[1]]: { brings: installed } });
    expect(result).toEqual({ path: installed });
    expect(ran).toEqual([download, ...installs, `${installed} --version`]);
    expect(logged).toHaveLength(2);
  });

  test('installs the package if the download does not run, now or an earlier time', async () => {
    const outcomes = {
      '--no-progress chromium': { brings: downloaded },
      [`${downloaded} --version`]: { fails: 'libnss3.so: cannot open' },
      [installs[1]]: { brings: installed },
    };
    const first = await install([apt], outcomes);
    expect(first.result).toEqual({ path: installed });
    expect(first.ran).toEqual([download, `${downloaded} --version`, ...installs, `${installed} --version`]);
    const later = await install([apt, downloaded], outcomes);
    expect(later.result).toEqual({ path: installed });
    expect(later.ran).toEqual([`${downloaded} --version`, ...installs, `${installed} --version`]);
  });

  test('says in one sentence why all methods failed', async () => {
    const { result } = await install([apt], { ...noNetwork, [installs[1]]: { fails: 'no such package' } });
    const reasons = "Playwright's download failed (no network) and Debian's package failed (no such package)";
    expect(result).toEqual(skipped(reasons));
    const { result: empty } = await install([apt], noNetwork);
    expect(empty).toEqual(
      skipped("Playwright's download failed (no network) and Debian's package failed (it brought none)"),
    );
  });

  test.each([
    ['without root', [apt], false],
    ['without apt-get', [], true],
  ])('tries the download alone %s', async (_, files, isRoot) => {
    const { result, ran } = await install([...files], noNetwork, { isRoot });
    expect(result).toEqual(skipped("Playwright's download failed (no network)"));
    expect(ran).toEqual([download]);
  });
});

describe.skipIf(process.platform === 'win32')('a program', () => {
  const folder = temporaryFolder();

  const script = async (name: string, text: string): Promise<string> => {
    const file = join(folder, name);
    await writeFile(file, `#!/bin/sh\n${text}\n`);
    await chmod(file, 0o755);
    return file;
  };

  test.each([
    ['succeeds', 'echo much; exit 0', undefined],
    ['prints why it fails', 'echo "E: no such package" >&2; echo "more" >&2; exit 100', 'E: no such package'],
    ['fails and prints nothing', 'exit 3', 'exit code 3'],
  ])('that %s', async (name, text, reason) => {
    const program = await script(name.replaceAll(' ', '-'), text);
    expect(await runQuietly({ program, args: [], limitMs: 60_000 })).toBe(reason);
  });

  test('that never ends is ended', async () => {
    const program = await script('endless', 'exec sleep 3600');
    expect(await runQuietly({ program, args: [], limitMs: 200 })).toBe('it was ended after 0.2 s');
  });

  test('that is not there', async () => {
    expect(await runQuietly({ program: join(folder, 'missing'), args: [], limitMs: 1_000 })).toMatch(/ENOENT/);
  });

  test("Playwright's installer takes the options that it is given", async () => {
    const [{ program, args }] = methods.download.commands() as [InstallCommand];
    const dryRun = await new Promise<string>((resolve, reject) => {
      execFile(program, [...args, '--dry-run'], (error, stdout) => (error ? reject(error) : resolve(stdout)));
    });
    expect(dryRun).toMatch(/chromium/i);
    expect(dryRun).not.toMatch(/headless shell/i);
  });
});

const executablePath = findChromium();

describe.skipIf(!executablePath)(inChromium('a built page'), { timeout: 300_000, retry: 1 }, () => {
  const folder = temporaryFolder();

  test('a page of TypeScript runs minified, its errors are kept, and nothing is left when it is closed', async () => {
    const root = join(folder, 'page');
    await mkdir(root);
    await writeFile(join(root, 'index.html'), '<!doctype html><script type="module" src="./page.ts"></script>');
    await writeFile(
      join(root, 'page.ts'),
      "const answer: number = [6, 7].reduce((left: number, right: number) => left * right);\nObject.assign(globalThis, { answer });\nthrow new Error('out of paper');\n",
    );
    const open = await openBuiltPage({ root, executablePath: executablePath! });
    try {
      expect(await open.page.evaluate('answer')).toBe(42);
      expect(open.errors).toEqual(['out of paper']);
      const address = open.page.url();
      const missing = await fetch(new URL('missing.js', address));
      expect(missing.status).toBe(404);
      await open.close();
      await expect(fetch(address)).rejects.toThrow();
    } finally {
      await open.close();
    }
  });

  test('a page that cannot be built is an error', async () => {
    await expect(openBuiltPage({ root: join(folder, 'nothing'), executablePath: executablePath! })).rejects.toThrow();
  });
});
