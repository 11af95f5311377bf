/** Three runs from the page, with a tab that stays joined. */
import { expect, it } from 'vitest';
import { tinyArgs } from '../../../packages/train/test/tiny-data.ts';
import { describePage } from './browser.ts';
import { singleRun, startRun } from './run.ts';

describePage('a server that stays', ({ browser, folder }) => {
  it('has another run from the page, and then another, each with the bits of one process', async () => {
    const args = [...(await tinyArgs(folder)), '--epochs', '3'];
    const run = await startRun(folder, [...args, '--stay']);
    const tab = await browser.open(run, 'owner');
    await tab.join('cpu', 'tab');
    /** The weights of the first runs, as the terminal shows them. */
    const hashes = async (count: number): Promise<string[]> => {
      const [text] = await run.program.printed(new RegExp(`(?:weights [0-9a-f]{16}…[^]*?){${count}}`));
      return [...text.matchAll(/weights ([0-9a-f]{16})/g)].map(([, hash]) => hash!);
    };
    await hashes(1);
    const form = tab.page.getByRole('dialog', { name: 'Run again' });
    await tab.press('Run again');
    await form.getByLabel('Learning rate').fill('0.2');
    await tab.press('Begin the run');
    await hashes(2);
    await tab.shows('lr 0.2');
    await tab.press('Run again');
    await form.getByLabel('Optimizer').selectOption('adam');
    await form.getByLabel('Seed').fill('0.5');
    await tab.press('Begin the run');
    await tab.shows('seed: expected a whole number from 0 to 4294967295, got 0.5');
    await form.getByLabel('Seed').fill('7');
    await tab.press('Begin the run');
    const found = await hashes(3);
    const changes = [[], ['--lr', '0.2'], ['--optimizer', 'adam', '--seed', '7']];
    const expected = await Promise.all(changes.map((more) => singleRun(folder, [...args, ...more])));
    expect(found).toEqual(expected.map(({ weightsSha256 }) => weightsSha256.slice(0, 16)));
    const legend = tab.page.getByRole('list', { name: 'Runs' }).first().getByRole('listitem');
    await tab.during('three curves', legend.nth(2).waitFor());
    expect((await legend.allTextContents()).map((text) => text.split(',')[0])).toEqual([
      'adam',
      'momentum',
      'momentum',
    ]);
    expect(tab.errors).toEqual([]);
    run.program.kill('SIGINT');
    const { code, stdout } = await run.program.ended;
    expect(code).toBe(0);
    expect(stdout.match(/tab joined/g)).toHaveLength(3);
    await tab.panelShowsAtEnd('The run is over');
  });
});
