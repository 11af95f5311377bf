/** A tab whose compute thread dies: it ends with one sentence, and the run's weights are what they would have been. */
import { expect, it } from 'vitest';
import { startWorker } from '../../coordinator/test/processes.ts';
import { describePage } from './browser.ts';
import { endless, singleRun, startRun } from './run.ts';
import { endThreads } from './worker-target.ts';

describePage('a compute thread of a tab that dies', ({ browser, folder }) => {
  it('ends its tab with one sentence, and the run goes on without it to the same weights', async () => {
    const args = [...endless, '--batch', '256'];
    const run = await startRun(folder, args);
    const tab = await browser.open(run);
    await tab.join('cpu', 'doomed', 2);
    await tab.computed(2);
    expect(await endThreads(tab.page)).toBe(1);
    await tab.panelShows(/a compute thread has died: it gave no result for \d+ s/);
    startWorker(['--url', run.worker, '--name', 'next', '--threads', '1']);
    await run.program.printed(/w2 next joined[\s\S]*epoch/);
    const report = await run.stop();
    expect(report).toMatchObject({ exactness: 'bit-exact', workers: [{ name: 'doomed' }, { name: 'next' }] });
    for (const { samples } of report.workers) expect(samples).toBeGreaterThan(0);
    const single = await singleRun(folder, [...args, '--steps', `${report.steps}`]);
    expect(report.weightsSha256).toBe(single.weightsSha256);
    expect(tab.errors).toEqual([]);
  });
});
