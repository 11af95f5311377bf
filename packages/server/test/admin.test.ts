import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join as joinPath } from 'node:path';
import type { InlineCompute } from '@lockstep/compute';
import { InlineWorker } from '@lockstep/coordinator';
import { readModelFile } from '@lockstep/nn';
import { bytesOf } from '@lockstep/protocol';
import { sha256 } from '@lockstep/record/node';
import { join, systemClock } from '@lockstep/worker';
import { describe, expect, it, onTestFinished } from 'vitest';
import { temporaryFolder } from '../../train/test/folder.ts';
import { tinyArgs } from '../../train/test/tiny-data.ts';
import { type DashboardServerOptions, openDashboardServer } from './dashboard-server.ts';
import { openViewer } from './test-viewer.ts';

const folder = temporaryFolder();
const steps = 30;
const data = [...(await tinyArgs(folder)), '--steps', `${steps}`, '--epochs', '50'];

async function open(args: readonly string[] = [], options: Partial<DashboardServerOptions> = {}) {
  const server = await openDashboardServer({ args: [...data, ...args], ...options });
  const viewer = await openViewer(server.ws);
  return { server, viewer, token: server.prepared.adminToken };
}

describe('controlling a run', () => {
  it('waits for start, pauses and resumes it, and changes no bit', async () => {
    const { server, viewer, token } = await open(['--wait-for-start'], {
      onStep: ({ step }) => step === 10 && server.run.control('pause'),
    });
    await server.startWorker();
    const ready = await viewer.next('workers', ({ workers }) => workers[0]?.phase === 'ready');
    expect(ready.workers).toHaveLength(1);
    expect(await viewer.next('progress')).toMatchObject({ phase: 'waiting', pauseRequested: true });
    viewer.send({ type: 'admin', action: 'start', token });
    const paused = await viewer.next('progress', ({ phase, pauseRequested }) => phase === 'paused' && pauseRequested);
    expect(paused.step).toBe(11);
    await viewer.next('event', ({ message }) => message === 'paused from the dashboard');
    viewer.send({ type: 'admin', action: 'resume', token });
    await viewer.next('progress', ({ phase }) => phase === 'finished');
    expect(server.weightsSha256()).toBe(await server.expectedSha256());
    viewer.send({ type: 'admin', action: 'pause', token });
    expect((await viewer.next('refused')).message).toBe('the run has ended');
  });

  it('stops the run where it is', async () => {
    const { server, viewer, token } = await open();
    viewer.send({ type: 'admin', action: 'stop', token });
    const ending = { type: 'stopped', message: 'stopped from the dashboard' };
    expect(await server.run.outcome).toEqual({ type: 'failed', message: ending.message });
    expect(await viewer.next('progress', ({ phase }) => phase === 'failed')).toMatchObject({ step: 0 });
    expect(await viewer.next('progress', (progress) => progress.ending !== undefined)).toMatchObject({ ending });
    expect(await viewer.next('event', ({ message }) => message === ending.message)).toBeDefined();
  });

  it.each([true, false])('saves the model as it is now, and says where; with --save: %s', async (isNamed) => {
    const name = isNamed ? joinPath(folder, 'now.safetensors') : `mlp-step-${steps}.safetensors`;
    const { server, viewer, token } = await open(isNamed ? ['--save', name] : []);
    const guest = await openViewer(server.ws);
    await server.startWorker();
    await server.run.outcome;
    onTestFinished(() => rmSync(name, { force: true }));
    viewer.send({ type: 'admin', action: 'save', token });
    const { message } = await viewer.next('event', (event) => event.message.includes('saved'));
    const place = isNamed ? name : `${name}, in the folder ${process.cwd()}`;
    expect(message).toBe(`model after step ${steps} saved to ${place}`);
    expect((await viewer.next('done')).message).toBe(message);
    // Guests learn that the model was saved, but nothing about the coordinator's folders.
    const forGuests = `model after step ${steps} saved`;
    expect((await guest.next('event', (event) => event.message.includes('saved'))).message).toBe(forGuests);
    expect((await (await openViewer(server.ws)).next('history')).events).toContain(forGuests);
    expect(sha256(bytesOf(readModelFile(server.prepared.model, readFileSync(name))))).toBe(server.weightsSha256());
    expect(readdirSync(folder).filter((file) => file.includes('.part'))).toEqual([]);
  });

  it('says why the model could not be saved, and the run goes on', async () => {
    const gone = mkdtempSync(joinPath(folder, 'gone-'));
    const { server, viewer, token } = await open(['--save', joinPath(gone, 'now.safetensors')]);
    rmSync(gone, { recursive: true });
    viewer.send({ type: 'admin', action: 'save', token });
    expect((await viewer.next('refused')).message).toMatch(
      /^could not write .*now\.safetensors: cannot use the folder/,
    );
    await server.startWorker();
    await viewer.next('progress', ({ phase }) => phase === 'finished');
  });

  it.each([
    ['no token', undefined, /^controlling a run requires the admin token: open the dashboard address/],
    ['a wrong token', 'guess', /^the admin token is wrong/],
  ] as const)('with %s is refused with a message, and nothing happens', async (_name, token, message) => {
    const { server, viewer } = await open(['--chaos']);
    const secret = token === undefined ? {} : { token };
    for (const action of ['start', 'pause', 'resume', 'stop'] as const) {
      viewer.send({ type: 'admin', action, ...secret });
      expect((await viewer.next('refused')).message).toMatch(message);
    }
    expect(server.run.state).toMatchObject({ phase: 'waiting', pauseRequested: false, startRequested: false });
    viewer.send({ type: 'injectFault', action: 'kill', workerId: 'w1', ...secret });
    expect((await viewer.next('refused')).message).toMatch(message);
    // The fifth attempt is the last.
    expect(await viewer.closed).toEqual({ code: 1008, reason: 'too many wrong admin tokens' });
  });
});

