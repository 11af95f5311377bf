/** Checks that tabs train on every kind of data with the bits of the oracle, and that the page shows each kind. */
import type { Dataset, TargetField } from '@lockstep/data';
import { datasetFromTable, parseDelimited } from '@lockstep/data/readers';
import { expect, it } from 'vitest';
import type { TrainingData } from '../../../packages/prepare/src/options.ts';
import { openDashboardServer } from '../../../packages/server/test/dashboard-server.ts';
import { kindsOfData } from '../../../packages/train/test/kinds-of-data.ts';
import { seriousViolations } from './axe.ts';
import { describePage } from './browser.ts';
import { textWithoutPlace } from './layout.ts';
import { addressesOf } from './run.ts';
import type { Tab } from './tab.ts';

const kinds = Object.entries(kindsOfData).map(([name, { model, ...data }]) => ({ name, model, data }));

describePage('tabs', ({ browser }) => {
  it.each(kinds)('train on $name with the bits of the oracle', async ({ name, model, data }) => {
    const args = { model, data, batch: 60, epochs: 2, listen: { port: 0, waitForStart: true } };
    const server = await openDashboardServer({ args });
    const tab = await browser.open(addressesOf(server), 'owner');
    await tab.join('cpu', 'tab');
    await tab.workersReady(1);
    await tab.panelShows(data.train.samples.shape.length === 3 ? 'Images' : 'Samples');
    await tab.press('Start');
    expect(await server.run.outcome).toEqual({ type: 'finished' });
    expect(server.weightsSha256()).toBe(await server.expectedSha256());
    server.epoch(report(data.test.targets.role));
    const { names, role } = data.test.targets;
    const topErrors = tab.page.locator('.top-errors > li, .error-rows tbody > tr').first();
    await tab.during('the top errors', topErrors.waitFor());
    if (role === 'index') {
      const headings = await tab.page.locator('.matrix thead th').allTextContents();
      expect(headings.map((text) => text.trim())).toEqual([...names]);
    } else {
      expect(await tab.page.locator('.confusion-card').count()).toBe(0);
      await tab.shows('Test RMSE');
      // The only chart takes the width of two.
      expect((await tab.page.locator('.chart').boundingBox())!.width).toBeGreaterThan(600);
      await tab.shows('123,500');
      // The target and the prediction, in their own unit.
      expect(await topErrors.textContent()).toMatch(new RegExp(`${names[0]} -?\\d{4,} .*?-?\\d{4,}`));
    }
    // Other samples are neither drawings, nor pictures, nor texts, nor rows of known columns.
    const canTry = name === 'pictures in color' || name === 'a table with texts';
    expect(await tab.page.locator('.draw-card').count()).toBe(canTry ? 1 : 0);
    if (name === 'a table with texts') await takesText(tab);
    if (role === 'value') await followsValues(tab);
    expect(tab.errors).toEqual([]);
  });

  it('show large numbers with commas, and long names of the classes of arrays in their place', async () => {
    const { model, train, test } = kindsOfData['a table with classes'];
    const named = ({ targets, ...data }: Dataset): Dataset => ({
      ...data,
      targets: { ...targets, names: longNames.slice(0, 3) },
    });
    const server = await waitingServer({ model, data: { train: named(train), test: named(test) }, epochs: 10_000 });
    const tab = await browser.open(server.run, 'page', phone);
    // Before the first step the model only guesses, so there are errors of each class.
    server.epoch();
    await tab.during('the top errors', tab.page.locator('.top-errors > li').nth(7).waitFor());
    await tab.shows('Epoch 1 of 10,000, step 0 of 50,000');
    await hasPlaceForAll(tab);
    expect(await seriousViolations(tab.page)).toEqual([]);
  });

  it.each([
    { what: 'five classes', count: 5 },
    { what: 'a hundred classes', count: 100 },
  ])('show a table of $what with names of 60 characters as it is, and take a row to try', async ({ count }) => {
    const names = Array.from({ length: count }, (_, index) => longNames[index] ?? `${index} ${longNames[index % 5]}`);
    const { data, rows } = namedTable(names);
    const server = await waitingServer({ model: 'mlp', data, epochs: 1 });
    const tab = await browser.open(server.run, 'page', phone);
    server.epoch();
    await showsRows(tab, rows);
    await takesRow(tab, count);
    await readsMatrix(tab, data.train.targets.names);
    await hasPlaceForAll(tab);
    // Five classes show each kind of element; a hundred have ten thousand cells, which is too slow.
    if (count === 5) expect(await seriousViolations(tab.page)).toEqual([]);
    await tab.page.getByRole('link', { name: 'Inside', exact: true }).click();
    await tab.shows('The softmax, whose sum is 1');
    await measuresBars(tab);
    await hasPlaceForAll(tab);
    if (count === 5) expect(await seriousViolations(tab.page)).toEqual([]);
    expect(tab.errors).toEqual([]);
  });
});

