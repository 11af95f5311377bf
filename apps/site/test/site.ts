/** Serves the built site on a server of static files, and opens its pages. */
import { fileURLToPath } from 'node:url';
import type { BrowserContextOptions } from 'playwright-core';
import { afterAll, beforeAll } from 'vitest';
import type { TestBrowser } from '../../web/test/browser.ts';
import type { Tab } from '../../web/test/tab.ts';
import { serve } from '../scripts/serve.mjs';

export const dist = fileURLToPath(new URL('../dist', import.meta.url));

/** Serves the site below a path while the tests of a suite run. */
export function useServer(): () => Awaited<ReturnType<typeof serve>> {
  let server: Awaited<ReturnType<typeof serve>> | undefined;
  beforeAll(async () => {
    server = await serve(dist, 0, '/any/path/');
  });
  afterAll(() => server!.close());
  return () => server!;
}

/** Opens a page of the site. Only the test of the service worker lets it take part. */
export function openOn(
  browser: TestBrowser,
  href: string,
  options: BrowserContextOptions = { serviceWorkers: 'block' },
): Promise<Tab> {
  return browser.open({ page: href, owner: href, join: href, ended: new Promise(() => {}) }, 'page', options);
}
