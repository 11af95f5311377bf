/** Checks that a tab joins a run through a relay as it does at the coordinator. */
import { expect, it } from 'vitest';
import { startRelay } from '../../coordinator/test/processes.ts';
import { describePage } from './browser.ts';
import { endless, singleHash, startRun } from './run.ts';

describePage('a tab at the address of a relay', ({ browser, folder }) => {
  it('sees the run of the coordinator, computes for it, and changes no bit', async () => {
    const run = await startRun(folder, endless);
    const relay = startRelay(['--url', run.worker, '--name', 'relay', '--port', '0']);
    const [, page = ''] = await relay.printed(/Join in a browser: (\S+)#join/);
    const tab = await browser.open({ ...run, page, join: `${page}#join` });
    await tab.join('cpu', 'tab');
    await tab.computed(20);
    await tab.shows('Relay of 1 worker');
    const report = await run.stop();
    expect(report.workers).toMatchObject([{ name: 'relay', kind: 'relay', workersBehind: 1 }]);
    expect(report.exactness).toBe('bit-exact');
    expect(report.weightsSha256).toBe(await singleHash(folder, report));
    expect(tab.errors).toEqual([]);
  });
});