const phone = { viewport: { width: 390, height: 844 } };

const longNames = [
  'Rindfleischetikettierungsüberwachungsaufgabenübertragungsgesetz',
  'the common spotted orchid with unusually pale and large leaves',
  '🦊🐻🐼 families of small animals that live in the forest 🌲🌲🌲',
  'زهرة السوسن البرية ذات الأوراق العريضة في الربيع المبكر جدا',
  'Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamter',
];

const columns = ['petal length (cm)', 'built', 'color'];

/** Returns rows of a CSV file, at least four for each class. */
function namedTable(names: readonly string[]) {
  const rows = names.flatMap((name, index) =>
    Array.from({ length: Math.max(4, 400 / names.length) }, (_, each) => [
      `${(index + each) / 10}`,
      `${1900 + ((7 * index + each) % 120)}`,
      each % 2 ? 'deep blue' : 'red',
      name,
    ]),
  );
  const text = [[...columns, 'label'], ...rows].map((row) => row.join(',')).join('\n');
  const opened = datasetFromTable(parseDelimited(new TextEncoder().encode(text), 'named.csv'), { testFraction: 0.5 });
  return { data: opened, rows };
}

/** Opens a server whose run waits for a start that never comes. */
async function waitingServer(args: { model: string; data: TrainingData; epochs: number }) {
  const server = await openDashboardServer({
    args: { ...args, batch: 60, listen: { port: 0, waitForStart: true } },
  });
  return { run: addressesOf(server), epoch: () => server.epoch(report('index')) };
}

/** Expects every text to fit its box, and the page to be as wide as the window. */
async function hasPlaceForAll({ page }: Tab): Promise<void> {
  expect(await textWithoutPlace(page)).toEqual([]);
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(phone.viewport.width);
}

/** Expects the top errors to have the columns and cells of the file. */
async function showsRows(tab: Tab, rows: readonly (readonly string[])[]): Promise<void> {
  const shown = tab.page.locator('.error-rows tbody tr');
  await tab.during('the top errors', shown.nth(7).waitFor());
  const headings = await tab.page.locator('.error-rows thead th').allTextContents();
  expect(headings).toEqual(['label → prediction', ...columns]);
  const given = rows.map((row) => row.join('|'));
  for (const row of await shown.all()) {
    const label = await row.locator('bdi').first().textContent();
    const cells = await row.locator('td').allTextContents();
    expect(
      given.some((each) => each === [...cells, label].join('|')),
      `${cells} ${label}`,
    ).toBe(true);
  }
}

/** Expects a row of raw values to be classified, and invalid numbers to be reported. */
async function takesRow({ page }: Tab, classes: number): Promise<void> {
  const card = page.locator('.draw-card');
  await card.getByLabel('built', { exact: true }).fill('1975.5');
  await card.getByLabel('color').selectOption('red');
  await card.getByText('model after step 0', { exact: true }).waitFor();
  const percents = async (): Promise<number[]> =>
    (await card.locator('.bar-text').allTextContents()).map((text) => Number.parseInt(text, 10));
  expect(await percents()).toHaveLength(Math.min(classes, 11));
  const first = await card.locator('.bar-fill').first().getAttribute('width');
  await card.getByLabel('petal length (cm)', { exact: true }).fill('25');
  await expect.poll(() => card.locator('.bar-fill').first().getAttribute('width')).not.toBe(first);
  await card.getByLabel('petal length (cm)', { exact: true }).fill('');
  await card.getByText('petal length (cm): expected a number.', { exact: true }).waitFor();
  await card.getByLabel('petal length (cm)', { exact: true }).fill('2.5');
}

/** Types a text, whose known words the model reads; the top errors show theirs. */
async function takesText({ page }: Tab): Promise<void> {
  const card = page.locator('.draw-card');
  expect(await page.locator('.error-rows td.long-text').first().textContent()).toMatch(/\bword\d+ .*really$/);
  await card.getByLabel('Your text').fill('SPLENDID, unheard of.');
  await card.getByText('splendid (unknown) (unknown)', { exact: true }).waitFor();
  const fill = card.locator('.bar-fill').last();
  await card.getByText(/^Looks like [123], \d/).waitFor({ state: 'attached' });
  const before = await fill.getAttribute('width');
  await card.getByLabel('Your text').fill('dreadful');
  await expect.poll(() => fill.getAttribute('width')).not.toBe(before);
}

