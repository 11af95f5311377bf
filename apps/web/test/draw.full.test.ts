/** Checks that drawings are classified by the newest model. */
import { expect, it } from 'vitest';
import { startWorker } from '../../coordinator/test/processes.ts';
import type { Stroke } from '../src/draw/digit-image.ts';
import { describePage } from './browser.ts';
import { canvas, digits } from './digits.ts';
import { endless, startRun } from './run.ts';
import type { Tab } from './tab.ts';

describePage('drawing', ({ browser, folder }) => {
  it('at least eight of ten drawn digits are classified right, even by a page whose coordinator has ended', async () => {
    // Long enough for the page to load its inference from the coordinator, which ends with the run.
    const run = await startRun(folder, ['--workers', '1', '--epochs', '3', '--wait-for-start']);
    const tab = await browser.open(run, 'owner');
    await tab.press('Start');
    const { page } = tab;
    await page.getByText('The coordinator has ended; these are its last results.').waitFor();
    const predictions: (number | undefined)[] = [];
    for (const strokes of digits) {
      await draw(tab, strokes);
      // Before that, older weights classify the drawing.
      await page.getByText('model after step 1,407').waitFor();
      const text = await page.getByText(/^Looks like \d, [\d.]+ %$/).textContent();
      predictions.push(Number(/\d/.exec(text!)![0]));
      await page.getByRole('button', { name: 'Clear' }).click();
    }
    expect(predictions.filter((digit, index) => digit === index).length).toBeGreaterThanOrEqual(8);
    expect(tab.errors).toEqual([]);
  });

  it('the keyboard draws, the temperature flattens, and the model is updated while it trains', async () => {
    const run = await startRun(folder, endless, { isSlow: true });
    startWorker(['--url', run.worker, '--name', 'terminal']);
    const tab = await browser.open(run);
    const { page } = tab;
    await page.getByLabel(/^Canvas to draw a digit on/).focus();
    for (const key of ['ArrowUp', 'ArrowUp', 'ArrowUp', 'ArrowUp', ' ', ...Array(9).fill('ArrowDown')]) {
      await page.keyboard.press(key);
    }
    const modelNote = page.getByText(/^model after step/);
    await tab.during('a model to classify the drawing', modelNote.waitFor());
    const first = await modelNote.textContent();
    await tab.during(
      'a newer model to classify the drawing',
      page.waitForFunction((before) => document.querySelector('.draw-card .aside')?.textContent !== before, first),
    );
    await takesStrokesBack(tab);
    const percents = async (): Promise<number[]> =>
      (await page.locator('.bar-text').allTextContents()).map((text) => Number.parseInt(text, 10));
    await page.getByLabel('Temperature').fill('-2');
    const sharp = Math.max(...(await percents()));
    await page.getByLabel('Temperature').fill('3');
    await expect.poll(async () => Math.max(...(await percents()))).toBeLessThan(sharp);
    await page.keyboard.press('Tab');
    await page.getByLabel(/^Canvas to draw a digit on/).focus();
    await page.keyboard.press('Delete');
    await tab.shows('Draw a digit', { exact: true });
    expect(tab.errors).toEqual([]);
  });
});

/** Undoes and redoes strokes by keys and by buttons, wherever the focus is. */
async function takesStrokesBack(tab: Tab): Promise<void> {
  const { page } = tab;
  // After a few frames the strokes are painted and the focus has left a disabled button.
  const picture = (): Promise<string> =>
    page.getByLabel(/^Canvas to draw a digit on/).evaluate(
      (canvas) =>
        new Promise((resolve) => {
          const read = (): void => resolve((canvas as HTMLCanvasElement).toDataURL());
          requestAnimationFrame(() => requestAnimationFrame(() => requestAnimationFrame(read)));
        }),
    );
  const pictures: string[] = [];
  const dot: Stroke = [{ x: 80, y: 20 }];
  for (const strokes of [digits[1]!, digits[4]!.slice(0, 1), [dot]]) {
    await draw(tab, strokes);
    pictures.push(await picture());
  }
  const [one, two, three] = pictures as [string, string, string];
  expect(pictures.map((each) => pictures.indexOf(each))).toEqual([0, 1, 2]);
  for (const [act, expected] of [
    ['Control+z', two],
    ['Control+z', one],
    ['Control+y', two],
    ['Control+Shift+z', three],
    ['Undo', two],
    ['Redo', three],
    ['Clear', undefined],
    // Clear has disabled its own button, but keys must still reach the drawing's history.
    ['Control+z', three],
  ] as const) {
    if (act.includes('+')) await page.keyboard.press(act);
    else await tab.press(act);
    if (expected === undefined) await tab.shows('Draw a digit', { exact: true });
    else expect(await picture(), act).toBe(expected);
  }
}

async function draw({ page }: Tab, strokes: readonly Stroke[]): Promise<void> {
  const element = page.getByLabel(/^Canvas to draw a digit on/);
  await element.scrollIntoViewIfNeeded();
  const box = (await element.boundingBox())!;
  const place = ({ x, y }: Stroke[number]) =>
    [box.x + (x / canvas) * box.width, box.y + (y / canvas) * box.height] as const;
  for (const stroke of strokes) {
    await page.mouse.move(...place(stroke[0]!));
    await page.mouse.down();
    for (const point of stroke.slice(1)) await page.mouse.move(...place(point));
    await page.mouse.up();
  }
}
