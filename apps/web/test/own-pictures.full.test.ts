/** As a teacher would: three classes on the page, from the webcam and from files, to a model that is used in the page. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Page } from 'playwright-core';
import { expect, it } from 'vitest';
import { seriousViolations } from './axe.ts';
import { describePage } from './browser.ts';
import { startRun } from './run.ts';

/** Pictures of 64 x 64 in shades of one color. */
async function pictures(page: Page, hue: number) {
  const urls = await page.evaluate(
    (given) =>
      Array.from({ length: 12 }, (_, index) => {
        const canvas = Object.assign(document.createElement('canvas'), { width: 64, height: 64 });
        const context = canvas.getContext('2d')!;
        context.fillStyle = `hsl(${given} 90% ${30 + 2 * index}%)`;
        context.fillRect(0, 0, 64, 64);
        return canvas.toDataURL('image/png');
      }),
    hue,
  );
  return urls.map((url, index) => ({
    name: `${index}.png`,
    mimeType: 'image/png',
    buffer: Buffer.from(url.slice(url.indexOf(',') + 1), 'base64'),
  }));
}

describePage('own pictures', ({ browser, folder }) => {
  it('are collected by class, trained on, and tried with the webcam', async () => {
    const run = await startRun(folder, ['--data', 'upload', '--workers', '1', '--stay']);
    const tab = await browser.open(run, 'owner', { colorScheme: 'light' });
    const { page } = tab;
    await page.getByText('Or collect pictures here, by class').click();
    await page.getByRole('button', { name: 'Add a class' }).click();
    const names = ['webcam', 'red', 'blue'];
    for (const [index, name] of names.entries()) await page.getByLabel('Class', { exact: true }).nth(index).fill(name);
    expect(await page.getByRole('button', { name: 'Use these pictures' }).isDisabled()).toBe(true);
    expect(await page.getByRole('button', { name: 'Hold to record webcam' }).isDisabled()).toBe(true);

    await page.getByRole('button', { name: 'Use the webcam' }).click();
    const record = page.getByRole('button', { name: 'Hold to record webcam' });
    await record.click({ trial: true });
    await record.focus();
    await page.keyboard.down(' ');
    // More may have been recorded when the page is looked at.
    await page
      .locator('.classes li')
      .first()
      .getByText(/^(1[2-9]|[2-9]\d|\d{3,}) pictures$/)
      .waitFor();
    await page.keyboard.up(' ');
    await page
      .getByLabel('Add pictures')
      .nth(1)
      .setInputFiles(await pictures(page, 0));
    await page
      .getByLabel('Add pictures')
      .nth(2)
      .setInputFiles(await pictures(page, 240));
    await page.setViewportSize({ width: 390, height: 844 });
    expect(await seriousViolations(page)).toEqual([]);
    await page.setViewportSize({ width: 1_440, height: 900 });

    await page.getByRole('button', { name: 'Use these pictures' }).click();
    await tab.shows(/pictures, 3 classes \(blue, red, webcam\), 64 x 64, color/);
    await tab.press('Start');
    await page.getByRole('button', { name: 'Use the webcam' }).click();
    await tab.shows(/Looks like webcam/);
    const [blue] = await pictures(page, 235);
    await page.getByRole('button', { name: 'Turn the webcam off' }).click();
    await page.getByLabel('Or choose, drop or paste a picture').setInputFiles(blue!);
    await tab.shows(/Looks like blue/);
    await tab.shows('The last evaluation had no errors.');
    const rows = page.locator('.matrix tbody th');
    expect(
      await rows.evaluateAll((all) => all.map(({ scrollWidth, clientWidth }) => scrollWidth > clientWidth)),
    ).toEqual([false, false, false]);
    await page.getByLabel('Or choose, drop or paste a picture').setInputFiles({
      ...{ name: 'a.png', mimeType: 'image/png' },
      buffer: Buffer.from('no picture'),
    });
    await tab.shows('This picture cannot be read: its format is unknown.');
    expect(await seriousViolations(page)).toEqual([]);
    expect(tab.errors).toEqual([]);
  });

  it('are classified by a page whose coordinator has ended', async () => {
    const shapes = fileURLToPath(new URL('../../../docs/shapes', import.meta.url));
    const run = await startRun(folder, ['--data', shapes, '--workers', '1', '--epochs', '100000', '--wait-for-start']);
    const tab = await browser.open(run, 'owner');
    const { page, errors } = tab;
    const classifier = page.waitForResponse(/\/inference-[^/]*\.js$/);
    await tab.press('Start');
    // Waits until all of it is there.
    await page.evaluate(`import('${(await classifier).url()}').then(() => {})`);
    await tab.press('Stop');
    await tab.press('Stop for good');
    await page.getByText('The coordinator has ended; these are its last results.').waitFor();
    await page.getByLabel('Or choose, drop or paste a picture').setInputFiles(join(shapes, 'cross', '01.png'));
    await page.getByText(/^Looks like (circle|cross|square)/).waitFor();
    expect(errors).toEqual([]);
  });
});
