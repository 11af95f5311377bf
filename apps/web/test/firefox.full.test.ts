/** Checks that the page watches a run, helps it and shows its end in Firefox as well: people join with what they have. */
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { describePage } from './browser.ts';
import { singleRun, startRun } from './run.ts';

const iris = fileURLToPath(new URL('../../../docs/iris.csv', import.meta.url));

describePage(
  'the page',
  ({ browser, folder }) => {
    it('watches a run and computes it with the bits of one process', async () => {
      const settings = ['--data', iris, '--epochs', '3'];
      const run = await startRun(folder, ['--workers', '0', '--wait-for-start', ...settings]);
      const tab = await browser.open(run, 'owner');
      await tab.join('cpu', 'fox');
      await tab.workersReady(1);
      await tab.press('Start');
      const { weightsSha256, workers } = await run.report();
      expect(weightsSha256).toBe((await singleRun(folder, settings)).weightsSha256);
      expect(workers).toMatchObject([{ name: 'fox', kind: 'browser' }]);
      await tab.page.locator('.matrix').waitFor();
      expect(await tab.page.locator('.matrix thead th').count()).toBe(3);
      expect([...tab.errors, ...tab.foreignRequests]).toEqual([]);
    });
  },
  'firefox',
);
