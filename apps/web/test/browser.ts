/** A real Chromium, which all files of one process share. */
import { browserFlags, findChromium, inChromium } from '@lockstep/chromium';
import { type Browser, type BrowserContextOptions, chromium } from 'playwright-core';
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

/** Describes tests in Chromium; skips them by name if Chromium is not installed. */
export function describePage(name: string, define: (suite: PageSuite) => void): void {
  const executablePath = findChromium() ?? '';
  describe.skipIf(executablePath === '')(inChromium(name), { timeout: testTimeoutMs }, () => {
    define({ browser: useBrowser(executablePath), folder: temporaryFolder() });
  });
}

/** Launched when the first tab is opened; ends with this process. */
let launched: Promise<Browser> | undefined;

function useBrowser(executablePath: string): TestBrowser {
  // A webcam that shows a moving pattern, and that pages may use.
  const webcam = ['--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream'];
  const args = [...browserFlags, ...webcam, `--host-resolver-rules=MAP ${foreignName} 127.0.0.1`];
  // Playwright would keep a process that is told to end.
  const endsWithProcess = { handleSIGINT: false, handleSIGTERM: false, handleSIGHUP: false };
  const launch = (): Promise<Browser> => {
    launched ??= chromium.launch({ executablePath, args, timeout: testTimeoutMs / 2, ...endsWithProcess });
    return launched;
  };
  let hasCrashed = false;
  afterEach(async () => {
    const browser = await launched;
    await Promise.all((browser?.contexts() ?? []).map((context) => context.close()));
  });
  afterAll(async () => {
    if (!hasCrashed) return;
    // After a few crashes Chromium does without the GPU.
    await (await launched)?.close();
    launched = undefined;
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
