/** Checks the live network in the built page: its weights move, and a digit is followed through it. */
import { expect, it } from 'vitest';
import { seriousViolations } from './axe.ts';
import { describePage } from './browser.ts';
import { startRun } from './run.ts';

const stages = ['Forward', 'Loss', 'Backward', 'Send', 'Add', 'Step'];

describePage('the live network', ({ browser, folder }) => {
  it('shows weights while they form, follows a digit, and takes a step, wide and narrow', async () => {
    const run = await startRun(folder, ['--workers', '1', '--steps', '60', '--wait-for-start', '--stay']);
    const tab = await browser.open(run, 'owner', { viewport: { width: 1280, height: 800 }, reducedMotion: 'reduce' });
    const { page } = tab;
    await page.getByRole('link', { name: 'Inside', exact: true }).click();
    const weights = page.getByRole('img', { name: /^The 128 neurons of the first layer/ });
    const picture = () => weights.evaluate((canvas) => (canvas as HTMLCanvasElement).toDataURL());
    await tab.shows(/^after step 0$/);
    await page.reload();
    await tab.shows(/^after step 0$/);
    await tab.shows('One sample');
    // Where weights come late, what they would push away comes after them.
    const shifts = (await tab.layoutShifts()).filter(({ score }) => score > 0.01);
    expect(shifts).toEqual([]);
    const first = await picture();
    await page.getByRole('link', { name: 'The run' }).click();
    await tab.press('Start');
    await page.getByRole('link', { name: 'Inside', exact: true }).click();
    await tab.shows(/^after step 60$/);
    expect(await picture()).not.toBe(first);
    await tab.shows(/^The network says \d, with [\d.]+ %\. The probabilities add up to 1\.000000\.$/);

    await tab.press('Clear');
    await tab.shows('Shown once a sample is drawn or chosen.');
    await page.getByLabel(/^Canvas to draw a digit on/).focus();
    for (const key of ['ArrowUp', 'ArrowUp', ' ', 'ArrowDown', 'ArrowDown', 'ArrowDown'])
      await page.keyboard.press(key);
    await page.getByLabel('Its label').selectOption('1');
    await tab.shows(/^label 1$/);
    await tab.shows(/The probabilities add up to 1\.000000\.$/);

    await page.locator('.inside-activations-card').getByRole('button', { name: 'relu', exact: true }).click();
    await tab.shows('The larger of x and 0: positive sums pass, negative ones become 0.');
    await page.keyboard.press('Escape');

    for (const [index, title] of stages.entries()) {
      await page.getByRole('heading', { name: `${index + 1}. ${title}` }).waitFor();
      if (index < stages.length - 1) await tab.press('Next');
    }
    const held = page.locator('.inside-step-card').getByText(/^weights held after step/);
    await held.waitFor();
    expect(await page.getByRole('button', { name: 'Next' }).isDisabled()).toBe(true);
    expect(await seriousViolations(page)).toEqual([]);
    await page.setViewportSize({ width: 390, height: 844 });
    await page.emulateMedia({ colorScheme: 'dark' });
    expect(await page.evaluate(() => document.documentElement.scrollWidth > innerWidth)).toBe(false);
    expect(await seriousViolations(page)).toEqual([]);

    await page.getByRole('link', { name: 'Back-propagation' }).click();
    await page.getByRole('heading', { level: 2, name: 'Back-propagation' }).waitFor();
    await page.getByRole('link', { name: 'The gradient, layer by layer' }).click();
    const card = page.locator('.inside-gradient-card');
    await card.getByRole('table').waitFor();
    await expect.poll(async () => Math.abs((await card.boundingBox())!.y)).toBeLessThan(100);
    expect(tab.errors).toEqual([]);
    expect(tab.foreignRequests).toEqual([]);
  });
});
