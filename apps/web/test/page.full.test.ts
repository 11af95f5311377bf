/** Checks that the page shows curves, also after the run, and the live network. */
import { expect, it } from 'vitest';
import { seriousViolations } from './axe.ts';
import { describePage } from './browser.ts';
import { shortRun, startRun } from './run.ts';
import type { Tab } from './tab.ts';

describePage('the page', ({ browser, folder }) => {
  it('opened late shows the whole curve, keeps the axis that is chosen, saves it, and says when the coordinator is gone', async () => {
    const schedule = ['--lr', '0.1', '--schedule', 'cosine'];
    const run = await startRun(folder, [...(await shortRun(folder)), ...schedule]);
    await run.program.printed(/The dashboard stays/);
    const tab = await browser.open(run);
    await tab.shows('test images, epoch 3');
    const epochs = tab.page.getByRole('img', { name: /^Loss over the epochs: training \d.*test \d/ });
    await tab.during('the loss of three epochs', epochs.waitFor());
    const arabic = await browser.open(run, 'page', { locale: 'ar-EG' });
    // The labels of its axes are in the page's language, too.
    await expect
      .poll(async () => (await arabic.page.evaluate(pictureOfLoss)) ?? '')
      .toBe(await tab.page.evaluate(pictureOfLoss));
    await tab.page.getByRole('combobox', { name: 'Over' }).selectOption('steps');
    const curve = tab.page.getByRole('img', { name: /^Loss over the steps: training \d.*test \d/ });
    await tab.during('the loss over the steps', curve.waitFor());
    await tab.page.reload();
    await tab.during('the loss over the steps, in the page loaded again', curve.waitFor());

    // The rate of the last step; the cosine schedule has brought it near 0.
    const rate = tab.page.getByRole('img', { name: /^Learning rate over the steps: \d/ });
    await tab.during('the learning rate', rate.waitFor());
    const last = Number(/: ([\d.e-]+) \(end\)/.exec((await rate.getAttribute('aria-label'))!)![1]);
    expect(last).toBeGreaterThan(0);
    expect(last).toBeLessThan(0.02);
    await savesCurves(tab);

    await tab.page.getByRole('button', { name: /^bit-exact \(f32-mul-add\.v1\)/ }).click();
    const checked = tab.page.getByText(
      /^Checked: \d+ of \d+ shards \([\d.]+ %\) were computed by the coordinator, or /,
    );
    await tab.during('how much was checked', checked.waitFor());
    await tab.page.keyboard.press('Escape');
    expect(tab.errors).toEqual([]);

    run.program.killGroup('SIGKILL');
    await tab.page.getByText('The coordinator has ended; these are its last results.').waitFor();
    // The run had --stay, but its server is gone.
    expect(await tab.page.getByText('Another run may follow').count()).toBe(0);
  });

  it('shows the live network: weights while they form, and a digit on its way, wide and narrow', async () => {
    const run = await startRun(folder, ['--workers', '1', '--steps', '60', '--wait-for-start', '--stay']);
    const tab = await browser.open(run, 'owner', { viewport: { width: 1280, height: 800 }, reducedMotion: 'reduce' });
    const { page } = tab;
    await page.getByRole('link', { name: 'Inside', exact: true }).click();
    const weights = page.getByRole('img', { name: /^The 128 neurons of the first layer/ });
    const picture = () => weights.evaluate((canvas) => (canvas as HTMLCanvasElement).toDataURL());
    await tab.shows(/^after step 0$/);
    await page.reload();
    await tab.shows(/^after step 0$/);
    await tab.shows('One sample');
    // Content that late weights would push away appears only after them.
    const shifts = (await tab.layoutShifts()).filter(({ score }) => score > 0.01);
    expect(shifts).toEqual([]);
    const first = await picture();
    await page.getByRole('link', { name: 'The run' }).click();
    await tab.press('Start');
    await page.getByRole('link', { name: 'Inside', exact: true }).click();
    await tab.shows(/^after step 60$/);
    await tab.shows(/^mlp, 101,770 parameters.* · /);
    expect(await picture()).not.toBe(first);
    await tab.shows(
      /^The network predicts \d, with a probability of [\d.]+ %\. The probabilities add up to 1\.000000\.$/,
    );

    await tab.press('Clear');
    await tab.shows('Draw or choose a sample first.');
    await page.getByLabel(/^Canvas to draw a digit on/).focus();
    for (const key of ['ArrowUp', 'ArrowUp', ' ', 'ArrowDown', 'ArrowDown', 'ArrowDown'])
      await page.keyboard.press(key);
    await page.getByLabel('Label of the drawing').selectOption('1');
    await tab.shows(/^label 1$/);
    await tab.shows(/The probabilities add up to 1\.000000\.$/);

    await page.locator('.inside-activations-card').getByRole('button', { name: 'relu', exact: true }).click();
    await tab.shows('The larger of x and 0: positive sums pass, negative ones become 0.');
    await page.keyboard.press('Escape');

    expect(await seriousViolations(page)).toEqual([]);
    await page.setViewportSize({ width: 390, height: 844 });
    await page.emulateMedia({ colorScheme: 'dark' });
    expect(await page.evaluate(() => document.documentElement.scrollWidth > innerWidth)).toBe(false);
    expect(await seriousViolations(page)).toEqual([]);

    await page.getByRole('link', { name: 'Back-propagation' }).click();
    await page.getByRole('heading', { level: 2, name: 'Back-propagation' }).waitFor();
    await page.getByRole('link', { name: 'The gradient, layer by layer' }).click();
    const card = page.locator('.inside-gradient-card');
    await card.getByRole('table').waitFor();
    await expect.poll(async () => Math.abs((await card.boundingBox())!.y)).toBeLessThan(100);
    expect(tab.errors).toEqual([]);
    expect(tab.foreignRequests).toEqual([]);
  });
});

