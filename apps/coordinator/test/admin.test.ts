import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { initialize, readModelFile } from '@lockstep/nn';
import { bytesOf } from '@lockstep/protocol';
import { isHostBackend, openBackend } from '@lockstep/tensor';
import { createShardSource } from '@lockstep/training';
import { oracleWeights } from '@lockstep/training/simulator';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { temporaryFolder } from './folder.ts';
import { startWorker } from './processes.ts';
import { tinyFiles, writeFolder } from './tiny-data.ts';
import { openViewer, openWatchedRoom, type WatchedRoom, type WatchedRoomOptions } from './watched-room.ts';

const folder = temporaryFolder();
const steps = 30;
let data: string[] = [];
beforeAll(async () => {
  const tiny = await writeFolder(folder, 'tiny', tinyFiles());
  data = ['--data', tiny, '--batch', '32', '--steps', `${steps}`, '--epochs', '50'];
});

const rooms: WatchedRoom[] = [];
afterEach(async () => {
  await Promise.all(rooms.splice(0).map((room) => room.close()));
});

async function openRoom(args: readonly string[] = [], options: Partial<WatchedRoomOptions> = {}) {
  const room = await openWatchedRoom({ args: [...data, ...args], ...options });
  rooms.push(room);
  const viewer = await openViewer(room.ws);
  return { room, viewer, token: room.prepared.adminToken };
}

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const weightsHash = (room: WatchedRoom): string => sha256(bytesOf(room.parameterServer.weights()));

async function expectedHash({ prepared }: WatchedRoom): Promise<string> {
  const { backend } = await openBackend('auto');
  if (!isHostBackend(backend)) throw new Error('expected a backend in JavaScript memory');
  const { model, plan, train, config, optimizer } = prepared;
  const samples = createShardSource(train, plan, config.seed);
  const weights = initialize(model, config.seed);
  return sha256(bytesOf(oracleWeights({ backend, model, plan, samples, weights, optimizer, seed: config.seed })));
}

describe('steering', () => {
  it('pauses, resumes, and changes no bit', async () => {
    const { room, viewer, token } = await openRoom([], {
      onStep({ step }) {
        if (step === 10) room.run.control('pause');
      },
    });
    await room.work();
    const pauseRequested = await viewer.next('progress', (progress) => progress.pauseRequested);
    expect(pauseRequested).toMatchObject({ phase: 'paused', step: 11 });
    expect((await viewer.next('event', ({ message }) => message.includes('paused'))).message).toBe(
      'paused from the dashboard, at the end of this step',
    );
    viewer.say({ type: 'admin', action: 'resume', token });
    await viewer.next('progress', ({ phase }) => phase === 'finished');
    expect(weightsHash(room)).toBe(await expectedHash(room));
  });

  it('waits for start where it was asked to', async () => {
    const { room, viewer, token } = await openRoom(['--wait-for-start']);
    await room.work();
    const ready = await viewer.next('workers', ({ workers }) => workers[0]?.phase === 'ready');
    expect(ready.workers).toHaveLength(1);
    expect(await viewer.next('progress')).toMatchObject({ phase: 'waiting', pauseRequested: true });
    viewer.say({ type: 'admin', action: 'start', token });
    await viewer.next('progress', ({ phase }) => phase === 'finished');
    viewer.say({ type: 'admin', action: 'pause', token });
    expect((await viewer.next('refused')).message).toBe('the run has ended');
  });

  it('stops the run where it is', async () => {
    const { room, viewer, token } = await openRoom();
    viewer.say({ type: 'admin', action: 'stop', token });
    expect(await room.run.outcome).toEqual({ type: 'failed', message: 'stopped from the dashboard' });
    expect(await viewer.next('progress', ({ phase }) => phase === 'failed')).toMatchObject({ step: 0 });
  });

  it('saves the model as it is now', async () => {
    const file = join(folder, 'now.safetensors');
    const { room, viewer, token } = await openRoom(['--save', file]);
    await room.work();
    await room.run.outcome;
    viewer.say({ type: 'admin', action: 'save', token });
    const { message } = await viewer.next('event', (event) => event.message.includes('saved'));
    expect(message).toBe(`model after step ${steps} saved to ${file}`);
    expect(sha256(bytesOf(readModelFile(room.prepared.model, readFileSync(file))))).toBe(weightsHash(room));
    expect(readdirSync(folder).filter((name) => name.includes('.part'))).toEqual([]);
  });

  it('saves without --save into the working folder, and names it', async () => {
    const { room, viewer, token } = await openRoom();
    await room.work();
    await room.run.outcome;
    const file = `mlp-step-${steps}.safetensors`;
    try {
      viewer.say({ type: 'admin', action: 'save', token });
      const { message } = await viewer.next('event', (event) => event.message.includes('saved'));
      expect(message).toBe(`model after step ${steps} saved to ${file}, in the folder ${process.cwd()}`);
      expect(sha256(bytesOf(readModelFile(room.prepared.model, readFileSync(file))))).toBe(weightsHash(room));
    } finally {
      rmSync(file, { force: true });
    }
  });

  it('says why the model could not be saved, and the run goes on', async () => {
    const gone = mkdtempSync(join(folder, 'gone-'));
    const { room, viewer, token } = await openRoom(['--save', join(gone, 'now.safetensors')]);
    rmSync(gone, { recursive: true });
    viewer.say({ type: 'admin', action: 'save', token });
    expect((await viewer.next('refused')).message).toMatch(/^could not write .*now\.safetensors: ENOENT/);
    await room.work();
    await viewer.next('progress', ({ phase }) => phase === 'finished');
  });

  it.each([
    ['no token', undefined, /^steering needs the admin token: open the dashboard address/],
    ['a wrong token', 'guess', /^this is not the admin token of this run/],
  ] as const)('with %s is refused with a sentence, and nothing happens', async (_name, token, message) => {
    const { room, viewer } = await openRoom(['--chaos']);
    const secret = token === undefined ? {} : { token };
    for (const action of ['start', 'pause', 'resume', 'stop'] as const) {
      viewer.say({ type: 'admin', action, ...secret });
      expect((await viewer.next('refused')).message).toMatch(message);
    }
    expect(room.run.state).toMatchObject({ phase: 'waiting', pauseRequested: false, startAsked: false });
    viewer.say({ type: 'injectFault', action: 'kill', workerId: 'w1', ...secret });
    expect((await viewer.next('refused')).message).toMatch(message);
    // The fifth is the last.
    expect(await viewer.closed).toEqual({ code: 1008, reason: 'the admin token was wrong too often' });
  });
});

