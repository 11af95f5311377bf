/** Steering from the page: the owner can, nobody else can, and no trouble that is made moves the curve. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { temporaryFolder } from '../../coordinator/test/folder.ts';
import { startWorker } from '../../coordinator/test/processes.ts';
import { computed, hasBrowser, inChromium, joinRun, says, useBrowser } from './browser.ts';
import { singleRun, startRun } from './run.ts';

describe.skipIf(!hasBrowser)(inChromium('steering'), { timeout: 240_000 }, () => {
  const folder = temporaryFolder();
  const browser = useBrowser();

  it('the owner starts, pauses, goes on, saves and stops', async () => {
    const file = join(folder, 'saved.safetensors');
    const run = await startRun(folder, ['--workers', '1', '--epochs', '1000', '--wait-for-start', '--save', file]);
    const { page, errors } = await browser.open(run.owner);
    expect(page.url()).not.toContain('admin');
    const press = (name: string) => page.getByRole('button', { name, exact: true }).click();
    await page.getByText('Waiting for start').waitFor();
    await press('Start');
    await page.getByText('Training', { exact: true }).waitFor();
    await press('Pause');
    await page.getByText('Paused', { exact: true }).waitFor();
    await press('Resume');
    await page.getByText('Training', { exact: true }).waitFor();
    await press('Save');
    await page.getByText(`model saved to ${file}`).waitFor();
    expect(existsSync(file)).toBe(true);
    await press('Stop');
    await press('Stop for good');
    await run.program.printed(/stopped from the dashboard/);
    expect(errors).toEqual([]);
  });

  it('a wrong token is refused with a sentence', async () => {
    const run = await startRun(folder, ['--workers', '1', '--epochs', '1000']);
    const { page } = await browser.open(run.page);
    await page.getByRole('button', { name: 'Steer' }).click();
    await page.getByLabel('Admin token').fill('guess');
    await page.getByRole('button', { name: 'Unlock' }).click();
    await page.getByRole('button', { name: 'Pause' }).click();
    await page.getByText(/not the admin token of this run/).waitFor();
  });

  it('killing and freezing workers from the page changes no bit', async () => {
    const args = ['--steps', '150'];
    const run = await startRun(folder, [...args, '--chaos']);
    const owner = await browser.open(run.owner);
    const tab = await browser.open(run.page);
    await joinRun(tab, 'cpu', 'tab');
    startWorker(['--url', run.worker, '--name', 'victim']);
    await computed(tab, 3);
    await owner.page.getByRole('button', { name: /^Freeze w\d+ victim$/ }).click();
    await owner.page.getByRole('button', { name: /^Kill w\d+ tab$/ }).click();
    await says(tab, 'killed from the dashboard');
    const report = await run.report();
    expect(report.weightsSha256).toBe((await singleRun(folder, args)).weightsSha256);
  });
});
