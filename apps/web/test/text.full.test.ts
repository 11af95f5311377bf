/** Checks the page of a run on text: what the model writes, its curve and figures, and writing along in the tab. */
import { datasetFromText } from '@lockstep/data/readers';
import { expect, it } from 'vitest';
import { names } from '../../../packages/lesson/src/names.ts';
import { openDashboardServer } from '../../../packages/server/test/dashboard-server.ts';
import { seriousViolations } from './axe.ts';
import { describePage } from './browser.ts';
import { namelessParts, textWithoutPlace } from './layout.ts';
import { addressesOf } from './run.ts';
import type { Tab } from './tab.ts';

const written = [
  { step: 10, text: 'vqx wq\nzzkp' },
  { step: 20, text: 'a text of twenty steps,\n  with <b>marks</b> and lines' },
];
const screens = [
  { viewport: { width: 1440, height: 900 }, colorScheme: 'light' },
  { viewport: { width: 390, height: 844 }, colorScheme: 'dark' },
] as const;

/** Opens a run on names that waits for its start and has written two texts. */
async function openTextRun(samples = written, lines = names) {
  const text = datasetFromText(lines.join('\n'), { context: 16 });
  const args = { model: 'gpt-nano', data: text, batch: 8, steps: 40, listen: { port: 0, waitForStart: true } };
  const server = await openDashboardServer({ args });
  Object.assign(server.recorder.data, { samples });
  return { server, addresses: addressesOf(server), tokens: text.train.targets.names.length };
}

/** Types a beginning, and returns the continuation once the model has written it. */
async function continued({ page }: Tab, beginning: string): Promise<string> {
  await page.getByLabel('Your beginning', { exact: true }).fill(beginning);
  const text = page.getByRole('region', { name: 'Your beginning, continued by the model' }).locator('bdi');
  // A token is a character here.
  await expect.poll(async () => (await text.textContent())?.length).toBe(beginning.length + 240);
  const whole = (await text.textContent())!;
  expect(whole.slice(0, beginning.length)).toBe(beginning);
  return whole;
}

