/** Steering from the page: the owner can, nobody else can, and no trouble that is made moves the curve. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { temporaryFolder } from '../../coordinator/test/folder.ts';
import { startWorker } from '../../coordinator/test/processes.ts';
import {
  computed,
  hasBrowser,
  inChromium,
  joinRun,
  press,
  says,
  shows,
  testPatienceMs,
  useBrowser,
  workersReady,
} from './browser.ts';
import { endless, singleHash, startRun } from './run.ts';

describe.skipIf(!hasBrowser)(inChromium('steering'), { timeout: testPatienceMs }, () => {
  const folder = temporaryFolder();
  const browser = useBrowser();

  it('the owner starts, pauses, goes on, saves and stops', async () => {
    const file = join(folder, 'saved.safetensors');
    const run = await startRun(folder, [...endless, '--workers', '1', '--wait-for-start', '--save', file]);
    const tab = await browser.open(run, 'owner');
    expect(tab.page.url()).not.toContain('admin');
    await shows(tab, 'Waiting for start');
    await press(tab, 'Start');
    await shows(tab, 'Training', { exact: true });
    await press(tab, 'Pause');
    await shows(tab, 'Paused', { exact: true });
    await press(tab, 'Resume');
    await shows(tab, 'Training', { exact: true });
    await press(tab, 'Save');
    await shows(tab, new RegExp(`model after step \\d+ saved to ${file}`));
    expect(existsSync(file)).toBe(true);
    await press(tab, 'Stop');
    await press(tab, 'Stop for good');
    const { steps } = await run.report();
    const { stdout } = await run.program.ended;
    expect(stdout).toContain(`Stopped from the dashboard after step ${steps} of `);
    expect(stdout).toContain(`model after step ${steps} saved to ${file}`);
    expect(tab.errors).toEqual([]);
  });

  it('a wrong token is refused with a sentence', async () => {
    const run = await startRun(folder, [...endless, '--workers', '1']);
    const tab = await browser.open(run);
    await press(tab, 'Steer');
    await tab.page.getByLabel('Admin token').fill('guess');
    await press(tab, 'Unlock');
    await press(tab, 'Pause');
    await shows(tab, /not the admin token of this run/);
  });

  it('killing and freezing workers from the page changes no bit', async () => {
    const run = await startRun(folder, [...endless, '--chaos']);
    const [owner, tab] = [await browser.open(run, 'owner'), await browser.open(run)];
    await joinRun(tab, 'cpu', 'tab');
    startWorker(['--url', run.worker, '--name', 'victim']);
    await workersReady(owner, 2);
    await computed(tab, 3);
    await press(owner, /^Freeze w\d+ victim$/);
    await press(owner, /^Kill w\d+ tab$/);
    await says(tab, 'killed from the dashboard');
    const viewer = await run.watch();
    const { step } = await viewer.next('progress');
    await viewer.next('progress', (progress) => progress.step > step + 20);
    const report = await run.stop();
    expect(report.weightsSha256).toBe(await singleHash(folder, report));
  });
});