it('a worker is renamed and removed by the owner alone; removed, it ends with a sentence and does not come back', async () => {
  const { server, viewer, token } = await open(['--wait-for-start']);
  const message = 'the owner of this run removed this worker';
  const ending = expect(join(server.ws, { name: 'tab' }).done).rejects.toMatchObject({ reason: 'refused', message });
  await viewer.next('workers', ({ workers }) => workers[0]?.phase === 'ready');
  const guest = await openViewer(server.ws);
  const rename = { type: 'renameWorker', workerId: 'w1', name: 'Ada' } as const;
  const remove = { type: 'removeWorker', workerId: 'w1' } as const;
  for (const request of [rename, remove]) {
    guest.send(request);
    expect((await guest.next('refused')).message).toMatch(/^controlling a run requires the admin token/);
  }
  viewer.send({ ...rename, token });
  await guest.next('event', ({ message }) => message === 'w1 Ada was renamed from tab');
  viewer.send({ ...remove, token });
  await guest.next('event', (event) => event.message === `w1 Ada left: ${message}`);
  await ending;
  viewer.send({ ...remove, token });
  expect((await viewer.next('refused')).message).toBe('there is no connected worker w1');
});

describe('fault injection', () => {
  it('is refused in a run without --chaos, and for a worker that is not there', async () => {
    const { server, viewer, token } = await open();
    await server.startWorker();
    viewer.send({ type: 'injectFault', action: 'kill', workerId: 'w1', token });
    expect((await viewer.next('refused')).message).toBe('this run was started without --chaos');
    const faulty = await open(['--chaos']);
    faulty.viewer.send({ type: 'injectFault', action: 'kill', workerId: 'w9', token: faulty.token });
    expect((await faulty.viewer.next('refused')).message).toBe('there is no connected worker w9');
    expect(await faulty.viewer.next('run')).toMatchObject({ faultInjection: true });
  });

  it('is refused for the coordinator that computes itself', async () => {
    const { server, viewer, token } = await open(['--chaos', '--wait-for-start']);
    const compute: InlineCompute = {
      ...{ backend: 'cpu', numericMode: 'any', threads: 1 },
      checkNumerics: async () => ({ hash: '0'.repeat(64), samplesPerMs: 1 }),
      compute: () => ({ sum: undefined, computeMs: 0 }),
    };
    server.run.connectInline(new InlineWorker({ compute, name: 'coordinator', clock: systemClock, hasOthers: true }));
    viewer.send({ type: 'injectFault', action: 'freeze', workerId: 'w1', token });
    expect((await viewer.next('refused')).message).toBe('w1 is the coordinator itself');
  });

  it('kills one worker, freezes and slows others, and changes no bit', async () => {
    const { server, viewer, token } = await open(['--chaos', '--wait-for-start'], { startWorkers: 3 });
    const ends = [1, 2, 3].map(() => join(server.ws, { backend: 'cpu' }).done.catch((error: Error) => error));
    await viewer.next('workers', (table) => table.workers.filter(({ phase }) => phase === 'ready').length === 3);
    for (const [at, action] of (['kill', 'freeze', 'slow'] as const).entries()) {
      viewer.send({ type: 'injectFault', action, workerId: `w${at + 1}`, token });
    }
    for (const what of ['die', 'freeze', 'slow down']) {
      await viewer.next('event', ({ message }) => message.endsWith(`was told to ${what}`));
    }
    viewer.send({ type: 'admin', action: 'start', token });
    expect(await server.run.outcome).toEqual({ type: 'finished' });
    expect(server.weightsSha256()).toBe(await server.expectedSha256());
    // A frozen worker may be taken for dead as well.
    expect(server.run.state.faults.disconnects).toBeGreaterThanOrEqual(1);
    const failed = (await Promise.all(ends)).filter((end) => end instanceof Error);
    expect(failed).toMatchObject([{ reason: 'failed', message: 'killed from the dashboard' }]);
  });
});
