/** The first load of the built site is small; `site.full.test.ts` uses the site. */
import { gzipSync } from 'node:zlib';
import { expect, it } from 'vitest';
import { describePage } from '../../web/test/browser.ts';
import { openOn, useServer } from './site.ts';

/** Longest first load: HTML, scripts and styles, packed. */
const mostBytes = 150_000;

describePage('the first load of the site', ({ browser }) => {
  const server = useServer();

  it.each(['', 'train/'])('takes at most 150 KB: /%s', async (path) => {
    const { page } = await openOn(browser, 'about:blank');
    const sizes: Promise<number>[] = [];
    page.on('response', (response) => {
      if (!['document', 'script', 'stylesheet'].includes(response.request().resourceType())) return;
      sizes.push(response.body().then((body) => gzipSync(body).length));
    });
    await page.goto(server().url + path, { waitUntil: 'networkidle' });
    expect(sizes.length).toBeGreaterThan(2);
    expect((await Promise.all(sizes)).reduce((sum, size) => sum + size)).toBeLessThan(mostBytes);
  });
});
