/** Drawing: what the pen leaves on the paper is read by the model that was trained a moment ago. */
import { describe, expect, it } from 'vitest';
import { temporaryFolder } from '../../coordinator/test/folder.ts';
import type { Stroke } from '../src/draw/digit.ts';
import { during, hasBrowser, inChromium, shows, type Tab, testPatienceMs, useBrowser } from './browser.ts';
import { digits, paper } from './digits.ts';
import { endless, startRun } from './run.ts';

describe.skipIf(!hasBrowser)(inChromium('drawing'), { timeout: testPatienceMs }, () => {
  const folder = temporaryFolder();
  const browser = useBrowser();

  it('a digit drawn with the pen is read right, for at least eight of ten', async () => {
    const run = await startRun(folder, ['--workers', '1', '--epochs', '1', '--stay']);
    const tab = await browser.open(run);
    await shows(tab, 'Finished');
    const read: (number | undefined)[] = [];
    for (const strokes of digits) {
      await draw(tab, strokes);
      // Drawings are read with the last weights only once those are here.
      await shows(tab, 'model after step 469');
      const said = await tab.page.getByText(/^Looks like \d, \d+ %$/).textContent();
      read.push(Number(/\d/.exec(said!)![0]));
      await tab.page.getByRole('button', { name: 'Clear' }).click();
    }
    expect(read.filter((digit, index) => digit === index).length).toBeGreaterThanOrEqual(8);
    expect(tab.errors).toEqual([]);
  });

  it('the keys draw too, the temperature flattens, and the model that reads gets newer while it trains', async () => {
    const run = await startRun(folder, [...endless, '--workers', '1']);
    const tab = await browser.open(run);
    const { page, errors } = tab;
    await page.getByLabel(/^Paper to draw a digit on/).focus();
    for (const key of ['ArrowUp', 'ArrowUp', 'ArrowUp', 'ArrowUp', ' ', ...Array(9).fill('ArrowDown')]) {
      await page.keyboard.press(key);
    }
    const reading = page.getByText(/^model after step/);
    await during(tab, 'a model to read the drawing', reading.waitFor());
    const first = await reading.textContent();
    await during(
      tab,
      'a newer model to read the drawing',
      page.waitForFunction((before) => document.querySelector('.draw-card .aside')?.textContent !== before, first),
    );
    const chances = async (): Promise<number[]> =>
      (await page.locator('.chance-text').allTextContents()).map((text) => Number.parseInt(text, 10));
    await page.getByLabel('Temperature').fill('-2');
    const sharp = Math.max(...(await chances()));
    await page.getByLabel('Temperature').fill('3');
    await expect.poll(async () => Math.max(...(await chances()))).toBeLessThan(sharp);
    await page.keyboard.press('Tab');
    await page.getByLabel(/^Paper to draw a digit on/).focus();
    await page.keyboard.press('Delete');
    await shows(tab, 'Draw a digit', { exact: true });
    expect(errors).toEqual([]);
  });
});

async function draw({ page }: Tab, strokes: readonly Stroke[]): Promise<void> {
  const canvas = page.getByLabel(/^Paper to draw a digit on/);
  await canvas.scrollIntoViewIfNeeded();
  const box = (await canvas.boundingBox())!;
  const place = ({ x, y }: Stroke[number]) =>
    [box.x + (x / paper) * box.width, box.y + (y / paper) * box.height] as const;
  for (const stroke of strokes) {
    await page.mouse.move(...place(stroke[0]!));
    await page.mouse.down();
    for (const point of stroke.slice(1)) await page.mouse.move(...place(point));
    await page.mouse.up();
  }
}
