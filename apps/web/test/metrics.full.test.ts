/** Checks what the page shows of a run that has ended: its metrics, and the samples of a cell of the matrix. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { seriousViolations } from './axe.ts';
import { describePage } from './browser.ts';
import { textWithoutPlace } from './layout.ts';
import { startRun } from './run.ts';
import type { Tab } from './tab.ts';

const iris = fileURLToPath(new URL('../../../docs/iris.csv', import.meta.url));
const phone = { viewport: { width: 390, height: 844 } };

/** Presses the cell with the most errors, or the first right one, by keyboard or pointer. */
async function opensCell({ page }: Tab, kind: 'right' | 'wrong', press: 'Enter' | 'click'): Promise<string> {
  const cell = page.locator(`.matrix td.${kind}`).filter({ hasText: /[1-9]/ }).first();
  const count = (await cell.textContent())!;
  if (press === 'click') await cell.click();
  else {
    await cell.evaluate((element) => {
      (element as HTMLElement).tabIndex = 0;
      (element as HTMLElement).focus();
    });
    await page.keyboard.press('Enter');
  }
  await page.getByRole('button', { name: 'Show the top errors' }).waitFor();
  return count;
}

describePage('the page of a run that has ended', ({ browser, folder }) => {
  it.each([
    ['wide', {}],
    ['on a phone', phone],
  ])('has a table of metrics, and opens the samples of a cell as rows: %s', async (_, options) => {
    const run = await startRun(folder, ['--data', iris, '--workers', '1', '--epochs', '3', '--stay']);
    const tab = await browser.open(run, 'page', options);
    const { page } = tab;
    const rows = page.locator('.metrics-card tbody tr');
    await tab.during('the metrics', rows.nth(3).waitFor());
    const names = await rows.locator('th').allTextContents();
    expect(names).toEqual(['setosa', 'versicolor', 'virginica', 'macro average']);
    expect(await rows.first().locator('td').allTextContents()).toEqual([
      '10',
      ...Array.from({ length: 5 }, () => expect.stringMatching(/^[01]\.\d{4}$/)),
    ]);

    const samples = page.locator('.error-rows tbody tr');
    for (const [kind, press] of [
      ['right', 'click'],
      ['wrong', 'Enter'],
    ] as const) {
      const count = await opensCell(tab, kind, press);
      await expect.poll(() => samples.count()).toBe(Number(count));
      expect(await page.locator('.opened-cell p').textContent()).toBe(
        count === '1' ? 'The only one.' : `All ${count}.`,
      );
    }
    expect(await textWithoutPlace(page)).toEqual([]);
    expect(await seriousViolations(page)).toEqual([]);
    await page.getByRole('button', { name: 'Show the top errors' }).click();
    expect(await page.getByRole('heading', { name: 'Top errors' }).count()).toBe(1);
    expect(tab.errors).toEqual([]);
    await run.close();
  });

  it('has curves whose vertical axes are labeled', async () => {
    const run = await startRun(folder, ['--data', iris, '--workers', '1', '--epochs', '3', '--stay']);
    const tab = await browser.open(run, 'page');
    await tab.page.addInitScript((axisWidth) => {
      const { fillText } = CanvasRenderingContext2D.prototype;
      const drawn = new Set<string>();
      CanvasRenderingContext2D.prototype.fillText = function (text, x, y) {
        if (x < axisWidth) drawn.add(text);
        fillText.call(this, text, x, y);
      };
      Object.assign(globalThis, { textsDrawn: () => [...drawn] });
    }, 56);
    await tab.page.reload();
    await tab.shows('Finished');
    const texts = () => tab.page.evaluate<string[]>('textsDrawn()');
    await expect.poll(texts).toEqual(expect.arrayContaining(['0.5', '1', '100 %']));
    await run.close();
  });

  it('says that there were no errors, in place of a table without rows', async () => {
    const rows = Array.from({ length: 120 }, (_, row) => `${row % 2},${row % 2 === 0 ? 'even' : 'odd'}`);
    const data = join(folder, 'parity.csv');
    writeFileSync(data, ['bit,label', ...rows].join('\n'));
    const run = await startRun(folder, ['--data', data, '--workers', '1', '--epochs', '30', '--stay']);
    const tab = await browser.open(run, 'page');
    await tab.shows('Finished');
    await tab.shows('The last evaluation had no errors.');
    expect(await tab.page.locator('.error-rows').count()).toBe(0);
    await run.close();
  });
});
