/** The page of a comparison: one file that shows the measurements, loads nothing, and draws in a real browser. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { browserFlags, findChromium } from '@lockstep/chromium';
import { type Browser, chromium } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { CompareReport } from '../src/compare/compare.ts';
import { pageOf } from '../src/compare/html.ts';
import { conclusionOf, resultOf } from '../src/compare/results.ts';
import { measured, own, sampleTraining } from './sample-results.ts';

/** Checks that each tag is closed by its own closing tag. Returns how often each was opened. */
function tagsOf(page: string): Map<string, number> {
  const empty = new Set(['meta', 'br']);
  const open: string[] = [];
  const counts = new Map<string, number>();
  const body = page.replace(/^<!doctype html>/, '').replace(/<(style|script)[^>]*>[\s\S]*?<\/\1>/g, '');
  for (const [tag, slash, name] of body.matchAll(/<(\/?)([a-z][a-z0-9]*)\b[^<>]*>/g)) {
    if (slash === '/') expect(open.pop(), tag).toBe(name);
    else {
      counts.set(name!, (counts.get(name!) ?? 0) + 1);
      if (!empty.has(name!)) open.push(name!);
    }
  }
  expect(open).toEqual([]);
  // A remaining bracket would be text that was not escaped.
  expect(body.replace(/<\/?[a-z][^<>]*>/g, '')).not.toMatch(/[<>]/);
  return counts;
}

/** Runs in the page: returns the charts whose parts, one for each row and part of a step, are not all drawn. */
const faultyCharts = `() => {
  const results = JSON.parse(document.getElementById('report').textContent).results;
  const isSeen = (part) => part.getBoundingClientRect().width > 0 && getComputedStyle(part).backgroundColor !== 'rgba(0, 0, 0, 0)';
  return [...document.querySelectorAll('.cards')].flatMap((cards) => [...cards.children].flatMap((card, index) => {
    const timed = results[index].rows.filter(({ kind }) => kind !== 'missing');
    const own = timed.filter(({ kind }) => kind === 'lockstep');
    const drawn = {
      throughput: () => [...card.querySelectorAll('i')].filter(isSeen).length === timed.length,
      step: () => own.every((_, row) => [...card.querySelectorAll('dd')[row].querySelectorAll('i')].some(isSeen)),
      curves: () => [...card.querySelectorAll('polyline')].filter((line) => line.getTotalLength() > 100).length === own.length,
    }[card.dataset.chart];
    return drawn() ? [] : [card.dataset.chart + ' ' + index];
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
  results: [resultOf(sampleTraining, [own('single', [4])], 0.99)],
  conclusion: [],
});

/** The visible text, without scripts and styles. */
const textOf = (html: string): string => html.replace(/<(style|script)[^>]*>[\s\S]*?<\/\1>/g, '');

describe('the page', () => {
  test('is well formed, with a chart of each kind for every training and all figures as a table', () => {
    const tags = tagsOf(page);
    for (const chart of ['throughput', 'step', 'curves']) {
      expect(page.match(new RegExp(`data-chart="${chart}"`, 'g'))).toHaveLength(2);
    }
    expect(tags.get('table')).toBe(1);
    // A header row, a row for each training, and six timed rows for each.
    expect(tags.get('tr')).toBe(1 + 2 * (1 + 6));
    expect(textOf(page)).not.toMatch(/NaN|Infinity|undefined/);
    for (const message of report.conclusion) expect(page).toContain(message);
  });

  test('loads nothing, and runs no script', () => {
    expect(/<link|<img|<iframe|@import|url\(|\ssrc=|\son[a-z]+="/i.test(textOf(page))).toBe(false);
    expect(page).toContain(`content="default-src 'none'; style-src 'unsafe-inline'"`);
  });

  test('holds the whole report as data', () => {
    const [, json] = /<script type="application\/json" id="report">([\s\S]*?)<\/script>/.exec(page)!;
    expect(json).not.toContain('<');
    expect(JSON.parse(json!)).toEqual(JSON.parse(JSON.stringify(report)));
  });

  test('shows text as text', () => {
    expect(page).toContain('A &lt;fast&gt; &quot;chip&quot; &amp; more');
    expect(page).toContain('no &lt;WebAssembly&gt; here');
  });

  test('can be made of one training by one process alone', () => {
    tagsOf(smallest);
    expect(textOf(smallest)).toContain('not reached');
    expect(textOf(smallest)).not.toMatch(/NaN|Infinity|undefined/);
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
    ['light', 390, page],
    ['dark', 1280, page],
    ['light', 1280, smallest],
  ] as const)(
    'in %s colors, %d pixels wide, every chart is drawn and nothing overflows',
    async (scheme, width, html) => {
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
      expect(await tab.evaluate(`(${faultyCharts})()`)).toEqual([]);
      expect(errors).toEqual([]);
      expect(await tab.evaluate('document.documentElement.scrollWidth <= innerWidth')).toBe(true);
      await context.close();
    },
  );
});
