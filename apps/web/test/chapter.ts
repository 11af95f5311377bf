/** Opens chapters of the lesson in a tab. */
import { chapters } from '@lockstep/lesson';
import type { BrowserContextOptions } from 'playwright-core';
import { beforeAll, expect } from 'vitest';
import { tinyFiles, writeFolder } from '../../../packages/train/test/tiny-data.ts';
import { share } from '../../coordinator/test/processes.ts';
import type { TestBrowser } from './browser.ts';
import { startRun, type TestRun } from './run.ts';
import type { Tab } from './tab.ts';

/** Starts a run that waits, before the tests of a suite, and returns a function that opens its page. */
export function useLesson(browser: TestBrowser, folder: string): (options?: BrowserContextOptions) => Promise<Tab> {
  let run: TestRun | undefined;
  beforeAll(async () => {
    run = await startRun(folder, ['--wait-for-start', '--data', await writeFolder(folder, 'tiny', tinyFiles())]);
    share(run.program);
  });
  return (options = {}) => browser.open(run!, 'page', options);
}

/** @param epochs fewer than the chapter's default */
export async function openChapter(tab: Tab, id: string, epochs?: number): Promise<void> {
  const { page } = tab;
  await page.goto(`${page.url().replace(/#.*/, '')}#learn/${id}`);
  const title = chapters.find((chapter) => chapter.id === id)!.title;
  await page.getByRole('heading', { level: 2, name: title, exact: true }).waitFor();
  if (epochs !== undefined) await page.getByRole('slider', { name: 'Epochs' }).fill(`${epochs}`);
  await isComputed(tab);
}

/** Waits until the computation has ended, successfully or not. */
export async function isComputed(tab: Tab): Promise<void> {
  const article = tab.page.locator('article.chapter:not([data-phase="computing"])');
  await tab.during('the chapter to be computed', article.waitFor());
  expect(await article.getAttribute('data-phase')).toBe('done');
}

/** Returns a figure of the chapter by its label. */
export async function figure(tab: Tab, label: string): Promise<string> {
  const labeled = tab.page
    .locator('.lesson-figures .figure')
    .filter({ has: tab.page.getByText(label, { exact: true }) });
  return (await labeled.locator('dd').textContent()) ?? '';
}
