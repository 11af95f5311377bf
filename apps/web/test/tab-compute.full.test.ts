/** Checks that tabs on threads, behind a relay, with replicas and with rounded sums give the bits of one process. */
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { describe, expect, it } from 'vitest';
import { openDashboardServer } from '../../../packages/server/test/dashboard-server.ts';
import { freePort } from '../../../packages/train/test/free-port.ts';
import { kindsOfData } from '../../../packages/train/test/kinds-of-data.ts';
import { startRelay, startWorker } from '../../coordinator/test/processes.ts';
import { endThreads, openInspector } from '../../worker/test/inspector.ts';
import { seriousViolations } from './axe.ts';
import { describePage, foreignName } from './browser.ts';
import { addressesOf, endless, singleHash, singleRun, startRun } from './run.ts';

describePage('tabs', ({ browser, folder }) => {
  describe('with threads', () => {
    it.each([
      ['mlp', '20'],
      ['cnn', '3'],
      ['gpt-nano', '60'],
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
      expect([...tab.errors, ...tab.foreignRequests]).toEqual([]);
    });

    it('have one if the page is not secure, and the page says why', async () => {
      const port = await freePort();
      const origin = `http://${foreignName}:${port}`;
      const run = await startRun(folder, [...endless, '--allow-origin', origin], { port, isSlow: true });
      const tab = await browser.open({ ...run, page: `${origin}/` });
      expect(await tab.page.evaluate(() => crossOriginIsolated)).toBe(false);
      const reason = 'one thread, because threads require https or localhost: start the coordinator with --tls';
      await tab.panelShows(`One ${reason.slice(4)}.`);
      expect(await tab.page.getByLabel('Threads').isDisabled()).toBe(true);
      await tab.join('cpu', 'tab');
      await tab.computed(2);
      await tab.page.setViewportSize({ width: 320, height: 640 });
      await tab.page.getByText(/^Why not faster/).click();
      expect(await seriousViolations(tab.page)).toEqual([]);
      const report = await run.stop();
      expect(report.weightsSha256).toBe(await singleHash(folder, report));
    });

    it('end with one sentence when a thread dies, and the run goes on without them to the same weights', async () => {
      const args = ['--epochs', '1000000', '--batch', '256'];
      const run = await startRun(folder, args, { isSlow: true });
      const tab = await browser.open(run);
      await tab.join('cpu', 'doomed', 2);
      await tab.computed(2);
      expect(await endThreadsOf(tab.page)).toBe(1);
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

  it('compute the runs of a sweep, in which a worker is killed, with the bits of each run alone', async () => {
    const args = ['--batch', '64', '--microbatch', '16', '--steps', '600'];
    const run = await startRun(folder, [...args, '--sweep', 'lr=0.01,0.1']);
    const tab = await browser.open(run);
    await tab.join('cpu', 'tab');
    const doomed = startWorker(['--url', run.worker, '--name', 'doomed', '--threads', '1']);
    await run.program.printed(/doomed joined/);
    doomed.kill('SIGKILL');
    startWorker(['--url', run.worker, '--name', 'late', '--threads', '1']);
    const { code, stdout } = await run.program.ended;
    expect(code).toBe(0);
    expect(stdout).toMatch(/doomed left: [\s\S]*\nRun 2 of 2/);
    for (const rate of ['0.01', '0.1']) {
      const { weightsSha256 } = await singleRun(folder, [...args, '--lr', rate]);
      expect(stdout).toMatch(new RegExp(`^${rate} .* ${weightsSha256.slice(0, 12)}$`, 'm'));
    }
    expect(tab.errors).toEqual([]);
  });

  it('at the address of a relay see the run of the coordinator, compute for it, and change no bit', async () => {
    const run = await startRun(folder, endless, { isSlow: true });
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

  const { model, ...data } = kindsOfData['a table with classes'];
  const kinds = [
    { what: 'inner steps of replicas', workers: 1, args: { diloco: { replicas: 3, innerSteps: 5 }, batch: 8 } },
    // The tab's shards must combine with those of another worker.
    {
      what: 'sums rounded to halves, beside another worker',
      workers: 2,
      args: { gradients: 'fp16-exact' as const, batch: 16, microbatch: 2 },
    },
  ];

  it.each(kinds)('compute $what with the bits of the oracle', async ({ workers, args }) => {
    const listen = { port: 0, waitForStart: true };
    const server = await openDashboardServer({ args: { model, data, epochs: 3, listen, ...args } });
    const tab = await browser.open(addressesOf(server), 'owner');
    await tab.join('cpu', 'tab');
    for (let others = 1; others < workers; others++) await server.startWorker();
    await tab.workersReady(workers);
    if ('diloco' in args) await tab.shows(/3 replicas x 5 inner steps x 8 samples/);
    await tab.press('Start');
    expect(await server.run.outcome).toEqual({ type: 'finished' });
    expect(server.weightsSha256()).toBe(await server.expectedSha256());
    expect(tab.errors).toEqual([]);
  });

  it('come back by themselves to a coordinator that was killed, and the page says from where the run goes on', async () => {
    const port = await freePort();
    const checkpoints = ['--checkpoint', join(folder, 'checkpoints'), '--checkpoint-every', '5'];
    const args = [...endless, ...checkpoints];
    const first = await startRun(folder, args, { port, isSlow: true });
    const tab = await browser.open(first);
    await tab.join('cpu', 'tab');
    await tab.computed(30);
    await tab.loaded();
    first.program.kill('SIGKILL');
    await tab.page
      .getByText(/^Not connected: .* Start the coordinator again with --resume to continue after step [\d,]+/)
      .waitFor();

    const second = await startRun(folder, [...args, '--resume'], { port, isSlow: true });
    await tab.page.getByText(/step [\d,]+ of [\d,]+, resumed after step [\d,]+/).waitFor();
    await second.program.printed(/w\d+ tab joined/);
    const viewer = await second.watch();
    await viewer.next('workers', ({ workers }) => workers.some(({ phase, shards }) => phase === 'ready' && shards > 9));
    const report = await second.stop();
    await tab.page
      .getByText(
        /^The coordinator was interrupted\. .*Start the coordinator again with --resume to continue after step [\d,]+/,
      )
      .waitFor();
    await tab.page.getByText(/^Epoch .* resumed after step [\d,]+$/).waitFor();
    expect(report.weightsSha256).toBe(await singleHash(folder, report));
    expect(tab.errors).toEqual([]);
  });
});

/** Ends every worker that the tab's own worker has started. */
async function endThreadsOf(page: Page): Promise<number> {
  const session = await page.context().newCDPSession(page);
  const attached = new Promise<string>((resolve) => {
    session.on('Target.attachedToTarget', ({ sessionId }) => resolve(sessionId));
  });
  await session.send('Target.setAutoAttach', { autoAttach: true, waitForDebuggerOnStart: false, flatten: false });
  const sessionId = await attached;
  const inspector = openInspector((message) => session.send('Target.sendMessageToTarget', { sessionId, message }));
  session.on('Target.receivedMessageFromTarget', ({ message }) => inspector.read(message));
  const ended = await endThreads(inspector, 'Worker.prototype');
  await session.detach();
  return ended;
}
