/** An owner brings the data of a run on the page, and starts it there. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { describePage } from './browser.ts';
import { singleRun, startRun } from './run.ts';
import type { Tab } from './tab.ts';

const irisFile = fileURLToPath(new URL('../../../docs/iris.csv', import.meta.url));

/** Drops a file on the page, as a person does. */
async function drop(tab: Tab, name: string, text: string): Promise<void> {
  const dataTransfer = await tab.page.evaluateHandle(
    ({ name, text }) => {
      const transfer = new DataTransfer();
      transfer.items.add(new File([text], name));
      return transfer;
    },
    { name, text },
  );
  await tab.page.dispatchEvent('.drop-zone', 'drop', { dataTransfer });
}

describePage('data from the page', ({ browser, folder }) => {
  it('are dropped there, looked at, and trained on with the bits of one process', async () => {
    const length = ['--epochs', '3'];
    const run = await startRun(folder, ['--data', 'upload', ...length]);
    const tab = await browser.open(run, 'owner');
    await tab.join('cpu', 'tab');
    await tab.panelShows('the run waits for its data');
    const guest = await browser.open(run);
    await guest.shows('The run waits for its data, which its owner brings');
    expect(await guest.page.locator('.drop-zone').count()).toBe(0);

    await drop(tab, 'bad.csv', 'a,label\n1,x\n2,y\n,x\n4,y\n');
    await tab.shows(/^bad\.csv: line 4, column a: expected/);
    await drop(tab, 'iris.csv', readFileSync(irisFile, 'utf8'));
    await tab.shows(/^iris\.csv: 150 rows, 4 numbers each, 3 classes \(setosa, versicolor, virginica\)/);
    expect(await tab.page.locator('.data-rows tbody tr').first().locator('td').allTextContents()).toEqual([
      '5.1',
      '3.5',
      '1.4',
      '0.2',
      'setosa',
    ]);
    await tab.press('Start');
    const { weightsSha256, workers } = await run.report();
    expect(weightsSha256).toBe((await singleRun(folder, ['--data', irisFile, ...length])).weightsSha256);
    expect(workers).toMatchObject([{ name: 'tab', kind: 'browser' }]);
    const headings = await guest.page.locator('.matrix thead th').allTextContents();
    expect(headings.map((text) => text.trim())).toEqual(['setosa', 'versicolor', 'virginica']);
    expect([...tab.errors, ...guest.errors]).toEqual([]);
  });
});
