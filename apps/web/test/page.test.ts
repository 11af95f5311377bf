/** The page as a person meets it: still, quiet, readable, from one host, and of use without a mouse. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { gzipSync } from 'node:zlib';
import { beforeAll, describe, expect, it } from 'vitest';
import { temporaryFolder } from '../../coordinator/test/folder.ts';
import { tinyFiles, writeFolder } from '../../coordinator/test/tiny-data.ts';
import { during, hasBrowser, inChromium, press, shows, testPatienceMs, useBrowser } from './browser.ts';
import { startRun } from './run.ts';

interface AxeResults {
  readonly violations: readonly {
    readonly id: string;
    readonly impact: string;
    readonly nodes: readonly { readonly html: string; readonly failureSummary: string }[];
  }[];
}

declare const axe: { run(): Promise<AxeResults> };

const widths = [
  { width: 390, height: 844 },
  { width: 1280, height: 800 },
  { width: 1920, height: 1080 },
] as const;

/** Three epochs that take no time; the dashboard stays. */
async function quickRun(folder: string): Promise<string[]> {
  const data = await writeFolder(folder, 'tiny', tinyFiles());
  return ['--workers', '1', '--data', data, '--batch', '32', '--epochs', '3', '--stay'];
}

describe.skipIf(!hasBrowser)(inChromium('the page'), { timeout: testPatienceMs }, () => {
  const folder = temporaryFolder();
  const browser = useBrowser();
  let axeSource = '';
  beforeAll(() => {
    axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
  });

  it.each((['light', 'dark'] as const).flatMap((colorScheme) => widths.map((viewport) => ({ colorScheme, viewport }))))(
    'in $colorScheme, $viewport.width pixels wide: nothing moves, nothing fails, axe finds nothing serious',
    async ({ colorScheme, viewport }) => {
      const run = await startRun(folder, [...(await quickRun(folder)), '--wait-for-start']);
      const tab = await browser.open(run, 'owner', { colorScheme, viewport });
      const { page } = tab;
      await shows(tab, '1 worker here');
      await press(tab, 'Start');
      await shows(tab, 'test images, epoch 3');
      await shows(tab, 'Finished');
      const shifts = await tab.layoutShifts();
      const moved = shifts.reduce((sum, { score }) => sum + score, 0);
      expect(moved, JSON.stringify(shifts)).toBeLessThan(0.001);
      expect(tab.errors).toEqual([]);
      expect(tab.strangers).toEqual([]);
      const isWider = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
      expect(isWider).toBe(false);
      await page.evaluate(axeSource);
      const { violations } = await page.evaluate(() => axe.run());
      const serious = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
      expect(serious.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 200)).join(' ')}`)).toEqual(
        [],
      );
    },
  );

  it('asks for less than 150 KB of script before a tab joins or draws', async () => {
    const run = await startRun(folder, ['--wait-for-start']);
    const scripts: string[] = [];
    const tab = await browser.open(run);
    for (const { name } of await tab.page.evaluate(() =>
      performance.getEntriesByType('resource').map(({ name }) => ({ name })),
    )) {
      if (name.endsWith('.js')) scripts.push(await (await fetch(name)).text());
    }
    expect(scripts.length).toBeGreaterThan(0);
    const bytes = scripts.reduce((sum, script) => sum + gzipSync(script).length, 0);
    expect(bytes).toBeLessThan(150_000);
  });

  it('whoever comes late sees the whole curve, and a page that lost the coordinator says so', async () => {
    const run = await startRun(folder, await quickRun(folder));
    await run.program.printed(/The dashboard stays/);
    const late = await browser.open(run);
    await shows(late, 'test images, epoch 3');
    const curve = late.page.getByRole('img', { name: /^Loss over the epochs: training \d.*test \d/ });
    await during(late, 'the loss of three epochs', curve.waitFor());
    run.program.killGroup('SIGKILL');
    await late.page.getByText('The coordinator has ended; this is what it left.').waitFor();
  });
});
