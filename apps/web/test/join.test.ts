/** Checks that a tab joins, computes the bits of one process, stays one worker when it is reloaded, and leaves. */
import { expect, it } from 'vitest';
import { describePage } from './browser.ts';
import { endless, singleHash, startRun } from './run.ts';

describePage('a tab as a worker', ({ browser, folder }) => {
  it('a tab that is reloaded, before the start and in the middle of a step, is the same worker', async () => {
    const run = await startRun(folder, [...endless, '--wait-for-start'], { isSlow: true });
    const tab = await browser.open(run, 'owner');
    await tab.join('cpu', 'tab');
    await tab.workersReady(1);
    await tab.page.reload();
    await tab.panelShows('computes on');
    await tab.workersReady(1);
    await tab.shows('1 worker connected');
    await tab.press('Start');
    await tab.computed(3);
    await tab.withholdGradients();
    await tab.page.reload();
    await tab.computed(3);
    const report = await run.stop();
    expect(report.workers.map(({ id, name }) => ({ id, name }))).toEqual([{ id: 'w1', name: 'tab' }]);
    expect(report.weightsSha256).toBe(await singleHash(folder, report));
    expect(report.faults.disconnects).toBeGreaterThan(0);
  });

  it('a tab with the token joins at once, keeps its work under a new name, and leaves for good', async () => {
    const run = await startRun(folder, [...endless, '--token', 'let me in'], { isSlow: true });
    const guest = await browser.open({ ...run, join: `${run.join}&threads=2` }, 'join');
    await guest.computed(1);
    await guest.panelShows('in 2 threads');
    expect(guest.page.url()).toBe(`${run.page}#join`);
    await guest.press('Rename');
    await guest.page.getByLabel(/^Name of w1 /).fill('Ana');
    await guest.press(/^Save the name of w1 /);
    await run.program.printed(/w1 Ana rejoined/);
    await guest.computed(1);
    // A tab that has left does not rejoin when it is opened again.
    await guest.press('Leave');
    await guest.panelShows('This tab has left.');
    expect(guest.page.url()).toBe(run.page);
    await guest.page.reload();
    await guest.panelShows(/^Let this device help/);
    expect(await guest.page.locator('.join-card .pill').textContent()).toBe('watching');
    expect(guest.errors).toEqual([]);
    const report = await run.stop();
    expect(report.workers.map(({ id, kind, name }) => ({ id, kind, name }))).toEqual([
      { id: 'w1', kind: 'browser', name: 'Ana' },
    ]);
  });
});
