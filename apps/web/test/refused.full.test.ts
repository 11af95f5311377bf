/** Checks that a refused page or tab shows why, and that the run goes on undisturbed. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { subprotocol } from '@lockstep/protocol';
import { afterEach, expect, it } from 'vitest';
import {
  type DashboardServer,
  type DashboardServerOptions,
  openDashboardServer,
} from '../../../packages/server/test/dashboard-server.ts';
import { openViewer } from '../../../packages/server/test/test-viewer.ts';
import { startWorker } from '../../coordinator/test/processes.ts';
import { describePage, foreignName } from './browser.ts';
import { endless, openSlowLink, type RunAddresses } from './run.ts';

describePage('refusals', ({ browser }) => {
  const closing: (() => Promise<void>)[] = [];
  afterEach(() => Promise.all(closing.splice(0).map((close) => close())));

  type Options = Omit<Partial<DashboardServerOptions>, 'args'> & { readonly args?: readonly string[] };

  async function openCoordinator({ args = [], ...options }: Options = {}) {
    const coordinator = await openDashboardServer({ ...options, args: [...endless, ...args] });
    closing.push(() => coordinator.close());
    const { through, close } = await openSlowLink(coordinator.http);
    closing.push(async () => close());
    const { page: join, owner } = coordinator.addresses;
    const ended = coordinator.run.outcome.then((outcome) => JSON.stringify(outcome));
    const page = through(`${coordinator.http}/`);
    const addresses: RunAddresses = { page, owner: through(owner), join: through(join), ended };
    return {
      coordinator,
      addresses,
      work: () => startWorker(['--url', through(coordinator.ws), '--name', 'terminal']),
    };
  }

  /** Expects the run to make progress without a fault. */
  async function goesOn(coordinator: DashboardServer): Promise<void> {
    const viewer = await openViewer(coordinator.ws, {}, { adminToken: coordinator.prepared.adminToken });
    const { step } = await viewer.next('progress', ({ phase }) => phase === 'training');
    await viewer.next('progress', (progress) => progress.step > step);
    // On a busy machine a shard may be taken from a worker that is late.
    expect(coordinator.run.state.faults).toMatchObject({ rejected: 0, disconnects: 0, quarantined: 0 });
    viewer.socket.terminate();
  }

  it('a page without a token or with a wrong one says so, and one with the right token joins', async () => {
    const { coordinator, addresses } = await openCoordinator({ args: ['--token', 'let me in'] });
    const guest = await browser.open(addresses, 'join');
    await guest.computed(1);
    for (const [fragment, title, reason] of [
      ['', 'Code needed', /^Type the six letters and digits/],
      ['#join&token=', 'Code needed', /^Type the six letters and digits/],
      ['#token=guess', 'Wrong code', /^The code or token is wrong/],
      ['#join&token=guess', 'Wrong code', /^The code or token is wrong/],
    ] as const) {
      const unknown = await browser.open({ ...addresses, page: `${addresses.page}${fragment}` });
      await unknown.shows(title, { exact: true });
      await unknown.shows(reason);
      expect(await unknown.page.getByRole('button', { name: 'Join' }).count()).toBe(0);
      expect(unknown.errors).toEqual([]);
    }
    await goesOn(coordinator);
    expect([...coordinator.run.state.records.values()]).toHaveLength(1);
    expect(guest.errors).toEqual([]);
  });

  it('a tab beyond the limit of workers waits, shows why, and joins when another leaves', async () => {
    // A waiting tab tries again every `resumeMs`, the time for which the place of a lost worker is kept.
    const { coordinator, addresses } = await openCoordinator({ limits: { maxWorkers: 1, resumeMs: 2_000 } });
    const first = await browser.open(addresses, 'join');
    await first.computed(1);
    const second = await browser.open(addresses, 'join');
    await second.panelShows(/The coordinator is full: no more than 1 worker may join; trying again/);
    await goesOn(coordinator);
    await first.press('Leave');
    await first.panelShows('This tab has left.');
    await second.computed(1);
    expect([...first.errors, ...second.errors]).toEqual([]);
  });

  it('a page beyond the limit of viewers shows why', async () => {
    const { coordinator, addresses, work } = await openCoordinator({ viewerLimits: { total: 2 } });
    work();
    const first = await browser.open(addresses);
    await first.during('a live page', first.page.getByText('Training', { exact: true }).waitFor());
    const watching = await openViewer(coordinator.ws);
    const second = await browser.open(addresses);
    const message = second.page.getByText(
      'Not connected: the coordinator is full: no more than 2 viewers may be connected.',
    );
    await second.during('the reason why it is not connected', message.waitFor());
    watching.socket.terminate();
    await goesOn(coordinator);
  });

  it('a page whose first message is lost says so, and does not ask for a code', async () => {
    const { addresses } = await openCoordinator();
    const tab = await browser.open(addresses);
    await tab.page.addInitScript(() => {
      const { send } = WebSocket.prototype;
      WebSocket.prototype.send = () => {
        WebSocket.prototype.send = send;
      };
      // It connects again within half a second, which a test that looks now and then may miss.
      const seen = new Set<string | null>();
      new MutationObserver(() => void seen.add(document.body?.textContent)).observe(document, {
        ...{ subtree: true, childList: true, characterData: true },
      });
      Object.assign(globalThis, { textsSeen: () => [...seen].join('\n') });
    });
    await tab.page.reload();
    await tab.shows('0 workers connected, 0 computing');
    const seen = await tab.page.evaluate<string>('textsSeen()');
    expect(seen).toMatch(/Not connected: no hello within \d+ s/);
    expect(seen).not.toContain('Code needed');
  });

  it('a page of another origin can neither join nor read, and a foreign host name is refused with the reason', async () => {
    const { coordinator, addresses, work } = await openCoordinator();
    work();
    const server = createServer((_request, response) =>
      response.setHeader('content-type', 'text/html').end('<p>hello'),
    );
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    closing.push(async () => void server.close());
    const foreign = await browser.open({
      ...addresses,
      page: `http://localhost:${(server.address() as AddressInfo).port}/`,
    });
    const tried = await foreign.page.evaluate(
      async ({ http, ws, protocol }) => ({
        socket: await new Promise<string>((resolve) => {
          const socket = new WebSocket(ws, protocol);
          socket.onopen = () => resolve('open');
          socket.onclose = ({ code }) => resolve(`closed ${code}`);
        }),
        request: await fetch(`${http}/healthz`).then(
          () => 'read',
          () => 'not read',
        ),
      }),
      { http: coordinator.http, ws: coordinator.ws, protocol: subprotocol },
    );
    expect(tried).toEqual({ socket: 'closed 1006', request: 'not read' });

    const named = await browser.open({ ...addresses, page: addresses.page.replace('127.0.0.1', foreignName) });
    const message =
      'this host name does not belong to this machine: use its address, or start the coordinator with --host';
    await named.page.getByText(message).waitFor();
    await goesOn(coordinator);
    expect([...coordinator.run.state.records.values()]).toHaveLength(1);
  });
});
