/** Every state that a run can be in, as owner and guests see it: accessible, nothing cut off, and nothing that jumps. */
import { expect, it } from 'vitest';
import { tinyArgs } from '../../../packages/train/test/tiny-data.ts';
import { violations } from './axe.ts';
import { describePage } from './browser.ts';
import { textWithoutPlace } from './layout.ts';
import { type RunAddresses, startRun } from './run.ts';
import type { Tab } from './tab.ts';

/** Of a run that does not end meanwhile. */
const long = ['--epochs', '100'] as const;

/** Each run is looked at on all at once: what costs most is to start it and to open its pages. */
const screens = [
  { viewport: { width: 1280, height: 800 }, colorScheme: 'light' },
  { viewport: { width: 768, height: 1024 }, colorScheme: 'light' },
  { viewport: { width: 390, height: 844 }, colorScheme: 'dark' },
] as const;

/** Looks at the pages as they are. @param what they show, for the test that fails */
async function look(tabs: readonly Tab[], what: string, mayShift?: MayShift): Promise<void> {
  for (const tab of tabs) await lookAt(tab, `${what}, ${tab.page.viewportSize()?.width} pixels wide`, mayShift);
}

/** What may move, by the texts of its elements. */
type MayShift = (nodes: readonly string[]) => boolean;

async function lookAt(tab: Tab, state: string, mayShift: MayShift = () => false): Promise<void> {
  const { page, errors } = tab;
  expect(await violations(page), state).toEqual([]);
  expect(await page.evaluate(() => document.documentElement.scrollWidth > innerWidth), state).toBe(false);
  expect(await textWithoutPlace(page), state).toEqual([]);
  const shifted = (await tab.layoutShifts()).filter(({ score, nodes }) => score > 0.01 && !mayShift(nodes));
  expect(shifted, state).toEqual([]);
  expect(errors, state).toEqual([]);
}

function each(tabs: readonly Tab[], act: (tab: Tab) => Promise<unknown>): Promise<unknown[]> {
  return Promise.all(tabs.map(act));
}

