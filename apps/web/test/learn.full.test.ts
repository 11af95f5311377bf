/** Checks every chapter in the built page: its claims hold with the figures of a terminal, and it is usable. */
import { chapters, type Exhibit } from '@lockstep/lesson';
import { expect, it } from 'vitest';
import { openDigits } from '../../../packages/lesson/test/context.ts';
import { seriousViolations } from './axe.ts';
import { describePage } from './browser.ts';
import { figure, isComputed, openChapter, useLesson } from './chapter.ts';
import type { Tab } from './tab.ts';

/** Claims of each chapter as the tab shows them. */
const shown: Readonly<Record<string, readonly RegExp[]>> = {
  vectors: [/768\s*0\.0[23]\d/, /80–90°/],
  'dot-product': [/sum\s*12/, /are perpendicular/, /obtuse/],
  'matrix-product': [/\[64, 128\]/, /0 of 8,192/],
  tensors: [/Their sum, \[3, 4\]/, /12,582,912/],
  neuron: [/best of 15,625 neurons\s*3 of 4/],
  xor: [/after 1,500 steps/, /correct\s*4 of 4/, /learns/],
  activations: [/relu0\.0000[\d.]+is dead/, /gelu[-\d.e]+learns/],
  layers: [/101,770 parameters/, /174,604,259,328/, /differ?ence is 0/],
  'forward-pass': [/prediction\s*7, with/],
  softmax: [/sum\s*1\.000000/, /7\.39 times/, /10000\.4963NaN/],
  'cross-entropy': [/ln 10 = 2\.303/, /untrained network: loss\s*2\.[23]/],
  'gradient-descent': [/the learning rate is\s*about right/, /too small/, /too large/],
  'mini-batches': [/steps in an epoch\s*938/, /all0 of 100/],
  'back-propagation': [/sum, the gradient of z-1\.0723/, /forward 101,770 times662 billion/],
  initialization: [/He1\.414\d\.\d{4}\d\.\d{4}/],
  'training-loop': [/test accuracy9[012]\.\d\d %/, /generalizes/, /valueAndGrad/],
  optimizers: [/"momentum","learningRate":0\.01/, /adam0\.001[\d.]+9\d\.\d\d %/],
  embedding: [/0 of 27/, /loss of guessing\s*3\.296/, /after 600 steps/],
  attention: [/looks at\s*cat/, /√d[\d.]+/],
  transformer: [/4,192/, /after step 1,000/, /[a-z]+ [a-z]+/, /head 4/],
  'many-workers': [
    /8\s*0 of 101,770/,
    /the run goes back to before step \d+, and takes \d+ steps? again without worker 2/,
  ],
};

/** Chapters that would take as long as all others together; the lesson's own tests train them in full. */
const trainsForEpochs = ['training-loop', 'optimizers'];

/** Screens that chapters alternate between. */
const screens = [
  { viewport: { width: 390, height: 844 }, colorScheme: 'dark' },
  { viewport: { width: 1280, height: 800 }, colorScheme: 'light' },
] as const;

/** Returns the captions of tables that are wider than their cards. */
function cutTables(tab: Tab): Promise<(string | null)[]> {
  return tab.page
    .locator('.exhibit-table .scroll')
    .evaluateAll((tables) =>
      tables.filter((table) => table.scrollWidth > table.clientWidth).map((table) => table.getAttribute('aria-label')),
    );
}

/** Waits until the newest curve of the live run has reached this number of steps. */
async function hasTaken(tab: Tab, steps: number): Promise<void> {
  const isThere = (least: number): boolean => {
    const text = [...document.querySelectorAll('.live-figures')].at(-1)?.textContent ?? '';
    return Number((/step ([\d,]*\d)/.exec(text)?.[1] ?? '0').replace(',', '')) >= least;
  };
  await tab.during(`${steps} steps`, tab.page.waitForFunction(isThere, steps));
}

/** Returns the accuracy of the newest curve, in percent. */
async function accuracy(tab: Tab): Promise<number> {
  const text = (await tab.page.locator('.live-figures').last().textContent()) ?? '';
  return Number(/([\d.]+) %/.exec(text)?.[1]);
}

