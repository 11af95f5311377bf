/** Checks the room's view, the code that people type there, and a class of tabs and Node workers that all take part. */
import { decodeWatch, encodeWatch, type WatchMessageOf } from '@lockstep/protocol';
import { expect, it } from 'vitest';
import { startWorker } from '../../coordinator/test/processes.ts';
import { seriousViolations } from './axe.ts';
import { describePage } from './browser.ts';
import { singleRun, startRun } from './run.ts';

describePage('a room', ({ browser, folder }) => {
  it('sees the address and the code, with which a guest gets in who types them', async () => {
    const run = await startRun(folder, ['--wait-for-start', '--token', 'a token of more than six letters']);
    const room = await browser.open({ ...run, owner: `${run.owner}&room` }, 'owner');
    const { page } = room;
    const shown = page.locator('.room-code');
    await room.during('the code', shown.waitFor());
    const code = (await shown.textContent()) ?? '';
    // A locked room's view asks a guest for the code, and appears once the code is accepted.
    const guest = await browser.open({ ...run, page: `${run.page}#room` });
    const field = guest.page.getByLabel('Code of this run');
    for (const [typed, answer] of [
      ['AAAAAA', /code or token is wrong/],
      [code.toLowerCase(), 'Waiting for start'],
    ] as const) {
      await guest.during('a field for the code', field.fill(typed));
      await field.press('Enter');
      await guest.shows(answer);
    }
    expect(await field.count()).toBe(0);
    await guest.shows('In the room');
    await guest.page.getByRole('link', { name: 'The run' }).click();
    await guest.join('cpu', 'Ada');
    await room.shows('1 device in the room');
    await room.shows('Ada');
    for (const [colorScheme, width, height] of [
      ['light', 1920, 1080],
      ['dark', 1280, 800],
      ['light', 390, 844],
    ] as const) {
      await page.emulateMedia({ colorScheme });
      await page.setViewportSize({ width, height });
      expect(await seriousViolations(page)).toEqual([]);
      expect(await page.evaluate(() => document.documentElement.scrollWidth > innerWidth)).toBe(false);
    }
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    await room.shows('This tab');
    expect([...room.errors, ...guest.errors]).toEqual([]);
    const stopped = await run.stop();
    expect(JSON.stringify(stopped)).not.toContain(code);
  });

  it('of thirty fits on a projector, each under the name of its browser', async () => {
    const run = await startRun(folder, ['--workers', '1', '--wait-for-start']);
    const room = await browser.open({ ...run, owner: `${run.owner}&room` }, 'owner');
    const { page } = room;
    // Fakes thirty devices, because real ones would take too long.
    await page.routeWebSocket(/\/watch$/, (toPage) => {
      toPage.connectToServer().onMessage((frame) => {
        const message = decodeWatch(frame as Buffer, 'coordinator');
        const all = message.type === 'workers' ? { ...message, workers: classOf(message.workers[0]) } : message;
        toPage.send(Buffer.from(encodeWatch(all)));
      });
    });
    await page.reload();
    await room.shows('30 devices in the room');
    for (const [width, height] of [
      [1920, 1080],
      [1280, 800],
      [1024, 768],
    ] as const) {
      await page.setViewportSize({ width, height });
      expect(await page.evaluate(() => document.documentElement.scrollHeight > innerHeight)).toBe(false);
      const list = (await page.locator('.room-names ul').boundingBox())!;
      const last = (await page.locator('.room-name').last().boundingBox())!;
      expect(last.y + last.height).toBeLessThanOrEqual(list.y + list.height + 1);
    }
  });

  it('of tabs and Node workers takes part, and changes no bit', async () => {
    const args = ['--batch', 'auto', '--expect', '32', '--epochs', '2', '--steps', '30'];
    const run = await startRun(folder, [...args, '--wait-for-start']);
    for (const name of ['n1', 'n2']) startWorker(['--url', run.worker, '--name', name]);
    const owner = await browser.open(run, 'owner');
    const tabs = [owner, await browser.open(run)];
    await Promise.all(tabs.map((tab, index) => tab.join('cpu', `tab ${index}`, 1)));
    await owner.workersReady(4);
    await owner.press('Start');
    const report = await run.report();
    expect(report.workers.map(({ kind }) => kind).sort()).toEqual(['browser', 'browser', 'node', 'node']);
    // On a busy machine some may be too slow for a share.
    expect(report.workers.filter(({ shards }) => shards > 0).length).toBeGreaterThan(1);
    expect(report.weightsSha256).toBe((await singleRun(folder, args)).weightsSha256);
  });
});

type WorkerRow = WatchMessageOf<'workers'>['workers'][number];

/** Returns thirty copies of a device. */
function classOf(one: WorkerRow | undefined): WorkerRow[] {
  if (!one) return [];
  return Array.from({ length: 30 }, (_, index) => ({ ...one, id: `w${index + 1}`, name: 'Chrome on Windows' }));
}
