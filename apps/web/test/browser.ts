/** A real Chromium on the page that the coordinator serves, with everything kept that a person would be annoyed by. */
import { browserFlags, findChromium } from '@lockstep/chromium';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll } from 'vitest';
import type { Place } from './run.ts';

const executablePath = findChromium();
/** For what a page does by itself, on a machine that does much else. */
const patienceMs = 150_000;
/** What a test may take that waits for a page: more than one wait may, so that the wait that fails says what it was. */
export const testPatienceMs = 300_000;

export const hasBrowser = executablePath !== undefined;

export { inChromium } from '@lockstep/chromium';

export interface Tab {
  readonly page: Page;
  /** What it shows. */
  readonly run: Place;
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
  /** Takes the GPU away from every tab, as a driver that fails does. */
  crashGpu(): Promise<void>;
  /** Opens the page in a profile of its own, at one of the addresses that the coordinator printed. */
  open(run: Place, address?: 'page' | 'owner' | 'join', options?: BrowserContextOptions): Promise<Tab>;
}

declare const window: { layoutShifts: LayoutShift[] };

/** A name that leads to this machine and is none of its own, as a stranger's name server could make it. */
export const foreignName = 'foreign.example';
const args = [...browserFlags, `--host-resolver-rules=MAP ${foreignName} 127.0.0.1`];

/** One browser for a file of tests. */
export function useBrowser(): TestBrowser {
  let browser: Browser | undefined;
  beforeAll(async () => {
    if (executablePath) browser = await chromium.launch({ executablePath, args, timeout: patienceMs });
  }, testPatienceMs);
  afterEach(async () => {
    await Promise.all((browser?.contexts() ?? []).map((context) => context.close()));
  });
  afterAll(() => browser?.close());
  return {
    async crashGpu() {
      const session = await browser!.newBrowserCDPSession();
      await session.send('Browser.crashGpuProcess');
      await session.detach();
    },
    async open(run, address = 'page', options = {}) {
      const url = run[address];
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
      return { page, run, errors, strangers, layoutShifts: () => page.evaluate(() => window.layoutShifts) };
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

/** Resolves as `wait` does, or fails with a sentence as soon as the tab's run has ended: then it would wait in vain. */
export async function during<T>({ run }: Tab, what: string, wait: Promise<T>): Promise<T> {
  const ended = run.ended.then((message) => {
    throw new Error(`expected ${what}, but the run is over: ${message}`);
  });
  return Promise.race([wait, ended]);
}

/** Resolves when the page shows this. */
export async function shows(tab: Tab, text: string | RegExp, options: { exact?: boolean } = {}): Promise<void> {
  await during(tab, `the page to show ${text}`, tab.page.getByText(text, options).first().waitFor());
}

/** Resolves when this tab's panel says this, while the run goes on. */
export async function says(tab: Tab, text: string | RegExp): Promise<void> {
  await during(tab, `the tab to say ${text}`, saysAtLast(tab, text));
}

/** As `says`, for what a tab says of a run that has ended. */
export async function saysAtLast(tab: Tab, text: string | RegExp): Promise<void> {
  await tab.page.getByRole('region', { name: 'This tab' }).getByText(text).first().waitFor();
}

/** Presses the button of this name. */
export async function press(tab: Tab, name: string | RegExp): Promise<void> {
  const button = tab.page.getByRole('button', { name, exact: true });
  await during(tab, `a button ${name} to be pressed`, button.click());
}

/** Joins with what the page offers. */
export async function joinRun(tab: Tab, backend: 'auto' | 'cpu' | 'webgpu' | 'webgl', name: string): Promise<void> {
  await tab.page.getByLabel('Name').fill(name);
  await tab.page.getByLabel('Compute on').selectOption(backend);
  await press(tab, 'Join');
}

/** Resolves when the table has so many workers that take part. */
export async function workersReady(tab: Tab, count: number): Promise<void> {
  const ready = tab.page.locator('tr.worker').filter({ hasText: /good/ });
  await during(tab, `${count} workers that take part`, ready.nth(count - 1).waitFor());
}

/** Resolves with the number of shards that this tab has computed since it joined, when it is at least so many. */
export async function computed(tab: Tab, shards: number): Promise<number> {
  const what = `the tab to compute ${shards} shards`;
  const seen = tab.page.waitForFunction((least) => {
    if (document.querySelector('.join-card .pill-ended')) {
      return { message: document.querySelector('.join-card .join-text')?.textContent ?? 'it has ended', count: 0 };
    }
    const text = document.querySelector('.join-card .figures dd')?.textContent ?? '0';
    const count = Number(text.replaceAll(',', ''));
    return count >= least ? { message: undefined, count } : false;
  }, shards);
  const result = await (await during(tab, what, seen)).jsonValue();
  if (result === false || result.message !== undefined) {
    throw new Error(`expected ${what}, got: ${result === false ? 'nothing' : result.message}`);
  }
  return result.count;
}

/** Messages of this many bytes and more carry gradients. */
const gradientBytes = 100_000;

/**
 * From its next gradient on, this tab's worker computes and does not answer: its step is as good as half done.
 * Resolves when it holds one.
 */
export async function holdGradients(tab: Tab): Promise<void> {
  const [worker] = tab.page.workers();
  if (!worker) throw new Error('expected a tab whose worker runs');
  const held = worker.evaluate(
    (least) =>
      new Promise<void>((resolve) => {
        const { send } = WebSocket.prototype;
        WebSocket.prototype.send = function (data) {
          if (ArrayBuffer.isView(data) && data.byteLength >= least) resolve();
          else send.call(this, data);
        };
      }),
    gradientBytes,
  );
  await during(tab, 'the tab to hold a gradient', held);
}
