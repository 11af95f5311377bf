/** Checks every state of a run, as owner and guests see it: accessible, nothing cut off, no layout shift. */
import { expect, it } from 'vitest';
import { tinyArgs } from '../../../packages/train/test/tiny-data.ts';
import { startWorker } from '../../coordinator/test/processes.ts';
import { seriousViolations, violations } from './axe.ts';
import { describePage } from './browser.ts';
import { namelessParts, textWithoutPlace } from './layout.ts';
import { type RunAddresses, startRun, type TestRun } from './run.ts';
import type { Tab } from './tab.ts';

/** Arguments of a run that does not end during a test. */
const long = ['--epochs', '100'] as const;

/**
 * All screens watch each run at once, because starting a run and opening its pages takes longest. The elements of a
 * page do not depend on its width, so axe checks one screen per theme.
 */
const screens = [
  { viewport: { width: 1440, height: 900 }, colorScheme: 'light' },
  { viewport: { width: 768, height: 1024 }, colorScheme: 'light' },
  { viewport: { width: 390, height: 844 }, colorScheme: 'dark' },
] as const;

const [wide, , dark] = screens.map(({ viewport }) => viewport.width);

interface Stage {
  readonly run: TestRun;
  readonly pages: readonly Tab[];
}

/** Texts that a page shows in a state, and texts that it must not show because it cannot know them. */
interface State {
  /** Brings the run and its pages into this state from the previous one. */
  readonly reach: (stage: Stage) => Promise<unknown>;
  readonly title: string;
  readonly shows: readonly (string | RegExp)[];
  readonly hides: readonly (string | RegExp)[];
  /** The status of the joined tab, if one has joined. */
  readonly tab?: RegExp;
}

const timeLeft = /^\d+ (s|min|h)( \d\d (s|min))?$/;
const evaluations = ['Confusion matrix', 'Top errors'];
const nothingOfTheRun = ['This tab', 'Workers', 'Try it', 'Log', 'Not connected', /^bit-exact/, /^Join$/];

/** States of one run in sequence, by name. */
const runOfOwner: Readonly<Record<string, State>> = {
  waiting: {
    reach: ({ pages: [owner] }) => owner!.join('cpu', 'tab'),
    title: 'Waiting for start',
    shows: ['2 workers connected, 0 computing'],
    hides: [...evaluations, 'Step timeline', timeLeft, /^bit-exact/, 'good'],
    tab: /^ready$/,
  },
  training: {
    reach: ({ pages: [owner] }) => owner!.press('Start'),
    title: 'Training',
    shows: [timeLeft, 'Step timeline', /^bit-exact/],
    hides: ['unknown'],
    tab: /^(computing|resting: .*)$/,
  },
  paused: {
    reach: ({ pages: [owner] }) => owner!.press('Pause'),
    title: 'Paused',
    shows: [/^idle, while paused$/],
    hides: [timeLeft, 'good'],
    tab: /^paused$/,
  },
  'with a frozen coordinator': {
    async reach({ run, pages: [owner] }) {
      await owner!.press('Resume');
      await owner!.shows('Training', { exact: true });
      run.program.kill('SIGSTOP');
    },
    title: 'Coordinator silent',
    shows: [
      /^The coordinator has sent nothing for \d+ s: it or the network may be frozen/,
      '2 workers at last contact',
      'unknown',
    ],
    hides: [timeLeft, 'good', 'Training'],
    tab: /^(waiting for the coordinator|reconnecting)$/,
  },
  stopped: {
    async reach({ run, pages }) {
      const [owner] = pages;
      // A coordinator that resumes is heard at once.
      run.program.kill('SIGCONT');
      await each(pages, (tab) => tab.shows('Training', { exact: true }));
      await owner!.press('Stop');
      await owner!.press('Stop for good');
    },
    title: 'Stopped',
    shows: [/^Epoch \d+ of 100, step [\d,]+ of 46,900\. Stopped from the dashboard\.$/, /^step [\d,]+$/, 'Time taken'],
    hides: ['Time left', 'good', /^epoch \d+$/],
  },
};

