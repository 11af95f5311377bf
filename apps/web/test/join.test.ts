/** Tabs as workers: the model does not depend on them, whatever happens to them. */
import { describe, expect, it } from 'vitest';
import { temporaryFolder } from '../../coordinator/test/folder.ts';
import { startWorker } from '../../coordinator/test/processes.ts';
import {
  computed,
  hasBrowser,
  holdGradients,
  inChromium,
  joinRun,
  press,
  says,
  saysAtLast,
  shows,
  type Tab,
  testPatienceMs,
  useBrowser,
  workersReady,
} from './browser.ts';
import { endless, singleHash, singleRun, startRun } from './run.ts';

describe.skipIf(!hasBrowser)(inChromium('tabs as workers'), { timeout: testPatienceMs }, () => {
  const folder = temporaryFolder();
  const browser = useBrowser();

  it('two tabs and a Node worker train the model that one process trains, to 95 % in an epoch', async () => {
    const run = await startRun(folder, ['--epochs', '1', '--wait-for-start']);
    const tabs = [await browser.open(run, 'owner'), await browser.open(run)] as const;
    await joinRun(tabs[0], 'cpu', 'first tab');
    await joinRun(tabs[1], 'cpu', 'second tab');
    startWorker(['--url', run.worker, '--name', 'terminal']);
    await workersReady(tabs[0], 3);
    await shows(tabs[0], '3 workers here');
    await press(tabs[0], 'Start');
    const report = await run.report();
    for (const tab of tabs) await saysAtLast(tab, /The run is over/);
    expect(report.exactness).toBe('bit-exact');
    expect(report.weightsSha256).toBe((await singleRun(folder, ['--epochs', '1'])).weightsSha256);
    expect(report.epochs.at(-1)!.testAccuracy).toBeGreaterThanOrEqual(0.95);
    const kinds = report.workers.map(({ name, kind, backend }) => ({ name, kind, backend }));
    expect(kinds.sort((a, b) => a.name.localeCompare(b.name))).toEqual([
      { name: 'first tab', kind: 'browser', backend: 'cpu' },
      { name: 'second tab', kind: 'browser', backend: 'cpu' },
      { name: 'terminal', kind: 'node', backend: 'cpu' },
    ]);
    for (const { shards } of report.workers) expect(shards).toBeGreaterThan(0);
    expect(tabs.flatMap(({ errors }) => errors)).toEqual([]);
  });

  const faults: Readonly<Record<string, (tab: Tab) => Promise<void>>> = {
    closed: (tab) => tab.page.close(),
    crashed: async (tab) => {
      const crash = tab.page.waitForEvent('crash');
      void tab.page.goto('chrome://crash').catch(() => {});
      await crash;
    },
    frozen: async (tab) => {
      // Its thread stands still for longer than any test lasts; nobody waits for the answer.
      const stop = (): string => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 3_600_000);
      void tab.page
        .workers()[0]!
        .evaluate(stop)
        .catch(() => {});
    },
  };

  it.each(Object.entries(faults))('a tab that is %s in the middle of a step changes no bit', async (_, fail) => {
    const run = await startRun(folder, endless);
    const [tab, viewer] = [await browser.open(run), await run.watch()];
    await joinRun(tab, 'cpu', 'tab');
    await computed(tab, 3);
    await holdGradients(tab);
    await fail(tab);
    startWorker(['--url', run.worker, '--name', 'terminal']);
    await viewer.next('workers', ({ workers }) =>
      workers.some(({ name, shards }) => name === 'terminal' && shards > 9),
    );
    const report = await run.stop();
    expect(report.weightsSha256).toBe(await singleHash(folder, report));
    const { disconnects, duplicated } = report.faults;
    expect(disconnects + duplicated).toBeGreaterThan(0);
  });

  it('a tab that is reloaded in the middle of a step comes back by itself and changes no bit', async () => {
    const run = await startRun(folder, endless);
    const tab = await browser.open(run);
    await joinRun(tab, 'cpu', 'tab');
    await computed(tab, 3);
    await holdGradients(tab);
    await tab.page.reload();
    await computed(tab, 3);
    const report = await run.stop();
    expect(report.weightsSha256).toBe(await singleHash(folder, report));
    expect(report.faults.disconnects).toBeGreaterThan(0);
  });

  it('a tab that comes back after a reload is the same worker, and joins by itself', async () => {
    const run = await startRun(folder, ['--steps', '150', '--wait-for-start']);
    const tab = await browser.open(run, 'owner');
    await joinRun(tab, 'cpu', 'tab');
    await workersReady(tab, 1);
    await tab.page.reload();
    await says(tab, 'computes on');
    await workersReady(tab, 1);
    await shows(tab, '1 worker here');
    await press(tab, 'Start');
    const report = await run.report();
    expect(report.workers.map(({ id, name }) => ({ id, name }))).toEqual([{ id: 'w1', name: 'tab' }]);
    expect(report.weightsSha256).toBe(await singleHash(folder, report));
  });

  it('a tab that nobody sees goes on, is shown as hidden, and looks for a coordinator that has gone', async () => {
    const run = await startRun(folder, endless);
    const owner = await browser.open(run, 'owner');
    const tab = await browser.open(run);
    await joinRun(tab, 'cpu', 'tab');
    await computed(tab, 3);
    // What a browser tells a page when its tab goes to the back; background.test.ts has a tab that is really there.
    await tab.page.evaluate(() => {
      Object.defineProperty(document, 'hidden', { get: () => true });
      document.dispatchEvent(new Event('visibilitychange'));
    });
    await shows(owner, 'good, hidden');
    await computed(tab, (await computed(tab, 0)) + 50);
    run.program.kill('SIGKILL');
    await saysAtLast(tab, /trying again/);
  });

  it('without the token a tab is refused, with the sentence on the page', async () => {
    const run = await startRun(folder, [...endless, '--token', 'let me in']);
    const stranger = await browser.open(run);
    await joinRun(stranger, 'cpu', 'stranger');
    await says(stranger, /refused this tab: the token is not the one in the join address/);
    const guest = await browser.open(run, 'join');
    await computed(guest, 1);
    expect(guest.page.url()).toBe(`${run.page}#join`);
    expect([...stranger.errors, ...guest.errors]).toEqual([]);
    const report = await run.stop();
    expect(report.workers.map(({ kind }) => kind)).toEqual(['browser']);
  });
});
