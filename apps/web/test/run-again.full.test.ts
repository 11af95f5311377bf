/** Checks three runs started from the page, with a tab that stays joined. */
import { createServer } from 'node:http';
import { expect, it } from 'vitest';
import { freePort } from '../../../packages/train/test/free-port.ts';
import { tinyArgs } from '../../../packages/train/test/tiny-data.ts';
import { seriousViolations } from './axe.ts';
import { describePage } from './browser.ts';
import { singleRun, startRun } from './run.ts';
import type { Tab } from './tab.ts';

describePage('a server that stays', ({ browser, folder }) => {
  it('has another run from the page, and then another, each with the bits of one process', async () => {
    const args = await tinyArgs(folder);
    const epochs = ['--epochs', '3'];
    const run = await startRun(folder, [...args, ...epochs, '--stay']);
    const tab = await browser.open(run, 'owner');
    await tab.join('cpu', 'tab');
    /** Returns the weights' hashes of the first runs, as the terminal shows them. */
    const hashes = async (count: number): Promise<string[]> => {
      const [text] = await run.program.printed(new RegExp(`(?:weights [0-9a-f]{16}…[^]*?){${count}}`));
      return [...text.matchAll(/weights ([0-9a-f]{16})/g)].map(([, hash]) => hash!);
    };
    await hashes(1);
    const form = tab.page.getByRole('dialog', { name: 'Run again' });
    await tab.press('Run again');
    await form.getByLabel('Learning rate').fill('0.2');
    await tab.press('Start the run');
    await hashes(2);
    await tab.shows('lr 0.2');
    await tab.press('Run again');
    await form.getByLabel('Optimizer').selectOption('adam');
    // The learning rate of the last run's optimizer is not that of another one.
    expect(await form.getByLabel('Learning rate').inputValue()).toBe('');
    await form.getByLabel('Learning rate').fill('-1');
    await tab.press('Start the run');
    await tab.shows('Learning rate: expected a number above 0, got -1');
    await form.getByLabel('Learning rate').fill('');
    await form.getByLabel('Seed').fill('0.5');
    await tab.press('Start the run');
    await tab.shows('seed: expected a whole number from 0 to 4294967295, got 0.5');
    await form.getByLabel('Seed').fill('7');
    await form.getByLabel('Epochs').fill('4');
    await form.getByLabel('Schedule').selectOption('cosine');
    await tab.press('Start the run');
    const found = await hashes(3);
    const changes = [
      epochs,
      [...epochs, '--lr', '0.2'],
      ['--optimizer', 'adam', '--seed', '7', '--epochs', '4', '--schedule', 'cosine'],
    ];
    const expected = await Promise.all(changes.map((more) => singleRun(folder, [...args, ...more])));
    expect(found).toEqual(expected.map(({ weightsSha256 }) => weightsSha256.slice(0, 16)));
    const legend = tab.page.getByRole('list', { name: 'Runs' }).first().locator('.key');
    await tab.during('three curves', legend.nth(2).waitFor());
    expect((await legend.allTextContents()).map((text) => text.split(',')[0])).toEqual([
      'adam',
      'momentum',
      'momentum',
    ]);
    await comparesRuns(tab);
    expect(tab.errors).toEqual([]);
    run.program.kill('SIGINT');
    const { code, stdout } = await run.program.ended;
    expect(code).toBe(0);
    expect(stdout.match(/tab joined/g)).toHaveLength(3);
    await tab.panelShowsAtEnd('The run is over');
  });

  it('is left behind by a tab that stays for the next run, which joins the server that follows', async () => {
    const port = await freePort();
    const args = [...(await tinyArgs(folder)), '--epochs', '3', '--stay'];
    const first = await startRun(folder, args, { port });
    const tab = await browser.open(first, 'join');
    await tab.panelShows('This tab stays for the next run.');
    first.program.kill('SIGINT');
    await first.program.ended;
    await tab.panelShowsAtEnd('The coordinator has ended; these are its last results.');
    // A worker in a terminal would have given up after four failures.
    await turnAway(port, 4);
    const second = await startRun(folder, args, { port });
    await second.program.printed(/joined \(browser/);
    expect((await second.stop()).workers).toMatchObject([{ kind: 'browser' }]);
    expect(tab.errors).toEqual([]);
  });
});

/**
 * Listens on a port and drops connections.
 * @param count number of workers' attempts, after which it stops listening
 */
async function turnAway(port: number, count: number): Promise<void> {
  let turnedAway = 0;
  const server = createServer();
  await new Promise<void>((resolve) => {
    server.on('upgrade', ({ url }, socket) => {
      socket.destroy();
      if (url === '/') turnedAway += 1;
      if (turnedAway === count) resolve();
    });
    server.listen(port, '127.0.0.1');
  });
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
}

/** Expects the settings and results of each run, sorted by any column, with the keyboard alone and on a phone. */
async function comparesRuns({ page }: Tab): Promise<void> {
  const table = page.getByRole('region', { name: 'Table of runs' });
  const column = (title: string) => table.locator('thead th').filter({ hasText: title });
  /** Returns the cells of a column, row by row. */
  const cells = async (title: string): Promise<string[]> => {
    const titles = await table.locator('thead th').allTextContents();
    const at = titles.findIndex((text) => text.includes(title));
    const rows = await table.locator('tbody tr').all();
    return Promise.all(rows.map(async (row) => (await row.locator('th, td').nth(at).textContent())!.trim()));
  };
  expect(await cells('Optimizer')).toEqual(['adam', 'momentum', 'momentum']);
  expect((await cells('Seed'))[0]).toBe('7');
  expect(await cells('Epochs')).toEqual(['4', '3', '3']);
  expect(await cells('Schedule')).toEqual(['cosine', 'constant', 'constant']);
  expect((await cells('Learning rate'))[2]).toBe('0.2');
  expect(await cells('Workers')).toEqual(['1', '1', '1']);
  for (const result of ['Test accuracy', 'Test loss', 'Time']) expect(await cells(result)).not.toContain('–');
  const losses = (await cells('Test loss')).map(Number);
  await column('Test loss').getByRole('button').focus();
  for (const [direction, sign] of [
    ['descending', -1],
    ['ascending', 1],
  ] as const) {
    await page.keyboard.press('Enter');
    expect(await column('Test loss').getAttribute('aria-sort')).toBe(direction);
    expect((await cells('Test loss')).map(Number)).toEqual(losses.toSorted((a, b) => sign * (a - b)));
  }
  await page.setViewportSize({ width: 390, height: 844 });
  await expect.poll(() => page.evaluate(() => document.documentElement.scrollWidth)).toBe(390);
  expect(await seriousViolations(page)).toEqual([]);
}