async function savesCurves(tab: Tab): Promise<void> {
  const table = await tab.saves('CSV');
  expect(table.name).toBe('lockstep-curves.csv');
  const [header, ...rows] = table.bytes.toString('utf8').trim().split('\n');
  expect(header).toBe(
    'steps,train_loss,train_loss_smoothed,test_loss,train_accuracy_percent,train_accuracy_percent_smoothed,test_accuracy_percent',
  );
  const cells = rows.map((row) => row.split(','));
  expect(cells.every(({ length }) => length === 7)).toBe(true);
  const steps = cells.map(([step]) => Number(step));
  expect(steps).toEqual([...steps].sort((a, b) => a - b));
  // One test result per epoch.
  expect(cells.filter(([, , , testLoss]) => testLoss !== '')).toHaveLength(3);

  // A second download does not disturb the first.
  const picture = await tab.saves('PNG');
  expect(picture.name).toBe('lockstep-curves.png');
  expect(picture.bytes.subarray(1, 4).toString('latin1')).toBe('PNG');
  const [keys, colors] = await tab.page.evaluate(colorsOfKeys, picture.bytes.toString('base64'));
  expect(keys.length).toBeGreaterThan(2);
  expect(colors).toEqual(expect.arrayContaining(keys));
}

/** Returns the colors in the legends of the page, and those in a picture to the left of all curves. */
async function colorsOfKeys(base64: string): Promise<[keys: string[], inPicture: string[]]> {
  const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  const image = await createImageBitmap(new Blob([bytes]));
  const context = new OffscreenCanvas(image.width, image.height).getContext('2d')!;
  context.drawImage(image, 0, 0);
  const { data } = context.getImageData(18, 0, 1, image.height);
  const rows = Array.from({ length: image.height }, (_, row) => data.slice(4 * row, 4 * row + 3).join(', '));
  const keys = [...document.querySelectorAll('.chart .key')];
  return [keys.map((key) => getComputedStyle(key, '::before').backgroundColor), rows.map((color) => `rgb(${color})`)];
}

function pictureOfLoss(): string | undefined {
  return document.querySelector<HTMLCanvasElement>('.chart canvas')?.toDataURL();
}