/** Returns captions, figures, cells and code of exhibits, in order. Measured times always differ and are replaced. */
function textsOf(exhibits: readonly Exhibit[]): string[] {
  return exhibits.flatMap((exhibit) => {
    const caption = 'caption' in exhibit ? [exhibit.caption] : [];
    switch (exhibit.kind) {
      case 'figures':
        return exhibit.figures.map(({ value }) => value);
      case 'table':
        return [...caption, ...exhibit.rows.flat().map(String)];
      case 'code':
        return [...caption, ...exhibit.lines.map(({ code }) => code)];
      case 'grid':
        return [...caption, ...(exhibit.showsNumbers ? exhibit.values.map(String) : [])];
      default:
        return caption;
    }
  });
}

function withoutTimes(texts: readonly string[]): string[] {
  return texts.map((text) => (/^[\d.]+ m?s$/.test(text) ? 'a time' : text));
}

/** Expects the page to show the chapter's claims, with the figures of a terminal. */
async function claims({ page }: Tab, id: string, settings: Readonly<Record<string, number>>): Promise<void> {
  const shownExhibits = page.locator('.exhibits');
  for (const expected of shown[id]!) expect(await shownExhibits.textContent(), id).toMatch(expected);
  let inTerminal: readonly Exhibit[] = [];
  const chapter = chapters.find((each) => each.id === id)!;
  for (const exhibits of chapter.exhibits(await openDigits(), settings)) inTerminal = exhibits;
  const onPage = await shownExhibits.locator('h3, dd, td, code').allTextContents();
  expect(withoutTimes(onPage), id).toEqual(withoutTimes(textsOf(inTerminal)));
}

/** Expects no layout shift, nothing cut off at any width or with large type, and no serious violation found by axe. */
async function looksWell(tab: Tab, id: string): Promise<void> {
  const { page } = tab;
  const pageWidth = (): Promise<number> => page.evaluate(() => document.documentElement.scrollWidth);
  expect(await pageWidth(), id).toBe(page.viewportSize()!.width);
  expect(await seriousViolations(page), id).toEqual([]);
  expect(
    (await tab.layoutShifts()).filter(({ score }) => score > 0.01),
    id,
  ).toEqual([]);
  for (const width of [390, 1440]) {
    await page.setViewportSize({ width, height: 900 });
    await expect.poll(() => cutTables(tab), { message: `${id}, ${width} px` }).toEqual([]);
  }
  await page.setViewportSize({ width: 320, height: 640 });
  await page.evaluate(() => document.documentElement.style.setProperty('font-size', '200%'));
  await expect.poll(pageWidth, { message: `${id}, large type` }).toBe(320);
  await page.evaluate(() => document.documentElement.style.removeProperty('font-size'));
  await tab.forgetLayoutShifts();
}

