/** A tab computes replicas with the bits of the oracle, and the page says what a round is. */
import { expect, it } from 'vitest';
import { openDashboardServer } from '../../../packages/train/test/dashboard-server.ts';
import { kindsOfData } from '../../../packages/train/test/kinds-of-data.ts';
import { describePage } from './browser.ts';

describePage('a tab', ({ browser }) => {
  it('takes the inner steps of replicas', async () => {
    const { model, ...data } = kindsOfData['a table with classes'];
    const diloco = { replicas: 3, innerSteps: 5 };
    const listen = { port: 0, waitForStart: true };
    const server = await openDashboardServer({ args: { model, data, diloco, batch: 8, epochs: 3, listen } });
    const { page, owner } = server.addresses;
    // The server stays when the run has ended.
    const ended = new Promise<string>(() => {});
    const tab = await browser.open({ page, owner, join: page, ended }, 'owner');
    await tab.join('cpu', 'tab');
    await tab.workersReady(1);
    await tab.shows(/3 replicas x 5 inner steps x 8 samples/);
    await tab.press('Start');
    expect(await server.run.outcome).toEqual({ type: 'finished' });
    expect(server.weightsSha256()).toBe(await server.expectedSha256());
    expect(tab.errors).toEqual([]);
  });
});