describePage('every state, wide and narrow', ({ browser, folder }) => {
  const open = (run: RunAddresses, address: 'page' | 'owner'): Promise<Tab[]> =>
    Promise.all(screens.map((screen) => browser.open(run, address, screen)));

  it('of a run that waits, trains, pauses and is stopped', async () => {
    const run = await startRun(folder, [...long, '--workers', '1', '--wait-for-start']);
    const owners = await open(run, 'owner');
    const [owner] = owners as [Tab];
    const all = [...owners, ...(await open(run, 'page'))];
    await each(all, (tab) => tab.shows('Waiting for start'));
    await each(all, (tab) => tab.shows('1 worker connected'));
    await look(all, 'waiting');
    await owner.press('Start');
    await each(all, (tab) => tab.shows('Training', { exact: true }));
    await each(all, (tab) => tab.shows(/^\d+ (min|h) \d\d/));
    await look(all, 'training');
    await owner.press('Pause');
    await each(all, (tab) => tab.shows('Paused', { exact: true }));
    await look(all, 'paused');
    await owner.press('Stop');
    await owner.press('Stop for good');
    await run.report();
    await each(all, ({ page }) => page.getByText('Stopped', { exact: true }).first().waitFor());
    await look(all, 'stopped');
  });

  it('of tabs that take part, to the end of their run', async () => {
    const args = [...(await tinyArgs(folder)), '--epochs', '4', '--wait-for-start', '--stay'];
    const owners = await open(await startRun(folder, args), 'owner');
    await each(owners, (owner) => owner.join('cpu', 'Tablet 17 of class 4b, at the window on the left'));
    await each(owners, (owner) => owner.workersReady(screens.length));
    for (const { page } of owners) {
      const [name, tag] = [page.locator('.workers th:has(.tag)'), page.locator('.tag')];
      const [within, box] = [(await name.boundingBox())!, (await tag.boundingBox())!];
      expect(box.x + box.width).toBeLessThanOrEqual(within.x + within.width);
    }
    await look(owners, 'joined');
    await owners[0]!.press('Start');
    await each(owners, (owner) => owner.panelShows('This tab stays for the next run.'));
    // A worker may have been idle for a while, which takes a longer word than that it has finished.
    const areCells: MayShift = (nodes) => nodes.every((node) => node.startsWith('TD: '));
    await look(owners, 'finished as a worker', areCells);
  });

  it('of a run that fails', async () => {
    const args = [...(await tinyArgs(folder)), '--epochs', '50', '--optimizer', 'sgd', '--lr', '1e30'];
    const run = await startRun(folder, [...args, '--workers', '1', '--wait-for-start', '--stay']);
    const owners = await open(run, 'owner');
    await each(owners, (owner) => owner.shows('1 worker connected'));
    await owners[0]!.press('Start');
    await each(owners, ({ page }) => page.getByText('Failed', { exact: true }).first().waitFor());
    for (const { page } of owners) {
      // Why, and what to try.
      expect(await page.locator('.notice').textContent()).toMatch(/^Step \d+: .*; try a smaller learning rate\.$/);
    }
    await look(owners, 'failed');
  });

  it('of a page that loses its coordinator', async () => {
    const run = await startRun(folder, [...long, '--workers', '1']);
    const guests = await open(run, 'page');
    await each(guests, (guest) => guest.shows('Training', { exact: true }));
    await each(guests, (guest) => guest.loaded());
    run.program.killGroup('SIGKILL');
    await each(guests, ({ page }) => page.getByText('Connection lost', { exact: true }).waitFor());
    await each(guests, ({ page }) => page.getByText(/^Not connected: /).waitFor());
    await look(guests, 'lost');
  });

  it('of a guest who must be let in', async () => {
    const run = await startRun(folder, ['--wait-for-start', '--token', 'a token of more than six letters']);
    const guests = await open(run, 'page');
    for (const guest of guests) {
      const field = guest.page.getByLabel('Code of this run');
      await guest.during('a field for the code', field.waitFor());
      await guest.shows(/^Not connected: watching this run needs its token/);
      await look([guest], 'no token');
      await field.fill('AAAAAA');
      await field.press('Enter');
      await guest.shows(/not the token of this run/);
      await look([guest], 'wrong code');
    }
  });

  it('of a guest with a wrong admin token', async () => {
    const run = await startRun(folder, [...long, '--workers', '1']);
    const guests = await open(run, 'page');
    await each(guests, async (guest) => {
      await guest.shows('Training', { exact: true });
      await guest.press('Control');
      await guest.page.getByLabel('Admin token').fill('guess');
      await guest.press('Unlock');
      await guest.shows(/not the admin token of this run/);
    });
    await look(guests, 'wrong admin token');
  });

  it('of the room: gathering, training, over', async () => {
    const args = [...(await tinyArgs(folder)), '--epochs', '4', '--token', 'a token of more than six letters'];
    const run = await startRun(folder, [...args, '--workers', '1', '--wait-for-start', '--stay']);
    const rooms = await open({ ...run, owner: `${run.owner}&room` }, 'owner');
    const owners = await open(run, 'owner');
    await each(rooms, (room) => room.shows('1 device in the room'));
    for (const { page } of rooms) expect(await page.locator('.room-figure').textContent()).toBe('1');
    await look(rooms, 'gathering');
    await owners[0]!.press('Start');
    await each(rooms, (room) => room.shows('Test accuracy'));
    await look(rooms, 'training');
    await each(rooms, async (room) => {
      await room.shows('Finished');
      await room.shows('1 device trained it');
      await room.shows(/^local-1$/);
    });
    await look(rooms, 'over');
    await each(owners, async (owner) => {
      await owner.shows('1 worker at the end');
      await owner.shows('Time taken');
    });
    await look(owners, 'finished');
  });
});
