/** A real Chromium on the page that the coordinator serves, with everything kept that a person would be annoyed by. */
import { browserFlags, findChromium } from '@lockstep/chromium';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll } from 'vitest';

const executablePath = findChromium();
/** For what a page does by itself, on a machine that does much else. */
const patienceMs = 120_000;

export const hasBrowser = executablePath !== undefined;

/** The name of a suite, or why it is skipped. */
export function inChromium(name: string): string {
  return hasBrowser
    ? `${name}, in Chromium`
    : `${name} (skipped: no browser found; run npx playwright-core install chromium, or set CHROME_PATH)`;
}

export interface Tab {
  readonly page: Page;
  /** Errors that the console showed or that nothing caught. */
  readonly errors: string[];
  /** Addresses outside the coordinator that were asked for. */
  readonly strangers: string[];
  /** What has moved so far, by itself: the score of each layout shift, and what it was. */
  layoutShifts(): Promise<readonly LayoutShift[]>;
}

export interface LayoutShift {
  readonly score: number;
  readonly what: readonly string[];
}

export interface TestBrowser {
  /** Opens the page in a profile of its own. */
  open(url: string, options?: BrowserContextOptions): Promise<Tab>;
}

declare const window: { layoutShifts: LayoutShift[] };

/** One browser for a file of tests. */
export function useBrowser(): TestBrowser {
  let browser: Browser | undefined;
  beforeAll(async () => {
    if (executablePath) browser = await chromium.launch({ executablePath, args: [...browserFlags] });
  });
  afterEach(async () => {
    await Promise.all((browser?.contexts() ?? []).map((context) => context.close()));
  });
  afterAll(() => browser?.close());
  return {
    async open(url, options = {}) {
      const context = await browser!.newContext(options);
      const page = await context.newPage();
      page.setDefaultTimeout(patienceMs);
      const errors: string[] = [];
      const strangers: string[] = [];
      page.on('pageerror', (error) => errors.push(error.message));
      page.on('console', (message) => {
        // A coordinator that has ended is looked for again; the browser tells of each attempt.
        const isSearch = /^WebSocket connection to .* failed/.test(message.text());
        if (message.type() === 'error' && !isSearch) errors.push(message.text());
      });
      context.on('request', (request) => {
        const { host, protocol } = new URL(request.url());
        if (host !== new URL(url).host && protocol !== 'blob:' && protocol !== 'data:') strangers.push(request.url());
      });
      await page.addInitScript(observeLayout);
      await page.goto(url);
      return { page, errors, strangers, layoutShifts: () => page.evaluate(() => window.layoutShifts) };
    },
  };
}

/** Runs in the page. */
function observeLayout(): void {
  interface Entry extends PerformanceEntry {
    readonly value: number;
    readonly hadRecentInput: boolean;
    readonly sources: readonly { readonly node: Node | null }[];
  }
  window.layoutShifts = [];
  new PerformanceObserver((list) => {
    for (const { value, hadRecentInput, sources } of list.getEntries() as Entry[]) {
      const what = sources.map(({ node }) => `${node?.nodeName}: ${node?.textContent?.slice(0, 60)}`);
      if (!hadRecentInput) window.layoutShifts.push({ score: value, what });
    }
  }).observe({ type: 'layout-shift', buffered: true });
}

/** Joins with what the page offers, and resolves when this tab has computed something. */
export async function joinRun(
  { page }: Tab,
  backend: 'auto' | 'cpu' | 'webgpu' | 'webgl',
  name: string,
): Promise<void> {
  await page.getByLabel('Name').fill(name);
  await page.getByLabel('Compute on').selectOption(backend);
  await page.getByRole('button', { name: 'Join', exact: true }).click();
}

/** Resolves when this tab has computed at least so many blocks since it joined. */
export async function computed(tab: Tab, blocks: number): Promise<void> {
  await tab.page.waitForFunction((least) => {
    const text = document.querySelector('.join-card .figures dd')?.textContent ?? '0';
    return Number(text.replaceAll(',', '')) >= least;
  }, blocks);
}

/** Resolves when this tab's panel says this. */
export async function says(tab: Tab, text: string | RegExp): Promise<void> {
  await tab.page.getByRole('region', { name: 'This tab' }).getByText(text).first().waitFor();
}
