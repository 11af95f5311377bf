/** Headless browser tabs as workers: each in a profile of its own, on the page that the coordinator serves. */
import { browserFlags, findChromium } from '@lockstep/chromium';
import { usageFailure } from '@lockstep/command';
import type { Report } from '@lockstep/train';
import { type Browser, type BrowserContext, chromium } from 'playwright-core';
import type { Training } from './grid.ts';
import { type RunSettings, startTraining } from './lockstep-run.ts';

/** For what a browser or a tab does by itself, on a busy machine. */
const timeoutMs = 120_000;
/** A tab that the coordinator disconnects reconnects for ever, so a run with tabs alone might never end. */
const longestRunMs = 600_000;

/** @throws CommandFailure where this machine has no Chromium */
export async function openTabs(): Promise<Tabs> {
  const executablePath = findChromium();
  if (executablePath === undefined) {
    throw usageFailure(
      '--browser: expected a Chromium on this machine, found none; set CHROME_PATH to the path of one',
    );
  }
  return new Tabs(await chromium.launch({ executablePath, args: [...browserFlags], timeout: timeoutMs }));
}

/** A browser in which tabs work for one run after another. */
export class Tabs {
  readonly #browser: Browser;

  constructor(browser: Browser) {
    this.#browser = browser;
  }

  /** Trains once with so many tabs; the run starts when all have joined. @throws Error with one sentence */
  async run(training: Training, count: number, settings: RunSettings): Promise<Report> {
    const options = ['--port', '0', '--wait-for-start'];
    const { coordinator, report } = startTraining('coordinator', training, { kind: 'tabs', count }, settings, options);
    const contexts: BrowserContext[] = [];
    try {
      const address = await coordinator.printed(/Join in a browser: (\S+)/);
      for (let index = 1; index <= count; index++) {
        contexts.push((await this.#open(address)).context);
        const joined = coordinator.printed(new RegExp(`^\\s*(w${index}) .*joined`, 'm'));
        await within(timeoutMs, joined, `tab ${index} did not join`);
      }
      const dashboard = await this.#open(await coordinator.printed(/Dashboard: (\S+)/));
      await dashboard.page.getByRole('button', { name: 'Start', exact: true }).click();
      await dashboard.context.close();
      await within(longestRunMs, coordinator.ended, 'the run with tabs did not end');
      return await report();
    } finally {
      coordinator.stop();
      await Promise.allSettled(contexts.map((context) => context.close()));
    }
  }

  close(): Promise<void> {
    return this.#browser.close();
  }

  async #open(address: string) {
    const context = await this.#browser.newContext();
    const page = await context.newPage();
    page.setDefaultTimeout(timeoutMs);
    await page.goto(address);
    return { page, context };
  }
}

async function within<Value>(limitMs: number, value: Promise<Value>, failure: string): Promise<Value> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${failure} within ${limitMs / 1000} s`)), limitMs);
  });
  return Promise.race([value, late]).finally(() => clearTimeout(timer));
}
