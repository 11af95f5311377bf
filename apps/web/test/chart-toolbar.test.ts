/** Checks that a person's choice for the curves is kept, and that what is saved are the curves. */
import { expect, it } from 'vitest';
import { tinyFiles, writeFolder } from '../../../packages/train/test/tiny-data.ts';
import { describePage } from './browser.ts';
import { startRun } from './run.ts';

describePage('the toolbar of the curves', ({ browser, folder }) => {
  it('changes the axis for good, and saves a table and a picture', async () => {
    const data = await writeFolder(folder, 'tiny', tinyFiles());
    const args = [
      '--workers',
      '1',
      '--data',
      data,
      '--batch',
      '32',
      '--epochs',
      '3',
      '--lr',
      '0.1',
      '--schedule',
      'cosine',
    ];
    const run = await startRun(folder, [...args, '--stay']);
    await run.program.printed(/The dashboard stays/);
    const tab = await browser.open(run);
    await tab.shows('test images, epoch 3');
    await tab.page.getByRole('combobox', { name: 'Over' }).selectOption('steps');
    const curve = tab.page.getByRole('img', { name: /^Loss over the steps: training \d.*test \d/ });
    await tab.during('the loss over the steps', curve.waitFor());
    await tab.page.reload();
    await tab.during('the loss over the steps, in the page loaded again', curve.waitFor());

    // The schedule's rate of the last step, which a cosine has brought near 0.
    const rate = tab.page.getByRole('img', { name: /^Learning rate over the steps: \d/ });
    await tab.during('the learning rate', rate.waitFor());
    const last = Number(/: ([\d.e-]+) \(now\)/.exec((await rate.getAttribute('aria-label'))!)![1]);
    expect(last).toBeGreaterThan(0);
    expect(last).toBeLessThan(0.02);

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
    // One test after each epoch.
    expect(cells.filter(([, , , testLoss]) => testLoss !== '')).toHaveLength(3);

    // A second file does not disturb the first one.
    const picture = await tab.saves('PNG');
    expect(picture.name).toBe('lockstep-curves.png');
    expect(picture.bytes.subarray(1, 4).toString('latin1')).toBe('PNG');
    expect(tab.errors).toEqual([]);
  });
});
