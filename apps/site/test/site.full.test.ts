/** The built site on a server of static files, below a path of its own. */
import { fileURLToPath } from 'node:url';
import { builtInModels, resolveModel } from '@lockstep/nn';
import { loadModel } from '@lockstep/train';
import type { BrowserContextOptions } from 'playwright-core';
import { expect, it } from 'vitest';
import { violations } from '../../web/test/axe.ts';
import { describePage, type PageSuite } from '../../web/test/browser.ts';
import { textWithoutPlace } from '../../web/test/layout.ts';
import { serve } from '../scripts/serve.mjs';
import { dist, openOn, useServer } from './site.ts';

const iris = fileURLToPath(new URL('../../../docs/iris.csv', import.meta.url));
/** Views that both browsers must show. */
function siteTests({ browser }: PageSuite, isFirefox = false): void {
  const server = useServer();
  const open = (path: string, options?: BrowserContextOptions) => openOn(browser, server().url + path, options);

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

  it('trains on MNIST in the tab, classifies a drawing meanwhile, shows the network, and stops', async () => {
    const tab = await open('train/');
    const { page } = tab;
    const models = page.getByLabel('Model');
    expect(await models.evaluate((list) => [...(list as HTMLSelectElement).options].map(({ text }) => text))).toEqual(
      builtInModels.filter((name) => resolveModel(name).layers[0]!.type !== 'embedding'),
    );
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
    expect(await page.locator('.matrix thead th').count()).toBe(10);
    expect(tab.errors).toEqual([]);
  });

  it('trains on a dropped table as it is read, gives a model file, and refuses what it cannot read', async () => {
    const tab = await open('train/');
    const { page } = tab;
    await tab.drop(iris);
    await tab.shows(/^iris\.csv: 150 rows, .*in column species/);
    expect(await page.locator('.data-rows tbody tr').first().locator('td').last().textContent()).toBe('setosa');
    await tab.press('Train');
    await tab.shows('Finished', { exact: true });
    expect(await page.locator('.matrix thead th').allTextContents()).toEqual(['setosa', 'versicolor', 'virginica']);
    await tab.shows('macro average');
    const { name, bytes } = await tab.saves('Model');
    expect(name).toBe('model.safetensors');
    const model = await loadModel(bytes);
    expect(model.classes).toEqual(['setosa', 'versicolor', 'virginica']);
    model.dispose();

    await page.getByLabel('Task').selectOption('regression');
    await tab.shows(/^iris\.csv: line 2, column species: expected a finite number/);
    await page.getByLabel('Label column').selectOption('sepal_length');
    await tab.shows(/^iris\.csv: 150 rows, .*in column sepal_length/);
    await tab.press('Train');
    await tab.shows(/^Test RMSE 0\.\d+/);
    await page.setViewportSize({ width: 390, height: 844 });
    // A process of Firefox 153 crashes while axe looks at these cards.
    if (!isFirefox) expect(await violations(page)).toEqual([]);

    const wrong = { name: 'wrong.csv', mimeType: 'text/csv', buffer: Buffer.from('a,b\n1,2\n3\n') };
    await page.getByLabel('CSV or TSV file').setInputFiles(wrong);
    await tab.shows('wrong.csv: line 3: expected 2 values, as the header row has, got 1');
    expect(await page.getByRole('button', { name: 'Train', exact: true }).isDisabled()).toBe(true);
    await tab.press('MNIST instead');
    expect(await page.getByRole('button', { name: 'Train', exact: true }).isEnabled()).toBe(true);
    await tab.press('With others');
    await tab.shows('npm run coordinator -- --host 0.0.0.0', { exact: true });
    expect(tab.errors).toEqual([]);
  });

  it('computes a chapter of the lesson', async () => {
    const tab = await open('train/#learn/xor');
    await tab.shows('Computed.', { exact: true });
    expect(tab.errors).toEqual([]);
  });

  it('trains on MNIST offline after the first load of any page, with threads', async () => {
    const { url, close } = await serve(dist, 0, '/');
    const { page } = await openOn(browser, url, {});
    const isKept = async () => {
      const files = ['train/index.html', 'train/digits.packed', 'train/more-digits.packed'];
      const kept = await Promise.all(files.map((file) => caches.match(new URL(file, location.href))));
      return kept.every((response) => response !== undefined);
    };
    await expect.poll(() => page.evaluate(isKept), { timeout: 60_000 }).toBe(true);
    await close();
    await page.goto(`${url}docs/fleet.html`);
    expect(await page.getByRole('heading', { level: 1 }).textContent()).toContain('fleet');
    await page.goto(`${url}train/`);
    expect(await page.evaluate(() => crossOriginIsolated)).toBe(true);
    await page.getByRole('button', { name: 'Train', exact: true }).click();
    await page.getByText(/^Test accuracy 97\.\d\d %/).waitFor();
  });

  it('has one choice of colors for the guides and for the page that trains', async () => {
    const { page } = await open('docs/own-data.html');
    const root = page.locator('html');
    await page.getByRole('switch').first().click();
    const isDark = await root.evaluate(({ classList }) => classList.contains('dark'));
    await page.goto(`${server().url}train/`);
    expect(await root.getAttribute('data-theme')).toBe(isDark ? 'dark' : 'light');
    // From dark to the system's colors, or from light to dark.
    await page.getByRole('button', { name: /the page's colors$/ }).click();
    await page.goto(`${server().url}docs/own-data.html`);
    expect(await root.evaluate(({ classList }) => classList.contains('dark'))).toBe(!isDark);
  });

  it.each(['', 'docs/own-data.html', 'train/'])('is accessible and fits, in both themes: /%s', async (path) => {
    const { page } = await open(path);
    for (const colors of ['light', 'dark']) {
      await page.evaluate((chosen) => localStorage.setItem('vitepress-theme-appearance', chosen), colors);
      await page.reload();
      for (const width of [1440, 390]) {
        await page.setViewportSize({ width, height: 900 });
        const beyond = () => document.documentElement.scrollWidth - document.documentElement.clientWidth;
        // Curves take their new size in the next frame.
        await expect.poll(() => page.evaluate(beyond)).toBe(0);
        expect(await violations(page), `${width} ${colors}`).toEqual([]);
        if (path === 'train/') expect(await textWithoutPlace(page)).toEqual([]);
      }
    }
  });
}

describePage('the site', siteTests);
describePage('the site', (suite) => siteTests(suite, true), 'firefox');
