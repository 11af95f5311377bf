/** Checks that the threads of a tab change no bit of the model, and that a page which cannot have them says why. */
import { expect, it } from 'vitest';
import { freePort } from '../../../packages/train/test/free-port.ts';
import { seriousViolations } from './axe.ts';
import { describePage, foreignName } from './browser.ts';
import { endless, singleHash, singleRun, startRun } from './run.ts';

describePage('the threads of a tab', ({ browser, folder }) => {
  it.each([
    ['mlp', '60'],
    ['cnn', '8'],
  ])('train the model that one process trains: %s', async (model, steps) => {
    const args = ['--model', model, '--steps', steps];
    const run = await startRun(folder, [...args, '--wait-for-start']);
    const tab = await browser.open(run, 'owner');
    expect(await tab.page.evaluate(() => crossOriginIsolated)).toBe(true);
    await tab.join('cpu', 'tab', 2);
    await tab.workersReady(1);
    await tab.panelShows('in 2 threads');
    await tab.press('Start');
    const report = await run.report();
    expect(report).toMatchObject({ exactness: 'bit-exact', workers: [{ kind: 'browser', backend: 'cpu' }] });
    expect(report.weightsSha256).toBe((await singleRun(folder, args)).weightsSha256);
    expect(tab.errors).toEqual([]);
    expect(tab.foreignRequests).toEqual([]);
  });

  it('are one where the page is not secure, and the page says why', async () => {
    const port = await freePort();
    const origin = `http://${foreignName}:${port}`;
    const run = await startRun(folder, [...endless, '--allow-origin', origin], port);
    const tab = await browser.open({ ...run, page: `${origin}/` });
    expect(await tab.page.evaluate(() => crossOriginIsolated)).toBe(false);
    const reason = 'several threads exist only over https or on localhost: start the coordinator with --tls';
    await tab.panelShows(`One thread: ${reason}`);
    expect(await tab.page.getByLabel('Threads').isDisabled()).toBe(true);
    await tab.join('cpu', 'tab');
    await tab.computed(2);
    await tab.page.setViewportSize({ width: 320, height: 640 });
    await tab.page.getByText(/^Why not faster/).click();
    expect(await seriousViolations(tab.page)).toEqual([]);
    const report = await run.stop();
    expect(report.weightsSha256).toBe(await singleHash(folder, report));
  });
});
