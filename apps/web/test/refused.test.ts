/** Checks that a page or tab that is refused shows why, and that the run goes on undisturbed. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { subprotocol } from '@lockstep/protocol';
import { afterEach, expect, it } from 'vitest';
import { openViewer, openWatchedRoom, type WatchedRoom } from '../../coordinator/test/watched-room.ts';
import { describePage, foreignName } from './browser.ts';
import { endless, type RunAddresses } from './run.ts';

describePage('refusals', ({ browser }) => {
  const closing: (() => Promise<void>)[] = [];
  afterEach(() => Promise.all(closing.splice(0).map((close) => close())));

  async function openRoom(options: Partial<Parameters<typeof openWatchedRoom>[0]> = {}) {
    const room = await openWatchedRoom({ ...options, args: [...endless, ...(options.args ?? [])] });
    closing.push(() => room.close());
    const { page: join, owner } = room.addresses;
    const ended = room.run.outcome.then((outcome) => JSON.stringify(outcome));
    return { room, place: { page: `${room.http}/`, owner, join, ended } satisfies RunAddresses };
  }

  /** Checks that the run makes progress, without a fault. */
  async function goesOn(room: WatchedRoom): Promise<void> {
    const viewer = await openViewer(room.ws);
    const { step } = await viewer.next('progress', ({ phase }) => phase === 'training');
    await viewer.next('progress', (progress) => progress.step > step);
    expect(room.run.state.faults).toEqual({ reassigned: 0, duplicated: 0, rejected: 0, disconnects: 0 });
    viewer.socket.terminate();
  }

  it.each([
    ['no token', ''],
    ['a wrong token', '#token=guess'],
  ])('a tab with %s is refused with the reason, and one with the right token joins', async (_, fragment) => {
    const { room, place } = await openRoom({ args: ['--token', 'let me in'] });
    const guest = await browser.open(place, 'join');
    await guest.computed(1);
    const unknown = await browser.open({ ...place, page: `${place.page}${fragment}` });
    await unknown.join('cpu', 'unknown');
    await unknown.panelShows(/^The coordinator refused this tab: the token is not the one in the join address/);
    await goesOn(room);
    expect([...room.run.state.records.values()]).toHaveLength(1);
    expect([...unknown.errors, ...guest.errors]).toEqual([]);
  });

  it('a tab beyond the limit of workers waits, shows why, and joins when another leaves', async () => {
    const { room, place } = await openRoom({ socketLimits: { workers: 1 } });
    const first = await browser.open(place, 'join');
    await first.computed(1);
    const second = await browser.open(place, 'join');
    await second.panelShows(/the room is full: no more than 1 workers may be connected; trying again/);
    await goesOn(room);
    await first.press('Leave');
    await first.panelShows('This tab has left.');
    await second.computed(1);
    expect([...first.errors, ...second.errors]).toEqual([]);
  });

  it('a page beyond the limit of viewers shows why', async () => {
    const { room, place } = await openRoom({ socketLimits: { viewers: 2 } });
    await room.work();
    const first = await browser.open(place);
    await first.during('a live page', first.page.getByText('Training', { exact: true }).waitFor());
    const watching = await openViewer(room.ws);
    const second = await browser.open(place);
    const message = second.page.getByText('Not connected: the room is full: no more than 2 viewers may be connected.');
    await second.during('the reason why it is not connected', message.waitFor());
    watching.socket.terminate();
    await goesOn(room);
  });

  it('a page of another origin can neither join nor read, and a foreign host name is refused with the reason', async () => {
    const { room, place } = await openRoom();
    await room.work();
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