describe('trouble on purpose', () => {
  it('is not made in a run that was not started for it, nor to somebody who is not there', async () => {
    const { room, viewer, token } = await openRoom();
    await room.work();
    viewer.say({ type: 'injectFault', action: 'kill', workerId: 'w1', token });
    expect((await viewer.next('refused')).message).toBe('this run was not started with --chaos');
    const chaotic = await openRoom(['--chaos']);
    chaotic.viewer.say({ type: 'injectFault', action: 'kill', workerId: 'w9', token: chaotic.token });
    expect((await chaotic.viewer.next('refused')).message).toBe('there is no worker w9 here');
    expect(await chaotic.viewer.next('run')).toMatchObject({ faultInjection: true });
  });

  it('kills one worker and freezes another, and the curve does not move', async () => {
    const { room, viewer, token } = await openRoom(['--chaos', '--wait-for-start'], {
      startWorkers: 3,
      onStep({ step }) {
        if (step === 5) viewer.say({ type: 'injectFault', action: 'kill', workerId: 'w1', token });
        if (step === 10) viewer.say({ type: 'injectFault', action: 'freeze', workerId: 'w2', token });
        if (step === 12) viewer.say({ type: 'injectFault', action: 'slow', workerId: 'w3', token });
        // Nobody is so fast that trouble comes too late.
        if (step < 20) room.run.control('pause');
        setImmediate(() => room.run.control('resume'));
      },
    });
    const workers = Array.from({ length: 3 }, (_, index) => startWorker(['--url', room.ws, '--name', `n${index}`]));
    await viewer.next('workers', (table) => table.workers.filter(({ phase }) => phase === 'ready').length === 3);
    viewer.say({ type: 'admin', action: 'start', token });
    const told = await Promise.all(
      ['die', 'freeze', 'slow down'].map((what) =>
        viewer.next('event', ({ message }) => message.endsWith(`is told to ${what}`)),
      ),
    );
    expect(told).toHaveLength(3);
    expect(await room.run.outcome).toEqual({ type: 'finished' });
    expect(weightsHash(room)).toBe(await expectedHash(room));
    expect(room.run.state.faults.disconnects).toBe(1);
    const ends = await Promise.all(workers.map((worker) => worker.ended));
    expect(ends.filter(({ code, stderr }) => code === 1 && stderr.includes('killed from the dashboard'))).toHaveLength(
      1,
    );
  }, 240_000);
});
