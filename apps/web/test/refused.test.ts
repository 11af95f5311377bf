/** Who is not let in sees why, and the run does not notice. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { subprotocol } from '@lockstep/protocol';
import { afterEach, describe, expect, it } from 'vitest';
import { type DashboardServer, openDashboardServer } from '../../coordinator/test/dashboard-server.ts';
import { openViewer } from '../../coordinator/test/test-viewer.ts';
import {
  computed,
  during,
  foreignName,
  hasBrowser,
  inChromium,
  joinRun,
  press,
  says,
  testPatienceMs,
  useBrowser,
} from './browser.ts';
import { endless, type Place } from './run.ts';

describe.skipIf(!hasBrowser)(inChromium('refusals'), { timeout: testPatienceMs }, () => {
  const browser = useBrowser();
  const closing: (() => Promise<void>)[] = [];
  afterEach(() => Promise.all(closing.splice(0).map((close) => close())));

  async function openRoom(options: Partial<Parameters<typeof openDashboardServer>[0]> = {}) {
    const room = await openDashboardServer({ ...options, args: [...endless, ...(options.args ?? [])] });
    closing.push(() => room.close());
    const { page: join, owner } = room.addresses;
    const ended = room.run.outcome.then((outcome) => JSON.stringify(outcome));
    return { room, place: { page: `${room.http}/`, owner, join, ended } satisfies Place };
  }

  /** Somebody computes all the while, and goes on doing so. */
  async function goesOn(room: DashboardServer): Promise<void> {
    const viewer = await openViewer(room.ws);
    const { step } = await viewer.next('progress', ({ phase }) => phase === 'training');
    await viewer.next('progress', (progress) => progress.step > step);
    expect(room.run.state.faults).toEqual({ reassigned: 0, duplicated: 0, rejected: 0, disconnects: 0 });
    viewer.socket.terminate();
  }

  it.each([
    ['no token', ''],
    ['a wrong token', '#token=guess'],
  ])('a tab with %s is refused with the sentence, and joins with the right one', async (_, fragment) => {
    const { room, place } = await openRoom({ args: ['--token', 'let me in'] });
    const guest = await browser.open(place, 'join');
    await computed(guest, 1);
    const stranger = await browser.open({ ...place, page: `${place.page}${fragment}` });
    await joinRun(stranger, 'cpu', 'stranger');
    await says(stranger, /^The coordinator refused this tab: the token is not the one in the join address/);
    await goesOn(room);
    expect([...room.run.state.records.values()]).toHaveLength(1);
    expect([...stranger.errors, ...guest.errors]).toEqual([]);
  });

  it('a tab beyond the limit of workers waits, says why, and is let in when a place is free', async () => {
    const { room, place } = await openRoom({ connectionLimits: { workers: 1 } });
    const first = await browser.open(place, 'join');
    await computed(first, 1);
    const second = await browser.open(place, 'join');
    await says(second, /the coordinator is full: no more than 1 workers may be connected; trying again/);
    await goesOn(room);
    await press(first, 'Leave');
    await says(first, 'This tab has left.');
    await computed(second, 1);
    expect([...first.errors, ...second.errors]).toEqual([]);
  });

  it('a page beyond the limit of viewers says why', async () => {
    const { room, place } = await openRoom({ connectionLimits: { viewers: 2 } });
    await room.startWorker();
    const first = await browser.open(place);
    await during(first, 'a live page', first.page.getByText('Training', { exact: true }).waitFor());
    const watching = await openViewer(room.ws);
    const second = await browser.open(place);
    const message = second.page.getByText(
      'Not connected: the coordinator is full: no more than 2 viewers may be connected.',
    );
    await during(second, 'the reason why it is not connected', message.waitFor());
    watching.socket.terminate();
    await goesOn(room);
  });

  it("a stranger's page cannot join, nor read, and a stranger's name for this machine shows the sentence", async () => {
    const { room, place } = await openRoom();
    await room.startWorker();
    const server = createServer((_request, response) =>
      response.setHeader('content-type', 'text/html').end('<p>hello'),
    );
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    closing.push(async () => void server.close());
    const foreign = await browser.open({
      ...place,
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
      { http: room.http, ws: room.ws, protocol: subprotocol },
    );
    expect(tried).toEqual({ socket: 'closed 1006', request: 'not read' });

    const named = await browser.open({ ...place, page: place.page.replace('127.0.0.1', foreignName) });
    const message =
      'the name in the address is not one of this machine: open it by its address, or name it with --host';
    await named.page.getByText(message).waitFor();
    await goesOn(room);
    expect([...room.run.state.records.values()]).toHaveLength(1);
  });
});