const failingRun: Readonly<Record<string, State>> = {
  failed: {
    async reach({ pages: [owner] }) {
      await owner!.shows('1 worker connected');
      await owner!.press('Start');
    },
    title: 'Failed',
    shows: [/^Step \d+: .*; try a smaller learning rate\.$/, 'The run is over.'],
    hides: [...evaluations, 'Test accuracy', 'Training accuracy', 'Accuracy', /^bit-exact/, /\d % \(/],
  },
};

/** The last step leaves weights whose loss is not finite. */
const divergedRun: Readonly<Record<string, State>> = {
  'finished after training has diverged': {
    async reach({ pages: [owner] }) {
      await owner!.shows('1 worker connected');
      await owner!.press('Start');
    },
    title: 'Finished',
    shows: [/^Training diverged: the test loss is not finite/, 'Time taken'],
    hides: [...evaluations, /^Test (accuracy|RMSE) \d/],
  },
};

const emptyRun: Readonly<Record<string, State>> = {
  'without data': {
    reach: async () => {},
    title: 'Waiting for data',
    shows: ['Data', 'This tab', /^Drop a file or a folder here/],
    hides: ['Training loss', 'Training accuracy', 'Images per second', 'Time left', 'Workers', 'Log'],
  },
  'without data, in the room': {
    reach: ({ pages }) => each(pages, ({ page }) => page.goto(`${page.url()}#room`)),
    title: 'Waiting for data',
    shows: ['Waiting for the first device'],
    hides: ['Test accuracy', 'Training accuracy'],
  },
};

const lostRun: Readonly<Record<string, State>> = {
  'of a guest with a wrong admin token': {
    reach: ({ pages }) =>
      each(pages, async (guest) => {
        await guest.shows('Training', { exact: true });
        await guest.press('Control');
        await guest.page.getByLabel('Admin token').fill('guess');
        await guest.press('Unlock');
      }),
    title: 'Training',
    shows: [/dmin token is wrong/],
    hides: [],
  },
  'with a dead coordinator': {
    async reach({ run, pages }) {
      await each(pages, (guest) => guest.loaded());
      run.program.killGroup('SIGKILL');
    },
    title: 'Connection lost',
    shows: [/^Not connected: .*\. Trying again …$/, '1 worker at last contact', 'last'],
    hides: [timeLeft, 'good', 'Training', 'now'],
  },
  'without a network': {
    reach: ({ pages }) => each(pages, ({ page }) => page.context().setOffline(true)),
    title: 'No network',
    shows: [/^This device has no network\./],
    hides: [timeLeft, 'good', 'Training', /Trying again/],
  },
};

const lockedRun: Readonly<Record<string, State>> = {
  'at the plain address': {
    reach: async () => {},
    title: 'Code needed',
    shows: ['Code of this run', /^Type the six letters and digits/],
    hides: nothingOfTheRun,
  },
  "at the room's address": {
    reach: ({ pages }) => each(pages, ({ page }) => page.goto(`${page.url()}#room`)),
    title: 'Code needed',
    shows: ['Code of this run'],
    hides: [...nothingOfTheRun, 'In the room', /^Only this computer can join/],
  },
  'with a wrong code': {
    reach: ({ pages }) =>
      each(pages, async ({ page }) => {
        await page.getByLabel('Code of this run').fill('AAAAAA');
        await page.keyboard.press('Enter');
      }),
    title: 'Wrong code',
    shows: ['Code of this run', /^The code or token is wrong: type the code again/],
    hides: nothingOfTheRun,
  },
  // The admin token is in session storage, and the coordinator has not yet said whether it is right.
  'with a wrong admin token, after a reload': {
    reach: ({ pages }) =>
      each(pages, async ({ page }) => {
        await page.goto(`${page.url().replace(/#.*/, '')}#admin=guess`);
        await page.reload();
      }),
    title: 'Wrong code',
    shows: ['Code of this run'],
    hides: [...nothingOfTheRun, /^(Start|Pause|Save|Stop)$/],
  },
};

const publicRun: Readonly<Record<string, State>> = {
  'that anybody may watch': {
    reach: async () => {},
    title: 'Waiting for start',
    shows: ['Code of this run', /^Type the six letters and digits/, 'Workers'],
    hides: [/^Join$/],
  },
  'that anybody may watch, with a wrong code': {
    reach: ({ pages }) =>
      each(pages, async (guest) => {
        await guest.page.getByLabel('Code of this run').fill('AAAAAA');
        await guest.page.keyboard.press('Enter');
        await guest.press('Join');
      }),
    title: 'Waiting for start',
    shows: ['Code of this run', 'The code is wrong: type it again.'],
    hides: [/^Join( again)?$/],
    tab: /^refused$/,
  },
};

const loopbackRun: Readonly<Record<string, State>> = {
  'on a loopback address': {
    reach: ({ pages }) => each(pages, (tab) => tab.press('Invite')),
    title: 'Waiting for start',
    shows: [/^Only this computer can join/],
    hides: [/^Scan/],
  },
};

/** Reaches each state of a table, checks every page's layout, and expects the state's texts and no others. */
async function walk(states: Readonly<Record<string, State>>, stage: Stage): Promise<void> {
  for (const [name, { reach, title, shows, hides, tab }] of Object.entries(states)) {
    await reach(stage);
    for (const { page } of stage.pages) {
      const isThere = (text: string | RegExp) => page.getByText(text, exactly(text)).filter({ visible: true }).first();
      await page.locator('.phase').getByText(title, { exact: true }).waitFor();
      for (const text of shows) await isThere(text).waitFor();
      for (const text of hides) expect(await isThere(text).count(), `${name}: ${text}`).toBe(0);
    }
    const pill = stage.pages[0]!.page.locator('.join-card .pill');
    if (tab) await expect.poll(() => pill.textContent(), { timeout: 60_000 }).toMatch(tab);
    await look(stage.pages, name);
  }
}

/** Matches a string as a whole text, so that a word is not found within another. */
function exactly(text: string | RegExp): { exact: boolean } {
  return { exact: typeof text === 'string' };
}

/**
 * Checks the pages as they are.
 * @param what state of the pages, for the failure message
 */
async function look(tabs: readonly Tab[], what: string, mayShift?: MayShift): Promise<void> {
  for (const tab of tabs) await lookAt(tab, `${what}, ${tab.page.viewportSize()?.width} pixels wide`, mayShift);
}

/** Decides by the texts of the shifted elements whether they may move. */
type MayShift = (nodes: readonly string[]) => boolean;

async function lookAt(tab: Tab, state: string, mayShift: MayShift = () => false): Promise<void> {
  const { page, errors } = tab;
  const width = page.viewportSize()?.width;
  if (width === wide || width === dark) expect(await violations(page), state).toEqual([]);
  expect(await namelessParts(page), state).toEqual([]);
  expect(await page.evaluate(() => document.documentElement.scrollWidth > innerWidth), state).toBe(false);
  expect(await textWithoutPlace(page), state).toEqual([]);
  const shifted = (await tab.layoutShifts()).filter(({ score, nodes }) => score > 0.01 && !mayShift(nodes));
  expect(shifted, state).toEqual([]);
  expect(errors, state).toEqual([]);
}

function each(tabs: readonly Tab[], act: (tab: Tab) => Promise<unknown>): Promise<unknown[]> {
  return Promise.all(tabs.map(act));
}

describePage('every state, wide and narrow', ({ browser, folder }) => {
  const open = (run: RunAddresses, address: 'page' | 'owner'): Promise<Tab[]> =>
    Promise.all(screens.map((screen) => browser.open(run, address, screen)));

  it('of a run that waits, trains, pauses, freezes and is stopped', async () => {
    const run = await startRun(folder, [...long, '--wait-for-start'], { isSlow: true });
    startWorker(['--url', run.worker, '--name', 'terminal']);
    // A guest's page has fewer elements. Other widths are checked while it loses its coordinator.
    const guest = await browser.open(run, 'page', screens[2]);
    await walk(runOfOwner, { run, pages: [...(await open(run, 'owner')), guest] });
  });

  it('of tabs that take part, to the end of their run', async () => {
    const args = [...(await tinyArgs(folder)), '--epochs', '4', '--wait-for-start', '--stay'];
    const owners = await open(await startRun(folder, args), 'owner');
    await each(owners, (owner) => owner.join('cpu', 'Tablet 17 of class 4b, at the window on the left'));
    await each(owners, (owner) => owner.workersReady(screens.length));
    for (const { page } of owners) {
      const [name, tag] = [page.locator('.workers th:has(.tag)'), page.locator('.tag')];
      const [within, box] = [(await name.boundingBox())!, (await tag.boundingBox())!];
      expect(box.x + box.width).toBeLessThanOrEqual(within.x + within.width);
    }
    // No figure is under the button next to it.
    const ofFirst = owners[0]!.page.locator('.workers tbody tr').first().locator('td');
    const [wait, edit] = [(await ofFirst.nth(-2).boundingBox())!, (await ofFirst.nth(-1).boundingBox())!];
    expect(wait.x + wait.width).toBeLessThanOrEqual(edit.x);
    await look(owners, 'joined');
    await owners[0]!.press('Start');
    await each(owners, (owner) => owner.panelShows('This tab stays for the next run.'));
    // A worker may have been idle for a while, which takes a longer word than "finished".
    const areCells: MayShift = (nodes) => nodes.every((node) => node.startsWith('TD: '));
    await look(owners, 'finished as a worker', areCells);
  });

  it('of a run that fails', async () => {
    const args = [...(await tinyArgs(folder)), '--epochs', '50', '--optimizer', 'sgd', '--lr', '1e30'];
    const run = await startRun(folder, [...args, '--workers', '1', '--wait-for-start', '--stay']);
    await walk(failingRun, { run, pages: await open(run, 'owner') });
  });

  it('of a run that ends with a model that has diverged', async () => {
    const args = [...(await tinyArgs(folder)), '--steps', '1', '--optimizer', 'sgd', '--lr', '1e30'];
    const run = await startRun(folder, [...args, '--workers', '1', '--wait-for-start', '--stay']);
    await walk(divergedRun, { run, pages: await open(run, 'owner') });
    await run.program.printed(/test loss not finite/);
    await run.program.printed(/Training diverged: the test loss is not finite; try a smaller learning rate/);
  });

  it('of a run that waits for its data', async () => {
    const run = await startRun(folder, ['--data', 'upload']);
    const pages = await open(run, 'owner');
    await walk(emptyRun, { run, pages });
    await each(pages, async (tab) => {
      await tab.page.goto(`${run.page}#inside`);
      await tab.shows('The run waits for its data, so there is no network yet.');
    });
    for (const { page } of pages) {
      if (page.viewportSize()?.width !== screens[1].viewport.width) expect(await seriousViolations(page)).toEqual([]);
    }
  });

  it('of a page that loses its coordinator', async () => {
    const run = await startRun(folder, long, { isSlow: true });
    startWorker(['--url', run.worker, '--name', 'terminal']);
    await walk(lostRun, { run, pages: await open(run, 'page') });
  });

  it('of a guest who must be let in', async () => {
    const run = await startRun(folder, ['--wait-for-start', '--token', 'a token of more than six letters']);
    const pages = await open(run, 'page');
    await walk(lockedRun, { run, pages });
    for (const { page } of pages) {
      expect(await page.evaluate(() => document.documentElement.scrollHeight > innerHeight)).toBe(false);
    }
  });

  it('of a run that guests may watch, and join with its code', async () => {
    const token = ['--token', 'a token of more than six letters', '--public-view'];
    const run = await startRun(folder, ['--wait-for-start', ...token]);
    const pages = await open(run, 'page');
    await walk(publicRun, { run, pages });
    const { page } = (await open(run, 'owner'))[0]!;
    const code = await page.locator('#join-address .address').nth(1).textContent();
    await each(pages, async (guest) => {
      await guest.page.getByLabel('Code of this run').fill(code!);
      await guest.page.keyboard.press('Enter');
      await guest.press('Join');
      await guest.panelShows('ready');
    });
  });

  it('of a run that no other device can join', async () => {
    const run = await startRun(folder, ['--wait-for-start']);
    const pages = await open(run, 'owner');
    await walk(loopbackRun, { run, pages });
    for (const { page } of pages) {
      expect(await page.locator('.qr-code').count()).toBe(0);
      await page.goto(`${run.page}#room`);
      await page
        .getByText(/^Only this computer can join/)
        .filter({ visible: true })
        .waitFor();
      expect(await page.locator('.qr-code').count()).toBe(0);
    }
  });

  it('of the room: gathering, training, over', async () => {
    const args = [...(await tinyArgs(folder)), '--epochs', '4', '--token', 'a token of more than six letters'];
    const run = await startRun(folder, [...args, '--workers', '1', '--wait-for-start', '--stay']);
    const rooms = await open({ ...run, owner: `${run.owner}&room` }, 'owner');
    const owners = await open(run, 'owner');
    await each(rooms, (room) => room.shows('1 device in the room'));
    for (const { page } of rooms) expect(await page.locator('.room-figure').textContent()).toBe('1');
    await look(rooms, 'gathering');
    await rooms[0]!.press('Start');
    await each(rooms, (room) => room.shows('Test accuracy'));
    await each(rooms, (room) => room.shows(/^Curve: training accuracy/));
    await look(rooms, 'training');
    await each(rooms, async (room) => {
      await room.shows('Finished');
      await room.shows('Trained by 1 device');
      await room.shows(/^local-1$/);
    });
    await look(rooms, 'over');
    await each(owners, async (owner) => {
      await owner.shows('1 worker at the end');
      await owner.shows('Time taken');
    });
    await look(owners, 'finished');
  });
});
