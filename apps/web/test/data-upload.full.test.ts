/** Checks that an owner can upload the data of a run on the page and start the run there. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Page } from 'playwright-core';
import { expect, it } from 'vitest';
import { seriousViolations } from './axe.ts';
import { describePage } from './browser.ts';
import { singleRun, startRun } from './run.ts';

const irisFile = fileURLToPath(new URL('../../../docs/iris.csv', import.meta.url));

describePage('data from the page', ({ browser, folder }) => {
  it('are dropped there, looked at, and trained on with the bits of one process', async () => {
    const length = ['--epochs', '3'];
    const run = await startRun(folder, ['--data', 'upload', ...length]);
    const tab = await browser.open(run, 'owner');
    await tab.join('cpu', 'tab');
    await tab.panelShows('the run waits for its data');
    const guest = await browser.open(run);
    await guest.shows('The run waits for its data. Its owner chooses it on this page');
    expect(await guest.page.locator('.drop-zone').count()).toBe(0);

    const bad = join(folder, 'bad.csv');
    await writeFile(bad, 'a,label\n1,x\n2,y\n,x\n4,y\n');
    await tab.drop(bad);
    await tab.shows(/^bad\.csv: line 4, column a: expected/);
    await tab.drop(irisFile);
    await tab.shows(/^iris\.csv: 150 rows, 4 numbers each, 3 classes \(setosa, versicolor, virginica\)/);
    expect(await tab.page.locator('.data-rows tbody tr').first().locator('td').allTextContents()).toEqual([
      '5.1',
      '3.5',
      '1.4',
      '0.2',
      'setosa',
    ]);
    await tab.page.setViewportSize({ width: 390, height: 844 });
    expect(await seriousViolations(tab.page)).toEqual([]);
    await tab.press('Start');
    const { weightsSha256, workers } = await run.report();
    expect(weightsSha256).toBe((await singleRun(folder, ['--data', irisFile, ...length])).weightsSha256);
    expect(workers).toMatchObject([{ name: 'tab', kind: 'browser' }]);
    const headings = await guest.page.locator('.matrix thead th').allTextContents();
    expect(headings.map((text) => text.trim())).toEqual(['setosa', 'versicolor', 'virginica']);
    expect([...tab.errors, ...guest.errors]).toEqual([]);
  });

  it('are a table with hundreds of columns, of which the owner ignores some by keyboard', async () => {
    const tab = await browser.open(await startRun(folder, ['--data', 'upload']), 'owner');
    const names = [...Array.from({ length: 400 }, (_, column) => `column ${column}`), 'label'];
    const rows = Array.from({ length: 300 }, (_, row) =>
      names.map((_name, column) => (column === 400 ? row % 2 : column % 390 === 1 ? `text ${row}` : row % 5)),
    );
    const wide = join(folder, 'wide.csv');
    await writeFile(wide, [names, ...rows].join('\n'));
    await tab.drop(wide);
    await tab.shows(/got column 1 \(300 texts .*\), column 391 \(300 texts .*\): ignore them$/);
    await tab.page.getByText('Columns to ignore: none').focus();
    await tab.page.keyboard.press('Enter');
    for (const name of ['column 1', 'column 391']) {
      await tab.page.getByLabel(name, { exact: true }).focus();
      await tab.page.keyboard.press('Space');
    }
    await tab.shows(/^wide\.csv: 300 rows, 398 numbers each/);
    await tab.shows('Columns to ignore: column 1, column 391');
    const focused = tab.page.locator(':focus');
    expect(await focused.evaluate((box) => box.parentElement?.textContent)).toBe('column 391');
    const headings = await tab.page.locator('.data-rows thead th').allTextContents();
    expect(headings).toEqual([0, 2, 3, 4, 5, 6, 7, 8].map((column) => `column ${column}`).concat('label'));
    await tab.page.setViewportSize({ width: 390, height: 844 });
    expect(await tab.page.evaluate(() => document.documentElement.scrollWidth)).toBe(390);
    expect(await seriousViolations(tab.page)).toEqual([]);
  });

  it('are a text, which a transformer learns to write', async () => {
    const settings = ['--model', 'gpt-nano', '--batch', '4', '--epochs', '1'];
    const run = await startRun(folder, ['--data', 'upload', ...settings]);
    const tab = await browser.open(run, 'owner');
    await tab.join('cpu', 'tab');
    const song = join(folder, 'song.txt');
    await writeFile(song, 'la la\nli li lo\n'.repeat(40));
    await tab.drop(song);
    await tab.shows(/^song\.txt: text of 600 characters, 6 different/);
    await tab.press('Start');
    const { weightsSha256, workers } = await run.report();
    expect(weightsSha256).toBe((await singleRun(folder, ['--data', song, ...settings])).weightsSha256);
    expect(workers).toMatchObject([{ name: 'tab', kind: 'browser' }]);
    expect(tab.errors).toEqual([]);
  });

  it('are pictures, which keep their shape where they are shown', async () => {
    const tab = await browser.open(await startRun(folder, ['--data', 'upload']), 'owner', { colorScheme: 'light' });
    const pictures = join(folder, 'pictures');
    for (const [name, color] of [
      ['red', '#800000'],
      ['blue', '#000080'],
    ] as const) {
      await mkdir(join(pictures, name), { recursive: true });
      const png = await wideBar(tab.page, color);
      for (const index of [0, 1, 2, 3]) await writeFile(join(pictures, name, `${index}.png`), png);
    }
    await tab.page.getByLabel('Folder', { exact: true }).setInputFiles(pictures);
    await tab.shows(/^pictures: 8 pictures, 2 classes \(blue, red\), 40 x 10/);
    const [top, middle] = await brightness(tab.page, await tab.page.locator('.examples canvas').first().screenshot());
    expect(top).toBeGreaterThan(200);
    expect(middle).toBeLessThan(60);
  });
});

/** Returns a PNG of 40 x 10 pixels. */
async function wideBar(page: Page, color: string): Promise<Buffer> {
  const url = await page.evaluate((fill) => {
    const canvas = Object.assign(document.createElement('canvas'), { width: 40, height: 10 });
    const context = canvas.getContext('2d')!;
    context.fillStyle = fill;
    context.fillRect(0, 0, 40, 10);
    return canvas.toDataURL('image/png');
  }, color);
  return Buffer.from(url.slice(url.indexOf(',') + 1), 'base64');
}

/** Returns the mean of red, green and blue near the top of a picture and in its middle. */
async function brightness(page: Page, png: Buffer): Promise<[number, number]> {
  return page.evaluate(
    async (bytes) => {
      const image = await createImageBitmap(new Blob([Uint8Array.from(bytes)]));
      const context = new OffscreenCanvas(image.width, image.height).getContext('2d')!;
      context.drawImage(image, 0, 0);
      const at = (part: number): number => {
        const { data } = context.getImageData(image.width / 2, Math.floor(image.height * part), 1, 1);
        return (data[0]! + data[1]! + data[2]!) / 3;
      };
      return [at(0.2), at(0.5)] as [number, number];
    },
    [...png],
  );
}
