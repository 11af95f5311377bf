/** Headless browser tabs as workers: each in its own profile, on the page that the coordinator serves. */
import { browserFlags, findChromium } from '@lockstep/chromium';
import { usageFailure } from '@lockstep/command';
import type { Report } from '@lockstep/train';
import { type Browser, type BrowserContext, chromium } from 'playwright-core';
import type { Training } from './grid.ts';
import { type RunSettings, TrainingRun } from './lockstep-run.ts';

/** Time limit for a browser or a tab on a busy machine. */
const timeoutMs = 120_000;
/** A disconnected tab reconnects forever, so a run with only tabs might never end. */
const longestRunMs = 600_000;

export type Tabs = Awaited<ReturnType<typeof openTabs>>;

/** A browser whose tabs work for one run after another. @throws CommandFailure if this machine has no Chromium */
export async function openTabs() {
  const executablePath = findChromium();
  if (executablePath === undefined) {
    throw usageFailure(
      '--browser: expected a Chromium on this machine, found none; set CHROME_PATH to the path of one',
    );
  }
  const browser = await chromium.launch({ executablePath, args: [...browserFlags], timeout: timeoutMs });
  return {
    /**
     * Trains once with this number of tabs; the run starts when all have joined.
     * @throws Error with one sentence
     */
    run: (training: Training, count: number, settings: RunSettings) => train(browser, training, count, settings),
    close: (): Promise<void> => browser.close(),
  };
}

async function train(browser: Browser, training: Training, count: number, settings: RunSettings): Promise<Report> {
  const run = new TrainingRun(training, { kind: 'tabs', count }, settings);
  const contexts: BrowserContext[] = [];
  try {
    const address = await run.printed(/Join in a browser: (\S+)/);
    for (let index = 1; index <= count; index++) {
      contexts.push((await open(browser, address)).context);
      const joined = run.printed(new RegExp(`^\\s*(w${index}) .*joined`, 'm'));
      await within(timeoutMs, joined, `tab ${index} did not join`);
    }
    const dashboard = await open(browser, await run.printed(/Dashboard: (\S+)/));
    await dashboard.page.getByRole('button', { name: 'Start', exact: true }).click();
    await dashboard.context.close();
    await within(longestRunMs, run.ended, 'the run with tabs did not end');
    return await run.report();
  } finally {
    run.stop();
    await Promise.allSettled(contexts.map((context) => context.close()));
  }
}

async function open(browser: Browser, address: string) {
  const context = await browser.newContext();
  const page = await context.newPage();
  page.setDefaultTimeout(timeoutMs);
  await page.goto(address);
  return { page, context };
}

async function within<Value>(limitMs: number, value: Promise<Value>, failure: string): Promise<Value> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${failure} within ${limitMs / 1000} s`)), limitMs);
  });
  return Promise.race([value, late]).finally(() => clearTimeout(timer));
}
