/** Headless browser tabs as workers: each in a profile of its own, on the page that the coordinator serves. */
import { browserFlags, findChromium } from '@lockstep/chromium';
import { usageFailure } from '@lockstep/command';
import type { Report } from '@lockstep/train';
import { type Browser, chromium } from 'playwright-core';
import type { Training } from './grid.ts';
import { nextReportFile, type RunSettings, readReport, startCoordinator, trainingArguments } from './lockstep-run.ts';

/** A browser that tabs are opened in. */
export interface Tabs {
  /** Trains once with so many tabs. @throws Error with one sentence. */
  run(training: Training, count: number, settings: RunSettings): Promise<Report>;
  close(): Promise<void>;
}

/** For what a browser or a tab does by itself, on a machine that does much else. */
const patienceMs = 120_000;
/** Tabs that are sent away come back for ever, so that a run with nobody else would never end. */
const longestRunMs = 600_000;

/** @throws CommandFailure where this machine has no Chromium. */
export async function openTabs(): Promise<Tabs> {
  const executablePath = findChromium();
  if (executablePath === undefined) {
    throw usageFailure(
      '--browser: expected a Chromium on this machine, found none; set CHROME_PATH to the path of one',
    );
  }
  const browser = await chromium.launch({ executablePath, args: [...browserFlags], timeout: patienceMs });
  return { run: (...run) => runWithTabs(browser, ...run), close: () => browser.close() };
}

/** The run waits for its owner, who says start when all have joined. */
async function runWithTabs(
  browser: Browser,
  training: Training,
  count: number,
  settings: RunSettings,
): Promise<Report> {
  const file = nextReportFile(settings.folder);
  const coordinator = startCoordinator([
    ...['coordinator', ...trainingArguments(training, { kind: 'tabs', count }, settings)],
    ...['--port', '0', '--wait-for-start', '--report', file],
  ]);
  const open = async (address: string) => {
    const context = await browser.newContext();
    const page = await context.newPage();
    page.setDefaultTimeout(patienceMs);
    await page.goto(address);
    return { page, context };
  };
  const opened: Awaited<ReturnType<typeof open>>[] = [];
  try {
    const join = await coordinator.printed(/Join in a browser: (\S+)/);
    for (let index = 1; index <= count; index++) {
      opened.push(await open(join));
      const joined = coordinator.printed(new RegExp(`^\\s*(w${index}) .*joined`, 'm'));
      await within(patienceMs, joined, `tab ${index} did not join`);
    }
    const owner = await open(await coordinator.printed(/Dashboard: (\S+)/));
    await owner.page.getByRole('button', { name: 'Start', exact: true }).click();
    await owner.context.close();
    await within(longestRunMs, coordinator.ended, 'the run with tabs did not end');
    return await readReport(file);
  } finally {
    coordinator.end();
    await Promise.allSettled(opened.map(({ context }) => context.close()));
  }
}

async function within<Value>(limitMs: number, value: Promise<Value>, what: string): Promise<Value> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} within ${limitMs / 1000} s`)), limitMs);
  });
  return Promise.race([value, late]).finally(() => clearTimeout(timer));
}
