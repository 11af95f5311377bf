/** Checks that tabs as workers change no bit of the model, whatever happens to them. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { startWorker } from '../../coordinator/test/processes.ts';
import { describePage } from './browser.ts';
import { endless, singleHash, singleRun, startRun } from './run.ts';
import type { Tab } from './tab.ts';

describePage('tabs as workers', ({ browser, folder }) => {
  it('two tabs and a Node worker train the model that one process trains, to 95 % in an epoch', async () => {
    const file = join(folder, 'model.safetensors');
    const run = await startRun(folder, ['--epochs', '1', '--wait-for-start', '--save', file]);
    const tabs = [await browser.open(run, 'owner'), await browser.open(run)] as const;
    // An override of the writing direction, which the coordinator refuses in a name.
    await tabs[0].join('cpu', ' first\u202e\ttab ');
    await tabs[1].join('cpu', 'second tab');
    startWorker(['--url', run.worker, '--name', 'terminal']);
    await tabs[0].workersReady(3);
    await tabs[0].shows('3 workers connected');
    await tabs[0].press('Start');
    const report = await run.report();
    for (const tab of tabs) {
      await tab.panelShowsAtEnd(/The run is over/);
      await tab.panelShowsAtEnd(/^Test accuracy 9\d\.\d\d % \(10,000 images\)$/);
      // On a busy machine one of the three may be too slow for a share.
      await tab.panelShowsAtEnd(
        /^This tab computed [\d,]+ of 6\d,\d+ images \(\d+\.\d\d %\); [23] workers took part\.$|^Computed by [23] workers: /,
      );
    }
    // The coordinator has exited by now; the page has already loaded all it needs.
    expect((await tabs[1].saves('Model')).bytes.equals(readFileSync(file))).toBe(true);
    expect(JSON.parse((await tabs[1].saves('Report')).bytes.toString()).weightsSha256).toBe(report.weightsSha256);
    expect(report.exactness).toBe('bit-exact');
    expect(report.weightsSha256).toBe((await singleRun(folder, ['--epochs', '1'])).weightsSha256);
    expect(report.epochs.at(-1)!.testAccuracy).toBeGreaterThanOrEqual(0.95);
    const kinds = report.workers.map(({ name, kind, backend }) => ({ name, kind, backend }));
    expect(kinds.sort((a, b) => a.name.localeCompare(b.name))).toEqual([
      { name: 'first tab', kind: 'browser', backend: 'cpu' },
      { name: 'second tab', kind: 'browser', backend: 'cpu' },
      { name: 'terminal', kind: 'node', backend: 'cpu' },
    ]);
    expect(report.workers.filter(({ shards }) => shards > 0).length).toBeGreaterThan(1);
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
      // Blocks its thread for longer than any test takes.
      const block = (): string => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 3_600_000);
      void tab.page
        .workers()[0]!
        .evaluate(block)
        .catch(() => {});
    },
  };

  it.each(Object.entries(faults))('a tab that is %s in the middle of a step changes no bit', async (_, fail) => {
    const run = await startRun(folder, endless, { isSlow: true });
    const [tab, viewer] = [await browser.open(run), await run.watch()];
    await tab.join('cpu', 'tab');
    await tab.computed(3);
    await tab.withholdGradients();
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

  it('a hidden tab goes on, is shown as hidden, and reconnects when its coordinator is gone', async () => {
    const run = await startRun(folder, endless, { isSlow: true });
    const owner = await browser.open(run, 'owner');
    const tab = await browser.open(run);
    await tab.join('cpu', 'tab');
    await tab.computed(3);
    // Only reported as hidden; background.full.test.ts has a tab that really is.
    await tab.hide();
    // On a busy machine the tab may be late.
    await owner.shows(/, hidden$/);
    await tab.computed((await tab.computed(0)) + 20);
    run.program.kill('SIGKILL');
    await tab.panelShowsAtEnd(/trying again/);
  });

  it('a hidden tab that reconnects reports again that it is hidden', async () => {
    const run = await startRun(folder, endless, { isSlow: true });
    const tab = await browser.open(run);
    await tab.join('cpu', 'tab');
    await tab.computed(3);
    await tab.hide();
    const before = await run.watch();
    await before.next('workers', ({ workers }) => workers[0]?.hidden === true);
    await tab.page.workers()[0]!.evaluate(() => {
      const { send } = WebSocket.prototype;
      WebSocket.prototype.send = function () {
        WebSocket.prototype.send = send;
        this.close();
      };
    });
    await before.next('event', ({ message }) => message.includes('tab rejoined'));
    const after = await run.watch();
    await after.next('workers', ({ workers }) => workers[0]?.phase === 'ready' && workers[0].hidden);
    const report = await run.stop();
    expect(report.workers.map(({ id }) => id)).toEqual(['w1']);
    expect(report.faults.disconnects).toBe(1);
  });
});
