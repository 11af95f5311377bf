/** Checks that the page is stable, accessible and small, and needs only the coordinator. */
import { expect, it } from 'vitest';
import { seriousViolations } from './axe.ts';
import { describePage } from './browser.ts';
import { shortRun, startRun } from './run.ts';
import type { Tab } from './tab.ts';

/** Each width in only one theme: colors do not depend on the width. */
const screens = [
  { viewport: { width: 320, height: 640 }, colorScheme: 'light' },
  { viewport: { width: 390, height: 844 }, colorScheme: 'dark' },
  { viewport: { width: 1280, height: 800 }, colorScheme: 'light' },
  { viewport: { width: 1920, height: 1080 }, colorScheme: 'dark' },
] as const;

describePage('the page', ({ browser, folder }) => {
  it('has no layout shift and no error from the start to the end of a run, wide and narrow, and loads at most 100 KB', async () => {
    const run = await startRun(folder, [...(await shortRun(folder)), '--wait-for-start']);
    const tabs = await Promise.all(screens.map((screen) => browser.open(run, 'owner', screen)));
    await Promise.all(tabs.map((tab) => tab.shows('1 worker connected')));
    await loadsLittle(await browser.open(run));
    await tabs[0]!.press('Start');
    for (const tab of tabs) {
      const { page, errors, foreignRequests } = tab;
      const width = page.viewportSize()?.width;
      await tab.shows('test images, epoch 3');
      await tab.shows('Finished');
      const shifts = await tab.layoutShifts();
      const shifted = shifts.reduce((sum, { score }) => sum + score, 0);
      expect(shifted, `${width} px: ${JSON.stringify(shifts)}`).toBeLessThan(0.001);
      expect([...errors, ...foreignRequests]).toEqual([]);
      expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(width);
      expect(await seriousViolations(page), `${width} px`).toEqual([]);
      // The column's title, and a button as long as the worker is connected.
      const edits = page.getByText('Edit', { exact: true });
      expect(await edits.count()).toBeGreaterThan(0);
      await page.emulateMedia({ media: 'print' });
      expect(await edits.filter({ visible: true }).count()).toBe(0);
    }
  });
});

/** Expects at most 100 KB, as they travel, before a tab joins or draws. */
async function loadsLittle(tab: Tab): Promise<void> {
  await tab.shows('Waiting for start');
  const loaded = await tab.page.evaluate(() =>
    [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')].map((entry) => {
      const { name, encodedBodySize } = entry as PerformanceResourceTiming;
      return { name, bytes: encodedBodySize };
    }),
  );
  expect(loaded.filter(({ name }) => name.endsWith('.js')).length).toBeGreaterThan(0);
  expect(loaded.every(({ bytes }) => bytes > 0)).toBe(true);
  expect(loaded.reduce((sum, { bytes }) => sum + bytes, 0)).toBeLessThan(100_000);
}
