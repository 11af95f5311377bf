/** The built site on a server of static files, below a path of its own. */
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { builtInModels } from '@lockstep/nn';
import { loadModel } from '@lockstep/train';
import type { BrowserContextOptions } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { violations } from '../../web/test/axe.ts';
import { describePage } from '../../web/test/browser.ts';
import { textWithoutPlace } from '../../web/test/layout.ts';
import type { Tab } from '../../web/test/tab.ts';
import { serve } from '../scripts/serve.mjs';

const dist = fileURLToPath(new URL('../dist', import.meta.url));
const iris = fileURLToPath(new URL('../../../docs/iris.csv', import.meta.url));
/** Longest first load: HTML, scripts and styles, packed. */
const mostBytes = 150_000;

describePage('the site', ({ browser }) => {
  let server: Awaited<ReturnType<typeof serve>>;
  beforeAll(async () => {
    server = await serve(dist, 0, '/any/path/');
  });
  afterAll(() => server.close());

  /** Opens a page of the site. Only the test of the service worker lets it take part. */
  const open = (path: string, options: BrowserContextOptions = { serviceWorkers: 'block' }): Promise<Tab> => {
    const { href } = new URL(path, server.url);
    return browser.open({ page: href, owner: href, join: href, ended: new Promise(() => {}) }, 'page', options);
  };

  it('leads from its front page to a guide, and finds another by its words', async () => {
    const { page, errors, foreignRequests } = await open('');
    await page.getByRole('link', { name: 'Get started' }).click();
    await page.getByRole('heading', { level: 1, name: 'Lockstep' }).waitFor();
    await page.getByRole('link', { name: 'Train on your own data', exact: true }).click();
    await page.getByRole('heading', { name: 'Formats' }).waitFor();
    await page.getByRole('button', { name: 'Search' }).click();
    await page.getByRole('searchbox').fill('parquet');
    await page.getByRole('option').filter({ hasText: 'Formats' }).first().waitFor();
    await page.keyboard.press('Escape');
    await page.getByRole('link', { name: 'API', exact: true }).click();
    await page.getByRole('main').getByRole('link', { name: '@lockstep/train', exact: true }).click();
    await page.getByRole('heading', { name: 'TrainOptions' }).waitFor();
    expect({ errors, foreignRequests }).toEqual({ errors: [], foreignRequests: [] });
  });

  it.each(['', 'train/'])('loads at most 150 KB at first: /%s', async (path) => {
    const { page } = await open('about:blank');
    const sizes: Promise<number>[] = [];
    page.on('response', (response) => {
      if (!['document', 'script', 'stylesheet'].includes(response.request().resourceType())) return;
      sizes.push(response.body().then((body) => gzipSync(body).length));
    });
    await page.goto(server.url + path, { waitUntil: 'networkidle' });
    expect(sizes.length).toBeGreaterThan(2);
    expect((await Promise.all(sizes)).reduce((sum, size) => sum + size)).toBeLessThan(mostBytes);
  });

  it('trains on MNIST in the tab, classifies a drawing meanwhile, shows the network, and stops', async () => {
    const tab = await open('train/');
    const { page } = tab;
    expect(await page.getByLabel('Model').locator('option').allTextContents()).toEqual(builtInModels);
    await page.getByLabel('Epochs', { exact: true }).fill('1000');
    await tab.press('Train');
    const canvas = page.getByLabel(/^Canvas to draw/);
    await canvas.focus();
    for (const key of [' ', 'ArrowDown', 'ArrowDown', 'ArrowDown', ' ']) await page.keyboard.press(key);
    await tab.shows(/^Looks like \d/);
    await page.getByRole('link', { name: 'Inside', exact: true }).click();
    await page.getByRole('heading', { name: 'Weights', exact: true }).waitFor();
    await page.getByRole('link', { name: 'The run', exact: true }).click();
    await tab.shows(/^ ?epoch \d+$/);
    await tab.press('Stop');
    await tab.shows(/^Test accuracy 9\d\.\d\d %/);
    await tab.shows('Stopped', { exact: true });
    expect(tab.errors).toEqual([]);
  });

  it('trains on a table, gives a model file, and refuses what it cannot read', async () => {
    const tab = await open('train/');
    const { page } = tab;
    await page.getByLabel('CSV or TSV file').setInputFiles(iris);
    await tab.press('Train');
    await tab.shows(/^iris\.csv: 150 rows/);
    await tab.shows('Finished', { exact: true });
    const { name, bytes } = await tab.saves('Model');
    expect(name).toBe('model.safetensors');
    const model = await loadModel(bytes);
    expect(model.classes).toEqual(['setosa', 'versicolor', 'virginica']);
    model.dispose();
    const wrong = { name: 'wrong.csv', mimeType: 'text/csv', buffer: Buffer.from('a,b\n1,2\n3\n') };
    await page.getByLabel('CSV or TSV file').setInputFiles(wrong);
    await tab.press('Train');
    await tab.shows('wrong.csv: line 3: expected 2 values, as the header row has, got 1');
    await tab.press('With others');
    await tab.shows('npm run coordinator -- --host 0.0.0.0', { exact: true });
    expect(tab.errors).toEqual([]);
  });

  it('computes a chapter of the lesson', async () => {
    const tab = await open('train/#learn/xor');
    await tab.shows('Computed.', { exact: true });
    expect(tab.errors).toEqual([]);
  });

  it('works offline once loaded, with threads', async () => {
    const { page } = await open('', {});
    // Answers the page's requests from then on.
    await page.evaluate(async () => {
      const { active } = await navigator.serviceWorker.ready;
      if (active?.state === 'activated') return;
      await new Promise((resolve) => active?.addEventListener('statechange', resolve));
    });
    await page.context().setOffline(true);
    await page.goto(`${server.url}docs/fleet.html`);
    expect(await page.getByRole('heading', { level: 1 }).textContent()).toContain('fleet');
    await page.goto(`${server.url}train/`);
    await page.getByLabel('CSV or TSV file').setInputFiles(iris);
    await page.getByRole('button', { name: 'Train', exact: true }).click();
    await page.getByText('Finished', { exact: true }).waitFor();
    expect(await page.evaluate(() => crossOriginIsolated)).toBe(true);
  });

  it.each(['', 'docs/own-data.html', 'train/'])('is accessible and fits, in both themes: /%s', async (path) => {
    const { page } = await open(path);
    for (const width of [1440, 390]) {
      await page.setViewportSize({ width, height: 900 });
      // Curves take their new size in the next frame.
      await expect.poll(() => page.evaluate(() => document.documentElement.scrollWidth)).toBe(width);
      for (const colorScheme of ['light', 'dark'] as const) {
        await page.emulateMedia({ colorScheme });
        expect(await violations(page), `${width} ${colorScheme}`).toEqual([]);
      }
      if (path === 'train/') expect(await textWithoutPlace(page)).toEqual([]);
    }
  });
});
