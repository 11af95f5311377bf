/** Checks that the page is stable, accessible, small, and loads from the coordinator alone. */
import { expect, it } from 'vitest';
import { tinyFiles, writeFolder } from '../../../packages/train/test/tiny-data.ts';
import { seriousViolations } from './axe.ts';
import { describePage } from './browser.ts';
import { startRun } from './run.ts';

const widths = [
  { width: 320, height: 640 },
  { width: 390, height: 844 },
  { width: 1280, height: 800 },
  { width: 1920, height: 1080 },
] as const;

/** Options of a run of three epochs on tiny data, whose dashboard stays. */
async function shortRun(folder: string): Promise<string[]> {
  const data = await writeFolder(folder, 'tiny', tinyFiles());
  return ['--workers', '1', '--data', data, '--batch', '32', '--epochs', '3', '--stay'];
}

describePage('the page', ({ browser, folder }) => {
  // Each width in one of the two themes: colors do not depend on the width.
  it.each(widths.map((viewport, index) => ({ viewport, colorScheme: (['light', 'dark'] as const)[index % 2]! })))(
    '$colorScheme, $viewport.width pixels wide: no layout shift, no error, no serious violation in axe',
    async ({ colorScheme, viewport }) => {
      const run = await startRun(folder, [...(await shortRun(folder)), '--wait-for-start']);
      const tab = await browser.open(run, 'owner', { colorScheme, viewport });
      const { page } = tab;
      await tab.shows('1 worker connected');
      await tab.press('Start');
      await tab.shows('test images, epoch 3');
      await tab.shows('Finished');
      const shifts = await tab.layoutShifts();
      const shifted = shifts.reduce((sum, { score }) => sum + score, 0);
      expect(shifted, JSON.stringify(shifts)).toBeLessThan(0.001);
      expect(tab.errors).toEqual([]);
      expect(tab.foreignRequests).toEqual([]);
      const isWider = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
      expect(isWider).toBe(false);
      expect(await seriousViolations(page)).toEqual([]);
    },
  );

  it('loads at most 100 KB before a tab joins or draws, as they travel', async () => {
    const run = await startRun(folder, ['--wait-for-start']);
    const tab = await browser.open(run);
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
  });

  it('a page that is opened late shows the whole curve, and says when the coordinator is gone', async () => {
    const run = await startRun(folder, await shortRun(folder));
    await run.program.printed(/The dashboard stays/);
    const late = await browser.open(run);
    await late.shows('test images, epoch 3');
    const curve = late.page.getByRole('img', { name: /^Loss over the epochs: training \d.*test \d/ });
    await late.during('the loss of three epochs', curve.waitFor());
    run.program.killGroup('SIGKILL');
    await late.page.getByText('The coordinator has ended; this is what it left.').waitFor();
    // The server would have stayed for another run.
    expect(await late.page.getByText('Another run may follow').count()).toBe(0);
  });
});
