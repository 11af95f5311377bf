/** A tab rounds the nodes of the tree with the bits of the oracle, and a shard of it fits where another worker left off. */
import { expect, it } from 'vitest';
import { openDashboardServer } from '../../../packages/train/test/dashboard-server.ts';
import { kindsOfData } from '../../../packages/train/test/kinds-of-data.ts';
import { describePage } from './browser.ts';

describePage('a tab', ({ browser }) => {
  it('rounds to halves beside another worker', async () => {
    const { model, ...data } = kindsOfData['a table with classes'];
    const listen = { port: 0, waitForStart: true };
    const args = { model, data, gradients: 'fp16-exact' as const, batch: 16, microbatch: 2, epochs: 3, listen };
    const server = await openDashboardServer({ args });
    const { page, owner } = server.addresses;
    // The server stays when the run has ended.
    const ended = new Promise<string>(() => {});
    const tab = await browser.open({ page, owner, join: page, ended }, 'owner');
    await tab.join('cpu', 'tab');
    await server.startWorker();
    await tab.workersReady(2);
    await tab.press('Start');
    expect(await server.run.outcome).toEqual({ type: 'finished' });
    expect(server.weightsSha256()).toBe(await server.expectedSha256());
    expect(tab.errors).toEqual([]);
  });
});
