/** Every state that a run can be in, as owner and guests see it: accessible, nothing cut off, and nothing that jumps. */
import { expect, it } from 'vitest';
import { tinyArgs } from '../../../packages/train/test/tiny-data.ts';
import { violations } from './axe.ts';
import { describePage } from './browser.ts';
import { startRun } from './run.ts';
import type { Tab } from './tab.ts';

/** Of a run that does not end meanwhile. */
const long = ['--epochs', '100'] as const;

const screens = [
  { viewport: { width: 1280, height: 800 }, colorScheme: 'light' },
  { viewport: { width: 390, height: 844 }, colorScheme: 'dark' },
] as const;

/** Looks at the page as it is. @param state what it shows, for the test that fails */
async function look(tab: Tab, state: string): Promise<void> {
  const { page, errors } = tab;
  expect(await violations(page), state).toEqual([]);
  expect(await page.evaluate(() => document.documentElement.scrollWidth > innerWidth), state).toBe(false);
  const shifted = (await tab.layoutShifts()).filter(({ score }) => score > 0.01);
  expect(shifted, state).toEqual([]);
  expect(errors, state).toEqual([]);
}

/** Waits for all that a page loads by itself, what the end of a run needs last. */
async function isLoaded(tab: Tab): Promise<void> {
  const hasAll = (): boolean => {
    const loaded = performance.getEntriesByType('resource').map(({ name }) => name);
    const asked = [...document.querySelectorAll<HTMLLinkElement>('link[rel=modulepreload]')].map(({ href }) => href);
    return loaded.some((name) => name.includes('/final-model-')) && asked.every((href) => loaded.includes(href));
  };
  await tab.during('the page to be loaded', tab.page.waitForFunction(hasAll));
}

describePage('every state', ({ browser, folder }) => {
  it.each(screens)(
    'of a run that waits, trains, pauses and is stopped, $viewport.width pixels wide',
    async (screen) => {
      const run = await startRun(folder, [...long, '--workers', '1', '--wait-for-start']);
      const owner = await browser.open(run, 'owner', screen);
      const guest = await browser.open(run, 'page', screen);
      for (const tab of [owner, guest]) {
        await tab.shows('Waiting for start');
        await tab.shows('1 worker connected');
        await look(tab, 'waiting');
      }
      await owner.press('Start');
      for (const tab of [owner, guest]) {
        await tab.shows('Training', { exact: true });
        await look(tab, 'training');
      }
      await owner.press('Pause');
      for (const tab of [owner, guest]) {
        await tab.shows('Paused', { exact: true });
        await look(tab, 'paused');
      }
      await owner.press('Stop');
      await owner.press('Stop for good');
      await run.report();
      for (const { page } of [owner, guest]) await page.getByText('Stopped', { exact: true }).first().waitFor();
      await look(owner, 'stopped');
      await look(guest, 'stopped');
    },
  );

  it.each(screens)('of a run that fails, $viewport.width pixels wide', async (screen) => {
    const args = [...(await tinyArgs(folder)), '--epochs', '50', '--optimizer', 'sgd', '--lr', '1e30'];
    const run = await startRun(folder, [...args, '--workers', '1', '--wait-for-start', '--stay']);
    const owner = await browser.open(run, 'owner', screen);
    await owner.shows('1 worker connected');
    await owner.press('Start');
    const { page } = owner;
    await page.getByText('Failed', { exact: true }).first().waitFor();
    // Why, and what to try.
    expect(await page.locator('.notice').textContent()).toMatch(/^Step \d+: .*; try a smaller learning rate\.$/);
    await look(owner, 'failed');
  });

  it.each(screens)('of a page that loses its coordinator, $viewport.width pixels wide', async (screen) => {
    const run = await startRun(folder, [...long, '--workers', '1']);
    const guest = await browser.open(run, 'page', screen);
    await guest.shows('Training', { exact: true });
    await isLoaded(guest);
    run.program.killGroup('SIGKILL');
    await guest.page.getByText('Connection lost', { exact: true }).waitFor();
    await guest.page.getByText(/^Not connected: /).waitFor();
    await look(guest, 'lost');
  });

  it.each(screens)('of a guest who must be let in, $viewport.width pixels wide', async (screen) => {
    const run = await startRun(folder, ['--wait-for-start', '--token', 'a token of more than six letters']);
    const guest = await browser.open(run, 'page', screen);
    const field = guest.page.getByLabel('Code of this run');
    await guest.during('a field for the code', field.waitFor());
    await guest.shows(/^Not connected: watching this run needs its token/);
    await look(guest, 'no token');
    await field.fill('AAAAAA');
    await field.press('Enter');
    await guest.shows(/not the token of this run/);
    await look(guest, 'wrong code');
  });

  it.each(screens)('of a guest with a wrong admin token, $viewport.width pixels wide', async (screen) => {
    const run = await startRun(folder, [...long, '--workers', '1']);
    const guest = await browser.open(run, 'page', screen);
    await guest.shows('Training', { exact: true });
    await guest.press('Control');
    await guest.page.getByLabel('Admin token').fill('guess');
    await guest.press('Unlock');
    await guest.shows(/not the admin token of this run/);
    await look(guest, 'wrong admin token');
  });

  it.each(screens)('of the room: gathering, training, over, $viewport.width pixels wide', async (screen) => {
    const args = [...(await tinyArgs(folder)), '--epochs', '4', '--token', 'a token of more than six letters'];
    const run = await startRun(folder, [...args, '--workers', '1', '--wait-for-start', '--stay']);
    const room = await browser.open({ ...run, owner: `${run.owner}&room` }, 'owner', screen);
    const owner = await browser.open(run, 'owner', screen);
    await room.shows('1 device in the room');
    expect(await room.page.locator('.room-figure').textContent()).toBe('1');
    await look(room, 'gathering');
    await owner.press('Start');
    await room.shows('Test accuracy');
    await look(room, 'training');
    await room.shows('Finished');
    await room.shows('1 device trained it');
    await room.shows(/^local-1$/);
    await look(room, 'over');
    await owner.shows('1 worker at the end');
    await owner.shows('Time taken');
    await look(owner, 'finished');
  });
});
