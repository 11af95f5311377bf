/** Tabs train on every kind of data with the bits of the oracle, and the page shows each kind as what it is. */
import type { Dataset } from '@lockstep/data';
import { expect, it } from 'vitest';
import { openDashboardServer } from '../../../packages/train/test/dashboard-server.ts';
import { kindsOfData } from '../../../packages/train/test/kinds-of-data.ts';
import { seriousViolations } from './axe.ts';
import { describePage } from './browser.ts';
import { textWithoutPlace } from './layout.ts';
import type { Tab } from './tab.ts';

const kinds = Object.entries(kindsOfData).map(([name, { model, ...data }]) => ({ name, model, data }));

describePage('tabs', ({ browser }) => {
  it.each(kinds)('train on $name with the bits of the oracle', async ({ model, data }) => {
    const args = { model, data, batch: 60, epochs: 2, listen: { port: 0, waitForStart: true } };
    const server = await openDashboardServer({ args });
    const { page, owner } = server.addresses;
    // The server stays when the run has ended.
    const ended = new Promise<string>(() => {});
    const tab = await browser.open({ page, owner, join: page, ended }, 'owner');
    await tab.join('cpu', 'tab');
    await tab.workersReady(1);
    await tab.panelShows(data.train.sampleShape.length === 3 ? 'Images' : 'Samples');
    await tab.press('Start');
    expect(await server.run.outcome).toEqual({ type: 'finished' });
    expect(server.weightsSha256()).toBe(await server.expectedSha256());
    server.epoch(report(data.test.targets.type));
    const { names, type } = data.test.targets;
    const topErrors = tab.page.locator('.top-errors > li').first();
    await tab.during('the top errors', topErrors.waitFor());
    if (type === 'classes') {
      const headings = await tab.page.locator('.matrix thead th').allTextContents();
      expect(headings.map((text) => text.trim())).toEqual([...names]);
    } else {
      expect(await tab.page.locator('.confusion-card').count()).toBe(0);
      await tab.shows('Test RMSE');
      // The only chart takes the place of both.
      expect((await tab.page.locator('.chart').boundingBox())!.width).toBeGreaterThan(600);
      await tab.shows('123500');
      // The value, and what the model gave, in their own unit.
      expect(await topErrors.textContent()).toMatch(new RegExp(`${names[0]} -?\\d{4,} .*?-?\\d{4,}`));
    }
    await tab.shows(/^Drawings are for models of gray images/);
    if (type === 'values') await followsValues(tab);
    expect(tab.errors).toEqual([]);
  });

  it('show long names of classes in their place, and large numbers with commas', async () => {
    const { model, train, test } = kindsOfData['a table with classes'];
    const names = ['Donaudampfschifffahrt', 'Rindfleischetikettierung', 'Kraftfahrzeugversicherung'];
    const named = ({ targets, ...data }: Dataset): Dataset => ({ ...data, targets: { ...targets, names } });
    const args = { model, data: { train: named(train), test: named(test) }, batch: 60, epochs: 10_000 };
    const server = await openDashboardServer({ args: { ...args, listen: { port: 0, waitForStart: true } } });
    const { page, owner } = server.addresses;
    const run = { page, owner, join: page, ended: new Promise<string>(() => {}) };
    const tab = await browser.open(run, 'page', { viewport: { width: 390, height: 844 } });
    // Before the first step the model knows nothing: there are errors of each class.
    server.epoch(report('classes'));
    await tab.during('the top errors', tab.page.locator('.top-errors > li').nth(7).waitFor());
    await tab.shows('Epoch 1 of 10,000, step 0 of 50,000');
    expect(await textWithoutPlace(tab.page)).toEqual([]);
    expect(await tab.page.evaluate(() => document.documentElement.scrollWidth > innerWidth)).toBe(false);
  });
});

/** From inside, one of the samples that the network is farthest off: what it predicts beside what is right. */
async function followsValues(tab: Tab): Promise<void> {
  const { page } = tab;
  await page.getByRole('link', { name: 'Inside', exact: true }).click();
  const samples = page.locator('.test-samples button');
  await tab.during('samples to follow', samples.nth(1).waitFor());
  const rows = page.locator('.inside-activations-card .exhibit-table tbody tr');
  const shown = async (at: number): Promise<string[]> => {
    await samples.nth(at).click();
    const text = (await samples.nth(at).locator('span').last().textContent()) ?? '';
    await tab.shows(`target ${text}`, { exact: true });
    return rows.allTextContents();
  };
  const [second, first] = [await shown(1), await shown(0)];
  expect(first).toHaveLength(2);
  expect(second).not.toEqual(first);
  for (let stage = 1; stage < 6; stage++) await tab.press('Next');
  await page.getByRole('heading', { name: '6. Step' }).waitFor();
  await page.getByRole('button', { name: 'Loss', exact: true }).click();
  await tab.shows(/Values are learned standardized: less their mean/);
  expect(await seriousViolations(page)).toEqual([]);
}

function report(type: 'classes' | 'values') {
  const accuracy = type === 'classes' ? 0.5 : null;
  const [quality, times] = [
    {
      trainAccuracy: accuracy,
      testAccuracy: accuracy,
      testR2: type === 'values' ? 0.5 : null,
      testRmse: type === 'values' ? 123_456 : null,
    },
    { seconds: 1, imagesPerSecond: 1 },
  ];
  return { epoch: 1, trainLoss: 1, testLoss: 1, ...quality, ...times };
}
