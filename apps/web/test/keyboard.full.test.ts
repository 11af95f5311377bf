/** Checks that the keyboard alone reaches everything, that the focus is always visible, and that nothing traps it. */
import { expect, it } from 'vitest';
import { startWorker } from '../../coordinator/test/processes.ts';
import { describePage } from './browser.ts';
import { startRun } from './run.ts';
import type { Tab } from './tab.ts';

interface Focused {
  readonly name: string;
  /** Whether the element has an outline and is within the window. */
  readonly isSeen: boolean;
}

/** More than the number of controls in any view. */
const mostControls = 150;

/** Runs in the page. */
function readFocus(): Focused {
  const element = document.activeElement;
  if (!(element instanceof HTMLElement) || element === document.body) return { name: '', isSeen: false };
  const labels = 'labels' in element ? [...((element.labels as NodeList | null) ?? [])] : [];
  const own = element instanceof HTMLInputElement || element instanceof HTMLSelectElement ? '' : element.textContent;
  const text = element.getAttribute('aria-label') ?? (labels.map((label) => label.textContent).join(' ') || own) ?? '';
  const { outlineStyle, outlineWidth } = getComputedStyle(element);
  const { top, bottom } = element.getBoundingClientRect();
  const hasOutline = outlineStyle !== 'none' && outlineWidth !== '0px';
  return { name: text.trim(), isSeen: hasOutline && bottom > 0 && top < innerHeight };
}

const focused = (tab: Tab): Promise<Focused> => tab.page.evaluate(readFocus);

/** Presses Tab until the control with this name has the focus. The focus must be visible all the way. */
async function tabTo(tab: Tab, name: RegExp, key: 'Tab' | 'Shift+Tab' = 'Tab'): Promise<void> {
  const passed: string[] = [];
  for (let presses = 0; presses < mostControls; presses++) {
    await tab.page.keyboard.press(key);
    const now = await focused(tab);
    // After the last control, the focus moves through the browser's own controls.
    if (now.name === '' && !now.isSeen) continue;
    expect(now.isSeen, `the focus is seen on ${now.name}`).toBe(true);
    if (name.test(now.name)) return;
    passed.push(now.name);
  }
  throw new Error(`expected ${name} to be reached, got ${passed.join(' | ')}`);
}

async function pressAt(tab: Tab, name: RegExp, key = 'Enter'): Promise<void> {
  await tabTo(tab, name);
  await tab.page.keyboard.press(key);
}

/** Expects the focus on a named control, even if the control that was pressed is gone. */
async function keepsFocus(tab: Tab, name: RegExp): Promise<void> {
  await expect.poll(async () => (await focused(tab)).name, { timeout: 20_000 }).toMatch(name);
}

