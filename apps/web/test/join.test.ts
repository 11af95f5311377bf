/** Tabs as workers: the model does not depend on them, whatever happens to them. */
import { describe, expect, it } from 'vitest';
import { temporaryFolder } from '../../coordinator/test/folder.ts';
import { startWorker } from '../../coordinator/test/processes.ts';
import { computed, hasBrowser, inChromium, joinRun, says, type Tab, useBrowser } from './browser.ts';
import { singleRun, startRun } from './run.ts';

/** A browser, two workers and a coordinator on a machine that may have two cores. */
const timeout = 240_000;

describe.skipIf(!hasBrowser)(inChromium('tabs as workers'), { timeout }, () => {
  const folder = temporaryFolder();
  const browser = useBrowser();

  it('two tabs and a Node worker train the model that one process trains, to 95 % in an epoch', async () => {
    const run = await startRun(folder, ['--epochs', '1', '--wait-for-start']);
    const tabs = [await browser.open(run.owner), await browser.open(run.page)] as const;
    await joinRun(tabs[0], 'cpu', 'first tab');
    await joinRun(tabs[1], 'cpu', 'second tab');
    startWorker(['--url', run.worker, '--name', 'terminal']);
    await tabs[0].page.getByText('3 workers here').waitFor();
    await tabs[0].page.getByRole('button', { name: 'Start' }).click();
    const report = await run.report();
    for (const tab of tabs) await says(tab, /The run is over/);
    expect(report.exactness).toBe('bit-exact');
    expect(report.weightsSha256).toBe((await singleRun(folder, ['--epochs', '1'])).weightsSha256);
    expect(report.epochs.at(-1)!.testAccuracy).toBeGreaterThanOrEqual(0.95);
    const kinds = report.workers.map(({ name, kind, backend }) => ({ name, kind, backend }));
    expect(kinds.sort((a, b) => a.name.localeCompare(b.name))).toEqual([
      { name: 'first tab', kind: 'browser', backend: 'cpu' },
      { name: 'second tab', kind: 'browser', backend: 'cpu' },
      { name: 'terminal', kind: 'node', backend: 'cpu' },
    ]);
    for (const { blocks } of report.workers) expect(blocks).toBeGreaterThan(0);
    expect(tabs.flatMap(({ errors }) => errors)).toEqual([]);
  });

  const steps = ['--steps', '150'];
  let oracle: Promise<string> | undefined;
  const single = async (): Promise<string> => {
    oracle ??= singleRun(folder, steps).then(({ weightsSha256 }) => weightsSha256);
    return oracle;
  };

  const faults: Readonly<Record<string, (tab: Tab) => Promise<void>>> = {
    closed: (tab) => tab.page.close(),
    crashed: async (tab) => {
      const crash = tab.page.waitForEvent('crash');
      void tab.page.goto('chrome://crash').catch(() => {});
      await crash;
    },
    reloaded: async (tab) => {
      await tab.page.reload();
      await computed(tab, 3);
    },
    frozen: async (tab) => {
      // Its thread stands still for longer than the run lasts; nobody waits for the answer.
      const stop = (): string => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 120_000);
      void tab.page
        .workers()[0]!
        .evaluate(stop)
        .catch(() => {});
    },
  };

  it.each(Object.entries(faults))('a tab that is %s in the middle of a step changes no bit', async (_, fail) => {
    const run = await startRun(folder, steps);
    const tab = await browser.open(run.page);
    await joinRun(tab, 'cpu', 'tab');
    await computed(tab, 3);
    await fail(tab);
    startWorker(['--url', run.worker, '--name', 'terminal']);
    const report = await run.report();
    expect(report.weightsSha256).toBe(await single());
    expect(report.steps).toBe(150);
    const { disconnects, duplicated } = report.faults;
    expect(disconnects + duplicated).toBeGreaterThan(0);
  });

  it('a tab that comes back after a reload is the same worker, and joins by itself', async () => {
    const run = await startRun(folder, [...steps, '--wait-for-start']);
    const tab = await browser.open(run.owner);
    await joinRun(tab, 'cpu', 'tab');
    await says(tab, 'computes on');
    await tab.page.reload();
    await says(tab, 'computes on');
    await tab.page.getByText('1 worker here').waitFor();
    await tab.page.getByRole('button', { name: 'Start' }).click();
    const report = await run.report();
    expect(report.workers.map(({ id, name }) => ({ id, name }))).toEqual([{ id: 'w1', name: 'tab' }]);
    expect(report.weightsSha256).toBe(await single());
  });

  it('a tab that nobody sees goes on, and is shown as hidden', async () => {
    const run = await startRun(folder, ['--epochs', '1000']);
    const owner = await browser.open(run.owner);
    const tab = await browser.open(run.page);
    await joinRun(tab, 'cpu', 'tab');
    await computed(tab, 3);
    // What a browser tells a page when its tab goes to the back; Chromium without a window never does by itself.
    await tab.page.evaluate(() => {
      Object.defineProperty(document, 'hidden', { get: () => true });
      document.dispatchEvent(new Event('visibilitychange'));
    });
    await owner.page.getByText('good, hidden').waitFor();
    const blocks = Number((await tab.page.locator('.figures dd').first().textContent())!.replaceAll(',', ''));
    await computed(tab, blocks + 50);
    run.program.kill('SIGKILL');
    await says(tab, /trying again/);
  });

  it('without the token a tab is refused, with the sentence on the page', async () => {
    const run = await startRun(folder, ['--token', 'let me in', '--steps', '5']);
    const stranger = await browser.open(run.page);
    await joinRun(stranger, 'cpu', 'stranger');
    await says(stranger, /refused this tab: the token is not the one in the join address/);
    const guest = await browser.open(`${run.page}#join&token=let+me+in`);
    const report = await run.report();
    expect(report.workers.map(({ kind }) => kind)).toEqual(['browser']);
    expect(guest.page.url()).toBe(`${run.page}#join`);
    expect([...stranger.errors, ...guest.errors]).toEqual([]);
  });
});
