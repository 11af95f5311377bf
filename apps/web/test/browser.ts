/** A real Chromium and a real Firefox, which all files of one process share. */
import { createRequire } from 'node:module';
import { browserFlags, findChromium, findFirefox, inChromium, inFirefox } from '@lockstep/chromium';
import { type Browser, type BrowserContextOptions, chromium, firefox } from 'playwright-core';
import { afterAll, afterEach, describe } from 'vitest';
import { temporaryFolder } from '../../../packages/train/test/folder.ts';
import type { RunAddresses } from './run.ts';
import { openTab, type Tab } from './tab.ts';

/** Longer than any wait of a tab, so that the wait times out first and names what it waited for. */
const testTimeoutMs = 300_000;

/** A host name that resolves to this machine but is not its own, as in a DNS rebinding attack. */
export const foreignName = 'foreign.example';

export interface TestBrowser {
  /** Takes the GPU away from every tab, like a failing driver. */
  crashGpu(): Promise<void>;
  /** Opens one of the run's addresses in a separate profile. */
  open(run: RunAddresses, address?: 'page' | 'owner' | 'join', options?: BrowserContextOptions): Promise<Tab>;
}

export interface PageSuite {
  readonly browser: TestBrowser;
  /** A folder that is removed after the tests. */
  readonly folder: string;
}

/** Describes tests in a browser; skips them by name if the browser is not installed. */
export function describePage(
  name: string,
  define: (suite: PageSuite) => void,
  browserName: keyof typeof browsers = 'chromium',
): void {
  const { find, title, launch } = browsers[browserName];
  const executablePath = find() ?? '';
  // A browser beside two others on a busy machine is at times too late for reasons of its own.
  describe.skipIf(executablePath === '')(title(name), { timeout: testTimeoutMs, retry: 1 }, () => {
    define({ browser: useBrowser(browserName, () => launch(executablePath)), folder: temporaryFolder() });
  });
}

const launchOptions = {
  timeout: testTimeoutMs / 2,
  // Playwright would keep a process that is told to end.
  ...{ handleSIGINT: false, handleSIGTERM: false, handleSIGHUP: false },
};

const browsers = {
  chromium: {
    find: findChromium,
    title: inChromium,
    launch: (executablePath: string) =>
      chromium.launch({
        ...launchOptions,
        executablePath,
        // The webcam shows a moving pattern, and pages may use it.
        args: [
          ...browserFlags,
          ...['--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream'],
          `--host-resolver-rules=MAP ${foreignName} 127.0.0.1`,
        ],
      }),
  },
  firefox: { find: findFirefox, title: inFirefox, launch: launchFirefox },
} as const;

/** Launches a Firefox as people have it, which Playwright drives by WebDriver BiDi. */
function launchFirefox(executablePath: string): Promise<Browser> {
  type Socket = { readonly prototype: { send(data: unknown, ...rest: unknown[]): void } };
  const { ws } = createRequire(import.meta.url)('playwright-core/lib/utilsBundle') as { readonly ws: Socket };
  const { send } = ws.prototype;
  // Playwright sends this command for each page, and Firefox 153 lacks it: pages keep the color scheme that they have.
  ws.prototype.send = function (data, ...rest) {
    const isLacking = typeof data === 'string' && data.includes('"emulation.setMediaFeaturesOverride"');
    const { id } = isLacking ? (JSON.parse(data) as { readonly id: number }) : {};
    send.call(this, isLacking ? JSON.stringify({ id, method: 'session.status', params: {} }) : data, ...rest);
  };
  return firefox.launch({ ...launchOptions, executablePath, channel: 'moz-firefox' });
}

/** Launched when their first tab is opened. Chromium ends with this process, Firefox with its file. */
const launched: Partial<Record<keyof typeof browsers, Promise<Browser>>> = {};

function useBrowser(name: keyof typeof browsers, start: () => Promise<Browser>): TestBrowser {
  const launch = (): Promise<Browser> => {
    launched[name] ??= start();
    return launched[name];
  };
  let hasCrashed = false;
  afterEach(async () => {
    const browser = await launched[name];
    await Promise.all((browser?.contexts() ?? []).map((context) => context.close()));
    if (!hasCrashed) return;
    // After a few crashes Chromium does without the GPU.
    await browser?.close();
    delete launched[name];
    hasCrashed = false;
  });
  afterAll(async () => {
    if (name !== 'firefox') return;
    await (await launched[name])?.close();
    delete launched[name];
  });
  return {
    async crashGpu() {
      hasCrashed = true;
      const session = await (await launch()).newBrowserCDPSession();
      await session.send('Browser.crashGpuProcess');
      await session.detach();
    },
    async open(run, address = 'page', options = {}) {
      const browser = await launch();
      return openTab(await browser.newContext(options), run, run[address]);
    },
  };
}
