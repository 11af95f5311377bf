/** Checks the page of a run on text: what the model writes, its curve and its figures. */
import { nextTargets, tokenSamples } from '@lockstep/data';
import { fitOf, resolveModel } from '@lockstep/nn';
import { expect, it } from 'vitest';
import { names, nameTokens, tokensOfName } from '../../../packages/lesson/src/names.ts';
import { openDashboardServer } from '../../../packages/train/test/dashboard-server.ts';
import { seriousViolations } from './axe.ts';
import { describePage } from './browser.ts';
import { namelessParts, textWithoutPlace } from './layout.ts';
import { addressesOf } from './run.ts';

const written = [
  { step: 10, text: 'vqx wq\nzzkp' },
  { step: 20, text: 'a text of twenty steps,\n  with <b>marks</b> and lines' },
];
const screens = [
  { viewport: { width: 1440, height: 900 }, colorScheme: 'light' },
  { viewport: { width: 390, height: 844 }, colorScheme: 'dark' },
] as const;

/** Opens a run on names that waits for its start and has written two texts. */
async function openTextRun() {
  const [train, test] = [names.slice(0, 900), names.slice(900)].map((own) => {
    const tokens = Uint8Array.from(
      own.flatMap((name) => [...tokensOfName(name), ...new Array(17).fill(0)].slice(0, 17)),
    );
    return {
      samples: tokenSamples(tokens, 17, nameTokens),
      targets: nextTargets(['\n', ...'abcdefghijklmnopqrstuvwxyz'], 8, true),
      count: own.length,
    };
  });
  const args = {
    model: 'gpt-nano',
    data: { train: train!, test: test! },
    batch: 8,
    steps: 40,
    listen: { port: 0, waitForStart: true },
  };
  const server = await openDashboardServer({ args });
  Object.assign(server.recorder.data, { samples: written });
  return { server, addresses: addressesOf(server), tokens: nameTokens };
}

describePage('the page of a run on text', ({ browser }) => {
  it.each(screens)('shows the newest text large, and fits $viewport.width pixels', async (screen) => {
    const { server, addresses, tokens } = await openTextRun();
    const tab = await browser.open(addresses, 'owner', screen);
    const newest = tab.page.getByRole('region', { name: 'What the model writes: the newest' });
    expect(await newest.locator('.sample-text').textContent()).toBe(written[1]!.text);
    await tab.shows('after step 20', { exact: true });
    await tab.shows('Training perplexity');
    await tab.join('cpu', 'tab');
    await tab.workersReady(1);
    await tab.press('Start');
    expect(await server.run.outcome).toEqual({ type: 'finished' });
    expect(server.weightsSha256()).toBe(await server.expectedSha256());
    server.epoch({
      ...{ epoch: 1, trainLoss: 2, trainAccuracy: 0.3, testLoss: 2, testAccuracy: 0.3, testR2: null, testRmse: null },
      ...{ seconds: 1, imagesPerSecond: 1 },
    });
    await tab.shows('7.39');
    await tab.shows(/, 2\.89 bits per token$/);
    await tab.shows(`guessing, ln ${tokens}`);
    // A class has accuracy, a matrix and top errors; a text has none.
    expect(await tab.page.locator('.chart').count()).toBe(1);
    expect(await tab.page.locator('.confusion-card, .top-errors-card, .metrics-card').count()).toBe(0);
    expect(await textWithoutPlace(tab.page)).toEqual([]);
    expect(await namelessParts(tab.page)).toEqual([]);
    expect(await seriousViolations(tab.page)).toEqual([]);
    expect(await tab.page.evaluate(() => document.documentElement.scrollWidth)).toBe(screen.viewport.width);
    expect(tab.errors).toEqual([]);
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