/** Expects cells that are large enough to tap and are described by pointer and keyboard. */
async function readsMatrix({ page }: Tab, names: readonly string[]): Promise<void> {
  const matrix = page.getByRole('grid');
  const readout = page.locator('.matrix-readout');
  const cell = (label: number, predicted: number) => matrix.locator('tbody tr').nth(label).locator('td').nth(predicted);
  const last = names.length - 1;
  for (const predicted of [0, last]) {
    await cell(1, predicted).click();
    // The press has scrolled to the samples of the cell, so the pointer may be over another one.
    await cell(1, predicted).hover();
    const { width, height } = (await cell(1, predicted).boundingBox())!;
    expect(Math.min(width, height)).toBeGreaterThan(20);
    const count = (await cell(1, predicted).textContent()) || '0';
    expect(await readout.textContent()).toBe(`${count} samples of ${names[1]} classified as ${names[predicted]}`);
  }
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('ArrowLeft');
  await page.keyboard.press('ArrowRight');
  expect(await readout.textContent()).toMatch(new RegExp(` of ${names[2]} classified as ${names[last]}$`));
  expect(await cell(2, last).evaluate((element) => element === document.activeElement)).toBe(true);
  await page.keyboard.press('Shift+Tab');
  await page.keyboard.press('Tab');
  expect(await cell(2, last).evaluate((element) => element === document.activeElement)).toBe(true);
}

/** Expects a probability of 49 % to fill 49 % of its bar, and negative bars to end where positive bars begin. */
async function measuresBars({ page }: Tab): Promise<void> {
  const read = (caption: RegExp) =>
    page
      .getByRole('region', { name: caption })
      .locator('li:has(svg)')
      .evaluateAll((rows) =>
        rows.map((row) => {
          const [track, bar] = ['svg', 'rect'].map((name) => row.querySelector(name)!.getBoundingClientRect());
          const from = (bar!.left - track!.left) / track!.width;
          const text = row.querySelector('.bar-text')!.textContent;
          return { value: Number.parseFloat(text), width: track!.width, from, to: from + bar!.width / track!.width };
        }),
      );
  for (const { value, from, to, width } of await read(/^The softmax/)) {
    expect(width).toBeGreaterThan(40);
    expect(from).toBeCloseTo(0, 2);
    expect(to).toBeCloseTo(value / 100, 2);
  }
  const logits = await read(/^Logits/);
  const zero = logits.filter(({ value }) => value > 0).map(({ from }) => from)[0] ?? 1;
  for (const { value, from, to } of logits) expect(value < 0 ? to : from).toBeCloseTo(zero, 2);
}

/** Opens the live network with one of the samples of largest error, and expects its prediction next to its target. */
async function followsValues(tab: Tab): Promise<void> {
  const { page } = tab;
  await page.getByRole('link', { name: 'Inside', exact: true }).click();
  const samples = page.locator('.test-samples button');
  await tab.during('samples to follow', samples.nth(1).waitFor());
  const rows = page.locator('.inside-activations-card .exhibit-table tbody tr');
  const shown = async (at: number): Promise<string[]> => {
    await samples.nth(at).click();
    const text = (await samples.nth(at).locator('bdi').last().textContent()) ?? '';
    await tab.shows(`target ${text}`, { exact: true });
    return rows.allTextContents();
  };
  const [second, first] = [await shown(1), await shown(0)];
  expect(first).toHaveLength(2);
  expect(second).not.toEqual(first);
  expect(await page.locator('main').textContent()).not.toMatch(/pixel|picture|digit|image/i);
  expect(await seriousViolations(page)).toEqual([]);
}

function report(role: TargetField['role']) {
  const accuracy = role === 'index' ? 0.5 : null;
  const [quality, times] = [
    {
      trainAccuracy: accuracy,
      testAccuracy: accuracy,
      testR2: role === 'value' ? 0.5 : null,
      testRmse: role === 'value' ? 123_456 : null,
    },
    { seconds: 1, imagesPerSecond: 1 },
  ];
  return { epoch: 1, trainLoss: 1, testLoss: 1, ...quality, ...times };
}
