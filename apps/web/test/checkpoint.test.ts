/** Checks what the page says of checkpoints, and that a tab comes back to a coordinator that is started anew. */
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { freePort } from '../../../packages/train/test/free-port.ts';
import { describePage } from './browser.ts';
import { endless, singleHash, startRun } from './run.ts';

describePage('checkpoints', ({ browser, folder }) => {
  it('a tab comes back by itself to a coordinator that was killed, and the page says from where the run goes on', async () => {
    const port = await freePort();
    const checkpoints = ['--checkpoint', join(folder, 'checkpoints'), '--checkpoint-every', '5'];
    const args = [...endless, ...checkpoints];
    const first = await startRun(folder, args, port);
    const tab = await browser.open(first);
    await tab.join('cpu', 'tab');
    await tab.computed(30);
    await tab.loaded();
    first.program.kill('SIGKILL');
    await tab.page
      .getByText(/^Not connected: .* Started again with --resume, the run goes on after step [\d,]+/)
      .waitFor();

    const second = await startRun(folder, [...args, '--resume'], port);
    await tab.page.getByText(/step [\d,]+ of [\d,]+, resumed after step [\d,]+/).waitFor();
    await second.program.printed(/w\d+ tab joined/);
    const viewer = await second.watch();
    await viewer.next('workers', ({ workers }) => workers.some(({ phase, shards }) => phase === 'ready' && shards > 9));
    const report = await second.stop();
    await tab.page
      .getByText(/^The coordinator was interrupted\. .*Started again with --resume, the run goes on after step [\d,]+/)
      .waitFor();
    await tab.page.getByText(/^Epoch .* resumed after step [\d,]+$/).waitFor();
    expect(report.weightsSha256).toBe(await singleHash(folder, report));
    expect(tab.errors).toEqual([]);
  });
});