describePage('the page of a run on text', ({ browser }) => {
  it.each(screens)('shows the newest text large, and fits $viewport.width pixels', async (screen) => {
    const { server, addresses, tokens } = await openTextRun();
    const tab = await browser.open(addresses, 'owner', screen);
    const newest = tab.page.getByRole('region', { name: 'What the model writes: the newest' });
    expect(await newest.locator('.sample-text').textContent()).toBe(written[1]!.text);
    await tab.shows('after step 20', { exact: true });
    const earlier = tab.page.getByRole('region', { name: 'What the model writes: the earlier ones' });
    expect(await earlier.locator('.sample-text').allTextContents()).toEqual([written[0]!.text]);
    await tab.shows('Validation perplexity');
    await tab.join('cpu', 'tab');
    await tab.workersReady(1);
    await tab.press('Start');
    expect(await server.run.outcome).toEqual({ type: 'finished' });
    expect(server.weightsSha256()).toBe(await server.expectedSha256());
    server.epoch({
      ...{ epoch: 1, trainLoss: 2, trainAccuracy: 0.3, testLoss: 2, testAccuracy: 0.3, testR2: null, testRmse: null },
      ...{ seconds: 1, imagesPerSecond: 1 },
    });
    await tab.shows(/^7\.389?$/);
    await tab.shows('Bits per byte');
    await tab.shows('2.8854');
    // The terminal's unit.
    await tab.shows('Characters per second');
    expect(await tab.page.getByRole('columnheader', { name: 'Characters/s' }).count()).toBe(1);
    await tab.shows(`guessing, ln ${tokens}`);
    // A class has accuracy, a matrix and top errors; a text has none.
    expect(await tab.page.locator('.curves-card .chart').count()).toBe(1);
    expect(await tab.page.locator('.confusion-card, .top-errors-card, .metrics-card').count()).toBe(0);
    expect(await textWithoutPlace(tab.page)).toEqual([]);
    expect(await namelessParts(tab.page)).toEqual([]);
    expect(await seriousViolations(tab.page)).toEqual([]);
    expect(await tab.page.evaluate(() => document.documentElement.scrollWidth)).toBe(screen.viewport.width);
    expect(tab.errors).toEqual([]);
  });

  it('continues a beginning in the tab, and names a character that the model does not know', async () => {
    const { server, addresses } = await openTextRun();
    const tab = await browser.open(addresses, 'owner');
    const first = await continued(tab, 'mar');
    await tab.shows('model after step 0', { exact: true });
    expect(await continued(tab, 'jo')).not.toBe(first);
    // Equal beginnings, weights and seeds give equal texts.
    expect(await continued(tab, 'mar')).toBe(first);
    await tab.press('Write another');
    await expect.poll(() => continued(tab, 'mar')).not.toBe(first);
    await tab.page.getByLabel('Your beginning', { exact: true }).fill('mar7');
    await tab.shows(/expected characters that the model knows, got "7" as character 4/);
    await server.startWorker();
    await server.ready(1);
    await tab.press('Start');
    expect(await server.run.outcome).toEqual({ type: 'finished' });
    await tab.page.getByLabel('Your beginning', { exact: true }).fill('mar');
    await tab.shows('model after step 40', { exact: true });
    expect(await continued(tab, 'mar')).not.toBe(first);
    expect(tab.errors).toEqual([]);
  });

  it.each(screens)(
    'looks inside a text at $viewport.width pixels: attention, the next token, embeddings',
    async (screen) => {
      const withoutG = names.filter((name) => !name.includes('g'));
      const { addresses } = await openTextRun([], withoutG);
      const { page, errors } = await browser.open(addresses, 'owner', screen);
      await page.getByRole('link', { name: 'Inside', exact: true }).click();
      const text = page.getByLabel('Text', { exact: true });
      await expect.poll(() => text.inputValue()).toBe('learnin');
      await text.fill('maria');
      await expect.poll(() => page.locator('.attention-map').count()).toBe(4);
      expect(await page.locator('.attention-rows').first().locator('li').allTextContents()).toEqual([...'maria']);
      expect(await page.locator('.exhibit-bars, .exhibit-plane').count()).toBe(2);
      expect(await page.locator('main').textContent()).not.toMatch(/pixel|picture|digit|image/i);
      expect(await seriousViolations(page)).toEqual([]);
      expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(screen.viewport.width);
      await text.fill('mar7');
      await page.getByText(/expected characters that the model knows, got "7" as character 4/).waitFor();
      await page.getByRole('link', { name: 'A transformer that writes names' }).click();
      await page.getByRole('link', { name: 'One text' }).waitFor();
      await page.getByRole('link', { name: 'The forward pass' }).click();
      await page.getByRole('heading', { level: 2, name: 'The forward pass' }).waitFor();
      expect(await page.getByText('In the network that the run trains now').count()).toBe(0);
      expect(errors).toEqual([]);
    },
  );

  it('fits a long list of names on a projector', async () => {
    const { server, addresses } = await openTextRun([{ step: 20, text: names.slice(0, 300).join('\n') }]);
    const tab = await browser.open({ ...addresses, owner: `${addresses.owner}&room` }, 'owner');
    const { page } = tab;
    await server.startWorker();
    await server.ready(1);
    await tab.press('Start');
    await page.locator('.room-text').waitFor();
    for (const [width, height] of [
      [1920, 1080],
      [1280, 800],
    ] as const) {
      await page.setViewportSize({ width, height });
      expect(await page.evaluate(() => document.documentElement.scrollHeight > innerHeight)).toBe(false);
      // Enough of it for a dozen lines.
      expect((await page.locator('.room-text').boundingBox())!.height).toBeGreaterThan(height / 3);
    }
  });

  it('shows the newest text to a room', async () => {
    const { server, addresses } = await openTextRun();
    const tab = await browser.open({ ...addresses, owner: `${addresses.owner}&room` }, 'owner', screens[0]);
    await tab.shows('Devices that will train together');
    await server.startWorker();
    await server.ready(1);
    await tab.press('Start');
    await tab.shows('Written after step 20');
    expect(await tab.page.locator('.room-text').textContent()).toBe(written[1]!.text);
    expect(await seriousViolations(tab.page)).toEqual([]);
  });
});
