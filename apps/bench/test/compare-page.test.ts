/** The page of a comparison: one file that loads nothing, and shows every measurement in a real browser. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { browserFlags, findChromium } from '@lockstep/chromium';
import { type Browser, chromium } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { seriousViolations } from '../../web/test/axe.ts';
import type { CompareReport } from '../src/compare/compare.ts';
import { type CompareContent, pageOf } from '../src/compare/html.ts';
import { comparedTraining, conclusionOf } from '../src/compare/results.ts';
import { measured, own, sampleTraining } from './sample-results.ts';

/** Runs in the page: returns the bars and curves that are not drawn, by the section and the exhibit. */
const faultyCharts = `() => {
  const { sections } = JSON.parse(document.getElementById('content').textContent);
  const isSeen = (rect) => rect.getBoundingClientRect().width > 0 && getComputedStyle(rect).fill !== 'none';
  const isPainted = (canvas) => new Uint32Array(canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.buffer).some(Boolean);
  const shown = [...document.querySelectorAll('.exhibits')];
  return sections.flatMap(({ title, exhibits }, section) => exhibits.flatMap((exhibit, index) => {
    const card = shown[section].children[index];
    const isDrawn = {
      bars: () => exhibit.bars.every((_, bar) => [...card.querySelectorAll('.bar')[bar].querySelectorAll('rect')].some(isSeen)),
      curves: () => isPainted(card.querySelector('canvas')) && card.querySelectorAll('.key').length === exhibit.series.length,
      table: () => card.querySelectorAll('tbody tr').length === exhibit.rows.length,
    }[exhibit.kind];
    return isDrawn() ? [] : [title + ' ' + index];
  }));
}`;

const results = [measured(4, 8, 2), measured(1, 4, 5)];
const report: CompareReport = {
  compare: 1,
  lockstep: '0.1.0',
  startedAt: '2026-01-02T03:04:05.678Z',
  wallSeconds: 61,
  machine: {
    cpu: 'A <fast> "chip" & more',
    cores: 2,
    memoryGiB: 8,
    platform: 'linux x64',
    node: 'v20.0.0',
    v8: '11',
  },
  rounds: 2,
  accuracy: 0.5,
  results,
  conclusion: conclusionOf(results),
};
const page = pageOf(report);
/** One training by a single process. */
const smallest = pageOf({
  ...report,
  results: [comparedTraining(sampleTraining, [own('single', [4])], 0.99)],
  conclusion: [],
});

/** A JSON element of the page. */
function jsonIn(html: string, id: string) {
  const [, json] = new RegExp(`<script type="application/json" id="${id}">([\\s\\S]*?)</script>`).exec(html)!;
  expect(json).not.toContain('<');
  return JSON.parse(json!);
}

describe('the page', () => {
  test('has a chart of each kind for every training, and all figures as tables', () => {
    const content = jsonIn(page, 'content') as CompareContent;
    const kinds = content.sections.map(({ exhibits }) => exhibits.map(({ kind }) => kind));
    expect(kinds).toEqual([
      ['bars', 'bars'],
      ['bars', 'bars'],
      ['curves', 'curves'],
      ['table', 'table'],
    ]);
    // Six timed rows for each training.
    for (const exhibit of content.sections.at(-1)!.exhibits) expect(exhibit).toMatchObject({ rows: { length: 6 } });
    expect(content.conclusion).toEqual(report.conclusion);
  });

  test('loads nothing', () => {
    const markup = page.replace(/<(style|script)[^>]*>[\s\S]*?<\/\1>/g, '');
    expect(/<link|<img|<iframe|@import|url\(|\ssrc=|\son[a-z]+="/i.test(markup)).toBe(false);
    expect(page).toContain(`content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"`);
  });

  test('holds the whole report as data', () => {
    expect(jsonIn(page, 'report')).toEqual(JSON.parse(JSON.stringify(report)));
  });
});

const executablePath = findChromium();

describe.skipIf(executablePath === undefined)('in a browser, from disk and without a network', () => {
  let browser: Browser;
  let folder = '';
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'lockstep-page-test-'));
    browser = await chromium.launch({ executablePath: executablePath!, args: [...browserFlags], timeout: 150_000 });
  });
  afterAll(async () => {
    await browser?.close();
    await rm(folder, { recursive: true, force: true });
  });

  test.each([
    ['light', 390, page, [...report.conclusion, 'A <fast> "chip" & more', 'no <WebAssembly> here']],
    ['dark', 1280, page, report.conclusion],
    ['light', 1280, smallest, ['not reached']],
  ] as const)(
    'in %s colors, %d pixels wide, every chart is drawn, every text is shown as text, and nothing overflows',
    async (scheme, width, html, texts) => {
      const file = join(folder, 'page.html');
      await writeFile(file, html);
      const context = await browser.newContext({
        colorScheme: scheme,
        viewport: { width, height: 900 },
        offline: true,
      });
      const tab = await context.newPage();
      const errors: string[] = [];
      tab.on('pageerror', (error) => errors.push(error.message));
      tab.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
      await tab.goto(pathToFileURL(file).href);
      await expect.poll(() => tab.evaluate(`(${faultyCharts})()`)).toEqual([]);
      const shown = await tab.locator('#page').textContent();
      for (const text of texts) expect(shown).toContain(text);
      expect(shown).not.toMatch(/NaN|Infinity|undefined|null/);
      expect(errors).toEqual([]);
      expect(await tab.evaluate('document.documentElement.scrollWidth <= innerWidth')).toBe(true);
      expect(await seriousViolations(tab)).toEqual([]);
      await context.close();
    },
  );
});
