/** Every program to copy runs to its end, and prints what it claims. */
import { readdirSync, readFileSync } from 'node:fs';
import { browserFlags, findChromium } from '@lockstep/chromium';
import { chapters } from '@lockstep/lesson';
import { chromium } from 'playwright-core';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { example, programs } from '../src/example.ts';

afterEach(() => vi.restoreAllMocks());

/** Runs a program by name. @param onLine receives each line as it is printed */
async function linesOf(name: string, onLine: (line: string) => void = () => {}): Promise<string> {
  const lines: string[] = [];
  vi.spyOn(console, 'log').mockImplementation((line: string) => {
    lines.push(line);
    onLine(line);
  });
  expect(await example([name])).toBe(0);
  return lines.join('\n');
}

/** The number that a pattern captures. */
function numberIn(text: string, pattern: RegExp): number {
  const found = pattern.exec(text)?.[1];
  expect(found, `${pattern} in ${text}`).toBeDefined();
  return Number(found);
}

const claims: Readonly<Record<string, (text: string) => void>> = {
  iris(text) {
    expect(text).toMatch(/^iris\.csv: 150 rows/);
    expect(numberIn(text, /test accuracy ([\d.]+) % \(30 flowers\)/)).toBeGreaterThan(90);
    expect(text).toMatch(/^setosa .*: 10, 0, 0$/m);
  },
  pictures(text) {
    expect(text).toMatch(/^shapes: 60 pictures, 3 classes \(circle, cross, square\)/);
    expect(numberIn(text, /epoch 30: loss ([\d.]+)/)).toBeLessThan(numberIn(text, /epoch 10: loss ([\d.]+)/));
    expect(numberIn(text, /test accuracy ([\d.]+) % \(12 pictures\)/)).toBeGreaterThan(80);
  },
  'xor-in-eight-lines'(text) {
    expect(text).toBe('0^0, 0^1, 1^0, 1^1 = 0, 1, 1, 0');
  },
  'layer-list'(text) {
    // (5 x 5 + 1) x 8 of the convolution, (392 + 1) x 32 and (32 + 1) x 10 of the dense layers.
    expect(text).toMatch(/^13114 parameters, /m);
    expect(numberIn(text, /step 60: loss ([\d.]+)/)).toBeLessThan(numberIn(text, /step 20: loss ([\d.]+)/));
    expect(numberIn(text, /test accuracy ([\d.]+) %$/m)).toBeGreaterThan(75);
  },
  'early-stopping'(text) {
    const epochs = numberIn(text, /^stopped after (\d+) of 1000 epochs$/m);
    expect(epochs).toBeLessThan(1000);
    expect(epochs - numberIn(text, /after epoch (\d+)$/)).toBeGreaterThanOrEqual(10);
  },
  'learning-rate-sweep'(text) {
    expect(text.split('\n')).toHaveLength(5);
    expect(numberIn(text, /^the best rate is ([\d.]+)$/m)).toBe(0.05);
  },
  'own-server'(text) {
    expect(text).toMatch(/^160 steps by guest$/m);
    expect(text).toMatch(/^my own page at \/about$/m);
    expect(text).toMatch(/^\{"status":"ok","phase":"finished"\}$/m);
  },
};

const executablePath = findChromium();

describe('npm run example', () => {
  test.each(Object.keys(claims))('%s', async (name) => {
    claims[name]!(await linesOf(name));
  });

  test.skipIf(!executablePath)('own-page, opened in a browser', { timeout: 300_000, retry: 1 }, async () => {
    const browser = await chromium.launch({ executablePath: executablePath!, args: [...browserFlags] });
    try {
      const page = await browser.newPage();
      const visits: Promise<unknown>[] = [];
      const text = await linesOf('own-page', (line) => {
        const address = /^open (\S+) in a browser$/.exec(line)?.[1];
        if (address !== undefined) visits.push(page.goto(address));
      });
      await Promise.all(visits);
      expect(visits).toHaveLength(1);
      expect(text).toMatch(/^160 steps, computed by my own page \(browser\)$/m);
    } finally {
      await browser.close();
    }
  });

  test('has a claim for every program, a file for each, and no chapter of its name', () => {
    const names = Object.keys(programs).sort();
    expect([...Object.keys(claims), 'own-page'].sort()).toEqual(names);
    expect(files().map((file) => file.replace('.ts', ''))).toEqual(names);
    expect(chapters.filter(({ id }) => names.includes(id))).toEqual([]);
  });
});

const folder = new URL('../', import.meta.url);

function files(): string[] {
  return readdirSync(folder)
    .filter((file) => file.endsWith('.ts'))
    .sort();
}

function codeOf(file: string): string[] {
  return readFileSync(new URL(file, folder), 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !/^\s*(?:\/\/|\/\*\*)/.test(line));
}

describe('a program to copy', () => {
  test.each(files())('%s is short, and imports nothing of this repository but public entries', (file) => {
    const code = codeOf(file);
    expect(code.length).toBeLessThanOrEqual(40);
    const imported = code.flatMap((line) => /from '([^']+)'/.exec(line)?.[1] ?? []);
    expect(imported.length).toBeGreaterThan(0);
    for (const name of imported) expect(name).toMatch(/^(?:node:\w+|vite|@lockstep\/(?:train|worker|data|tensor|nn))$/);
  });

  test('XOR takes eight lines', () => {
    expect(codeOf('xor-in-eight-lines.ts')).toHaveLength(8);
  });
});