describePage('by keyboard alone', ({ browser, folder }) => {
  it('a run: join, start, pause, sort, rename, remove, stop, and run again', async () => {
    const run = await startRun(folder, ['--epochs', '1000', '--wait-for-start', '--stay'], { isSlow: true });
    const tab = await browser.open(run, 'owner');
    startWorker(['--url', run.worker, '--name', 'guest']);
    await tab.workersReady(1);
    await tabTo(tab, /^Skip to the run$/);
    await tab.page.keyboard.press('Enter');
    await tabTo(tab, /^Name$/);
    await tab.page.keyboard.press('Control+A');
    await tab.page.keyboard.type('keys');
    await tab.page.keyboard.press('Enter');
    await keepsFocus(tab, /^Leave$/);
    await tab.workersReady(2);
    await pressAt(tab, /^Start$/);
    await keepsFocus(tab, /^Pause$/);
    await tab.page.keyboard.press('Enter');
    await keepsFocus(tab, /^Resume$/);
    await tab.page.keyboard.press('Enter');
    await pressAt(tab, /^Worker/);
    await tab.page.locator('th[aria-sort]').waitFor();
    await pressAt(tab, /^Edit w\d+ guest$/);
    await keepsFocus(tab, /^Rename/);
    await tab.page.keyboard.press('Enter');
    await keepsFocus(tab, /^Name of/);
    await tab.page.keyboard.press('Control+A');
    await tab.page.keyboard.type('renamed');
    await tab.page.keyboard.press('Enter');
    await keepsFocus(tab, /^Edit w\d+/);
    const edit = tab.page.getByRole('button', { name: /^Edit w\d+ renamed$/ });
    await tab.during('the new name in the table', edit.waitFor());
    await pressAt(tab, /^Edit w\d+ renamed$/);
    await pressAt(tab, /^Remove /);
    // A second press keeps the worker.
    await keepsFocus(tab, /^Keep /);
    await tabTo(tab, /^Remove for good/, 'Shift+Tab');
    await tab.page.keyboard.press('Enter');
    await expect.poll(() => tab.page.locator('tr.worker:not(.worker-gone)').count(), { timeout: 20_000 }).toBe(1);
    expect((await focused(tab)).name).not.toBe('');
    await pressAt(tab, /^Stop$/);
    await keepsFocus(tab, /^Stop for good$/);
    await tab.page.keyboard.press('Enter');
    await keepsFocus(tab, /^Run again$/);
    await tab.page.keyboard.press('Enter');
    await tabTo(tab, /^Seed$/);
    await tab.page.keyboard.press('Escape');
    await keepsFocus(tab, /^Run again$/);
    await tab.page.keyboard.press('Enter');
    await tabTo(tab, /^Seed$/);
    await tab.page.keyboard.press('ArrowUp');
    await tab.page.keyboard.press('Enter');
    await tab.shows('Training', { exact: true });
    expect(tab.errors).toEqual([]);
  });

  it('the lesson and a drawing: a chapter, its control, a live run, a term, a digit, and back', async () => {
    const run = await startRun(folder, ['--wait-for-start']);
    const tab = await browser.open(run);
    const { page } = tab;
    await pressAt(tab, /^Learn$/);
    await tab.shows('How a network learns');
    await pressAt(tab, /Gradient descent$/);
    const chapter = page.getByRole('article', { name: 'Gradient descent' });
    await chapter.and(page.locator('[data-phase=done]')).waitFor();
    await pressAt(tab, /^learning rate$/);
    await tab.shows('The length of a step for a given slope.');
    await page.keyboard.press('Escape');
    await page.getByText('The length of a step for a given slope.').waitFor({ state: 'hidden' });
    await keepsFocus(tab, /^learning rate$/);
    await tabTo(tab, /^Learning rate$/);
    await page.keyboard.press('End');
    await tab.shows('too large', { exact: true });
    await tabTo(tab, /^See it train/, 'Shift+Tab');
    await page.keyboard.press('Enter');
    await pressAt(tab, /^Train$/);
    await keepsFocus(tab, /^Pause$/);
    await page.locator('.live-figures').first().waitFor();
    await tabTo(tab, /^Learning rate$/);
    await page.keyboard.press('ArrowRight');
    await tab.shows(/^Curve 1, step [\d,]+: Learning rate /);
    await tabTo(tab, /^Pause$/, 'Shift+Tab');
    await page.keyboard.press('Enter');
    await keepsFocus(tab, /^Resume$/);
    await tabTo(tab, /^The run$/, 'Shift+Tab');
    await page.keyboard.press('Enter');
    await tab.shows('This tab', { exact: true });
    await tabTo(tab, /^Canvas to draw/);
    for (const key of [' ', 'ArrowDown', 'ArrowDown', 'ArrowDown', 'ArrowDown', ' ']) await page.keyboard.press(key);
    await page.getByText(/^Looks like \d/).waitFor({ state: 'attached' });
    await page.keyboard.press('Delete');
    await tabTo(tab, /^Look inside$/);
    await page.keyboard.press('Enter');
    await tab.shows('One sample');
    await pressAt(tab, /^The run$/);
    await tab.shows('This tab', { exact: true });
    expect(tab.errors).toEqual([]);
  });
});
