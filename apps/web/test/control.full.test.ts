/** Checks that only the owner can control the run from the page, and that injected faults change no bit. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { startWorker } from '../../coordinator/test/processes.ts';
import { describePage } from './browser.ts';
import { endless, singleHash, startRun } from './run.ts';

describePage('control', ({ browser, folder }) => {
  it('the owner starts, pauses, saves and stops, and a guest resumes once the admin token is right', async () => {
    const file = join(folder, 'saved.safetensors');
    const run = await startRun(folder, [...endless, '--wait-for-start', '--save', file], { isSlow: true });
    startWorker(['--url', run.worker, '--name', 'terminal']);
    const tab = await browser.open(run, 'owner');
    expect(tab.page.url()).not.toContain('admin');
    await tab.shows('Waiting for start');
    await tab.press('Start');
    await tab.shows('Training', { exact: true });
    await tab.press('Pause');
    await tab.shows('Paused', { exact: true });
    const guest = await browser.open(run);
    await guest.press('Control');
    for (const token of ['guess', new URLSearchParams(new URL(run.owner).hash.slice(1)).get('admin')!]) {
      await guest.page.getByLabel('Admin token').fill(token);
      await guest.press('Unlock');
      if (token === 'guess') await guest.shows(/dmin token is wrong/);
    }
    await guest.press('Resume');
    await tab.shows('Training', { exact: true });
    await tab.press('Save');
    // Shown at the button, where the person looks, and not only in the log.
    const note = tab.page.locator('.control-note').getByText(new RegExp(`^Model after step \\d+ saved to ${file}`));
    await tab.during('where the model was saved', note.waitFor());
    expect(existsSync(file)).toBe(true);
    await tab.press('Stop');
    await tab.press('Stop for good');
    const { steps } = await run.report();
    const { stdout } = await run.program.ended;
    expect(stdout).toContain(`Stopped from the dashboard after step ${steps} of `);
    expect(stdout).toContain(`model after step ${steps} saved to ${file}`);
    expect(tab.errors).toEqual([]);
  });

  it('killing and freezing workers from the page changes no bit', async () => {
    const run = await startRun(folder, [...endless, '--chaos'], { isSlow: true });
    const [owner, tab] = [await browser.open(run, 'owner'), await browser.open(run)];
    await tab.join('cpu', 'tab');
    startWorker(['--url', run.worker, '--name', 'victim']);
    await owner.workersReady(2);
    await tab.computed(3);
    await owner.press(/^Edit w\d+ victim$/);
    await owner.press(/^Freeze w\d+ victim$/);
    await owner.press(/^Edit w\d+ tab$/);
    await owner.press(/^Kill w\d+ tab$/);
    await tab.panelShows('killed from the dashboard');
    const viewer = await run.watch();
    const { step } = await viewer.next('progress');
    await viewer.next('progress', (progress) => progress.step > step + 20);
    const report = await run.stop();
    expect(report.weightsSha256).toBe(await singleHash(folder, report));
  });
});
