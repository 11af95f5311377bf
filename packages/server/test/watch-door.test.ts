/** Who may watch a run, and what guesses of its tokens cost. */
import { once } from 'node:events';
import { encodeWatch, watchPath, watchSubprotocol } from '@lockstep/protocol';
import { newSecret } from '@lockstep/record';
import { describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { temporaryFolder } from '../../train/test/folder.ts';
import { tinyArgs } from '../../train/test/tiny-data.ts';
import { openDashboardServer } from './dashboard-server.ts';
import { hello, openRawClient } from './raw-client.ts';
import { openViewer } from './test-viewer.ts';

const data = await tinyArgs(temporaryFolder());
const token = 'open sesame';
const open = (args: readonly string[] = ['--token', token]) => openDashboardServer({ args: [...data, ...args] });

const metrics = async (http: string, bearer?: string): Promise<number> => {
  const headers = bearer === undefined ? {} : { authorization: `Bearer ${bearer}` };
  return (await fetch(`${http}/metrics`, { headers })).status;
};

describe('watching', () => {
  it('needs the token where joining does: a page without it is told what to do, and sees nothing', async () => {
    const server = await open();
    const stranger = await openViewer(server.ws);
    const message = 'watching this run requires its token: open the whole address that the coordinator printed';
    expect(await stranger.next('refused')).toEqual({ type: 'refused', message });
    expect(await stranger.closed).toEqual({ code: 1008, reason: message });
    expect(stranger.received).toHaveLength(1);
    const worker = await openRawClient(server.ws);
    worker.send(hello);
    const refusal = { code: 'token', message: expect.stringMatching(/^this run requires a token/) };
    expect(await worker.next('refuse')).toMatchObject(refusal);
    const guest = await openRawClient(server.ws);
    guest.send({ ...hello, token });
    expect((await guest.next('welcome')).id).toBe('w1');
    const guesser = await openViewer(server.ws, {}, { token: 'guess' });
    expect((await guesser.next('refused')).message).toMatch(
      /^the code or token is wrong: type the code again, or open the whole address/,
    );
    for (const shown of [{ token }, { token: server.prepared.adminToken }, server.prepared]) {
      const viewer = await openViewer(server.ws, {}, { token: shown.token! });
      viewer.send({ type: 'wantWeights' });
      await viewer.next('weights');
    }
    const owner = await openViewer(server.ws, {}, { adminToken: server.prepared.adminToken });
    expect((await owner.next('run')).tokenNeeded).toBe(true);
    const { http } = server;
    expect([await metrics(http), await metrics(http, 'guess'), await metrics(http, token)]).toEqual([401, 401, 200]);
    expect((await fetch(`${http}/healthz`)).status).toBe(200);
  });

  it('is open with --public-view and where no token is needed', async () => {
    for (const args of [['--token', token, '--public-view'], []]) {
      const server = await open(args);
      const viewer = await openViewer(server.ws);
      await viewer.next('run');
      expect(await metrics(server.http)).toBe(200);
    }
  });

  it('and joining take the short code as well, which only those see who know how to join', async () => {
    const server = await open(['--token', token, '--public-view']);
    const guest = await openViewer(server.ws);
    const invited = await openViewer(server.ws, {}, { token });
    const { code } = await invited.next('joinCode');
    expect(code).toMatch(/^[A-HJKMNP-Z2-9]{6}$/);
    const owner = await openViewer(server.ws);
    owner.send({ type: 'unlock', token: server.prepared.adminToken });
    expect((await owner.next('joinCode')).code).toBe(code);
    expect(guest.received.map(({ type }) => type)).toContain('run');
    expect(JSON.stringify(guest.received)).not.toContain(code);
    const typed = await openRawClient(server.ws);
    typed.send({ ...hello, token: code });
    await typed.next('welcome');
    const wrong = await openRawClient(server.ws);
    wrong.send({ ...hello, token: code.replace(/.$/, (last) => (last === 'A' ? 'B' : 'A')) });
    expect(await wrong.next('refuse')).toMatchObject({ code: 'token' });
  });

  it('shows nothing before hello, which comes once', async () => {
    const server = await open([]);
    const socket = new WebSocket(`${server.ws}${watchPath}`, watchSubprotocol);
    const frames: unknown[] = [];
    socket.on('message', (frame) => frames.push(frame));
    await once(socket, 'open');
    socket.send(encodeWatch({ type: 'wantWeights' }));
    const [code, reason] = await once(socket, 'close');
    expect([frames.length, code, reason.toString()]).toEqual([0, 1002, 'wantWeights: expected hello first']);
    const twice = await openViewer(server.ws);
    twice.send({ type: 'hello' });
    expect(await twice.closed).toEqual({ code: 1002, reason: 'hello: expected it once, got a second one' });
  });

  it('is never denied to the owner, who takes the place of the oldest guest', async () => {
    const server = await openDashboardServer({ args: data, viewerLimits: { total: 3 } });
    const guests = [await openViewer(server.ws), await openViewer(server.ws), await openViewer(server.ws)];
    for (const guest of guests) await guest.next('run');
    const late = await openViewer(server.ws);
    const message = 'the coordinator is full: no more than 3 viewers may be connected';
    expect(await late.next('refused')).toEqual({ type: 'refused', message });
    expect((await late.closed).code).toBe(1013);
    const owner = await openViewer(server.ws, {}, { adminToken: server.prepared.adminToken });
    await owner.next('run');
    expect(await guests[0]!.closed).toMatchObject({ code: 1013 });
    expect(guests.slice(1).map(({ socket }) => socket.readyState)).toEqual([WebSocket.OPEN, WebSocket.OPEN]);
    owner.send({ type: 'admin', action: 'stop', token: server.prepared.adminToken });
    expect(await server.run.outcome).toMatchObject({ type: 'failed' });
  });

  it('by pings floods nothing: the socket is closed', async () => {
    const server = await open([]);
    const viewer = await openViewer(server.ws);
    for (let ping = 0; ping < 1_000; ping++) viewer.socket.ping();
    expect(await viewer.closed).toMatchObject({ code: 1008 });
  });
});

describe('guesses of tokens', () => {
  const guesses = Array.from({ length: 12 }, (_, index) => `guess ${index}`);

  /** Guesses as a worker, as a viewer, as an owner, and as a reader of the metrics. */
  async function guessAsAll(server: Awaited<ReturnType<typeof open>>): Promise<unknown[]> {
    const answers: unknown[] = [];
    for (const guess of [...guesses, 'WRONG2', 'as long as a real token']) {
      const worker = await openRawClient(server.ws);
      worker.send({ ...hello, token: guess });
      const viewer = await openViewer(server.ws, {}, { token: guess, adminToken: guess });
      const refusals = [(await worker.next('refuse')).code, (await viewer.next('refused')).type];
      answers.push([...refusals, await metrics(server.http, guess)]);
    }
    return answers;
  }

  it.each([
    ['a short token', token],
    ['a token as it is made', newSecret()],
  ])('keep nobody out, at the address that they come from either: %s', async (_name, right) => {
    const server = await open(['--token', right]);
    const answers = await guessAsAll(server);
    expect(answers).toEqual(answers.map(() => ['token', 'refused', 401]));
    expect(await metrics(server.http, right)).toBe(200);
    const viewer = await openViewer(server.ws, {}, { token: right });
    const { code } = await viewer.next('joinCode');
    for (const shown of [right, code]) {
      const client = await openRawClient(server.ws);
      client.send({ ...hello, token: shown });
      await client.next('welcome');
      await (await openViewer(server.ws, {}, { token: shown })).next('run');
    }
    const owner = await openViewer(server.ws, {}, { adminToken: server.prepared.adminToken });
    expect(await owner.next('role')).toEqual({ type: 'role', role: 'owner' });
  });

  it('at the metrics get no further with the code, which stands for the token where people type it', async () => {
    const server = await open();
    const { code } = await (await openViewer(server.ws, {}, { token })).next('joinCode');
    expect([await metrics(server.http, code), await metrics(server.http, token)]).toEqual([401, 200]);
  });
});