describePage('the lesson', ({ browser, folder }) => {
  const openPage = useLesson(browser, folder);

  it('has something to expect of every chapter', () => {
    expect(Object.keys(shown)).toEqual(chapters.map(({ id }) => id));
  });

  it.each(screens)(
    'each chapter computes its claim, without errors or serious violations in axe, in $viewport.width pixels',
    async (screen) => {
      const tab = await openPage(screen);
      for (const { id } of chapters.filter((_, index) => screens[index % 2] === screen)) {
        await tab.page.setViewportSize(screen.viewport);
        const settings = trainsForEpochs.includes(id) ? { epochs: 1 } : {};
        await openChapter(tab, id, settings.epochs);
        await claims(tab, id, settings);
        await looksWell(tab, id);
      }
      expect([...tab.errors, ...tab.foreignRequests]).toEqual([]);
    },
    600_000,
  );

  it('a control changes the curve of a network while it trains, or begins another one beside it', async () => {
    const tab = await openPage();
    await openChapter(tab, 'activations');
    await tab.press('See it train ↓');
    const card = tab.page.getByRole('region', { name: 'The same network with another activation' });
    expect(await card.evaluate((element) => element === document.activeElement)).toBe(true);
    // Until then, the card shows the data and the untrained network.
    await card.getByText(/^untrained, loss 0\.\d+, accuracy \d\d\.\d\d %$/).waitFor();
    expect(await card.locator('.plane .dot').count()).toBeGreaterThan(50);
    await tab.press('Train');
    await hasTaken(tab, 200);
    expect(await accuracy(tab)).toBeLessThan(80);
    await card.getByRole('combobox', { name: 'Activation' }).selectOption('relu');
    await card.getByText(/^Curve 1, step [\d,]+: Activation relu$/).waitFor();
    await hasTaken(tab, 1200);
    expect(await accuracy(tab)).toBeGreaterThan(95);
    const neurons = card.getByRole('region', { name: 'Output of each hidden neuron over the plane' });
    await neurons.focus();
    const layers = neurons.getByRole('img', { name: /^Layer \d: \d+ of 16 neurons give 0 everywhere$/ });
    expect(await layers.count()).toBe(2);
    const isPainted = (canvas: HTMLElement | SVGElement): boolean => {
      const { width, height } = canvas as HTMLCanvasElement;
      const { data } = (canvas as HTMLCanvasElement).getContext('2d')!.getImageData(0, 0, width, height);
      return new Set(new Uint32Array(data.buffer)).size > 20;
    };
    expect(await layers.first().evaluate(isPainted)).toBe(true);
    await card.getByRole('slider', { name: 'Hidden layers' }).fill('4');
    await expect.poll(() => layers.count()).toBe(4);
    await card.getByText(/^2: .*hidden layers 4/).waitFor();
    await hasTaken(tab, 50);
    await tab.press('Pause');
    await card.getByText('Paused.').waitFor();
    const steps = await card.locator('.live-figures').last().textContent();
    await tab.press('Another curve');
    await card.getByText(/^untrained, loss/).waitFor();
    expect(await card.locator('.live-figures').nth(1).textContent()).toBe(steps);
    await tab.press('5 steps');
    await card.getByText(/^step 5, loss/).waitFor();
    await tab.press('Resume');
    await hasTaken(tab, 10);
    expect(await seriousViolations(tab.page)).toEqual([]);
    const shifts = (await tab.layoutShifts()).filter(({ score }) => score > 0.01);
    expect(shifts).toEqual([]);
    await tab.press('Clear');
    await card.getByText('Untrained. Train, and move the controls while the curve grows.').waitFor();
    expect(await card.locator('.live-figures').allTextContents()).toEqual([expect.stringMatching(/^untrained, /)]);
    expect(tab.errors).toEqual([]);
  });

  it('where motion is not wanted, a curve grows by 150 steps at a time', async () => {
    const tab = await openPage({ reducedMotion: 'reduce' });
    await openChapter(tab, 'gradient-descent');
    await tab.page.evaluate(() => {
      const seen: string[] = [];
      Object.assign(window, { seen });
      new MutationObserver(() => seen.push(document.querySelector('.live-figures')?.textContent ?? '')).observe(
        document.querySelector('.live-card')!,
        { subtree: true, childList: true, characterData: true },
      );
    });
    await tab.press('Train');
    await hasTaken(tab, 450);
    const seen = await tab.page.evaluate(() => (window as unknown as { seen: string[] }).seen);
    const steps = new Set(seen.flatMap((text) => /step ([\d,]*\d)/.exec(text)?.[1] ?? []));
    expect([...steps]).toEqual(['150', '300', '450']);
  });

  it('one neuron instead of three ends at ln 2, live', async () => {
    const tab = await openPage();
    await openChapter(tab, 'xor');
    await tab.page.getByLabel('Neurons').selectOption('1');
    await isComputed(tab);
    await expect.poll(() => figure(tab, 'loss')).toMatch(/^0\.69/);
    expect(await figure(tab, 'correct')).not.toBe('4 of 4');
    await tab.press('Reset');
    await tab.page.getByLabel('Hidden activation').selectOption('relu');
    await isComputed(tab);
    await expect.poll(() => figure(tab, 'correct')).toBe('4 of 4');
    expect(await figure(tab, 'the network')).toBe('learns');
  });

  it('a learning rate of 10 diverges in the training loop, and digits are shown before a live run trains', async () => {
    const tab = await openPage();
    await openChapter(tab, 'training-loop', 1);
    const card = tab.page.getByRole('region', { name: 'All settings at once, on digits' });
    await card.getByRole('img', { name: /^7: predicts \d, \d+ %$/ }).waitFor();
    await tab.page.getByRole('region', { name: 'Controls' }).getByLabel('Learning rate').fill('1');
    await isComputed(tab);
    await expect.poll(() => figure(tab, 'the network')).toBe('diverges');
    expect(await figure(tab, 'test accuracy')).toMatch(/^1\d\.\d\d %$/);
  });
});
