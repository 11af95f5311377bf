import { createHash } from 'node:crypto';
import { initialize } from '@lockstep/nn';
import { bytesOf, floatsFrom } from '@lockstep/protocol';
import { isHostBackend, openBackend } from '@lockstep/tensor';
import { createShardSource } from '@lockstep/training';
import { oracleWeights } from '@lockstep/training/simulator';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { temporaryFolder } from './folder.ts';
import { tinyFiles, writeFolder } from './tiny-data.ts';
import { openViewer, openWatchedRoom, type WatchedRoom, type WatchedRoomOptions } from './watched-room.ts';

const folder = temporaryFolder();
const steps = 24;
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
  return room;
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

/** What may wait for one viewer: the bound, and one message that went over it. */
const mostQueuedBytes = 256 * 1024 + 420_000;

const report = {
  epoch: 1,
  trainLoss: 1,
  trainAccuracy: 0.5,
  testLoss: 1,
  testAccuracy: 0.5,
  seconds: 1,
  imagesPerSecond: 64,
};

describe('a viewer', () => {
  it('learns what the run is before anything happens, and sees it to its end', async () => {
    const room = await openRoom();
    const viewer = await openViewer(room.ws);
    const first = await viewer.next('progress');
    expect(viewer.heard.map(({ type }) => type)).toEqual(['run', 'history', 'workers', 'progress']);
    expect(first).toMatchObject({ phase: 'waiting', pauseRequested: false, step: 0, epoch: 1, exactness: 'bit-exact' });
    expect(await viewer.next('run')).toMatchObject({
      version: 'test',
      parameters: 101_770,
      steps,
      stepsPerEpoch: 2,
      microbatches: 2,
      samples: 64,
      testSamples: 16,
      rows: 28,
      columns: 28,
      classes: 10,
      tokenNeeded: false,
      joinAddresses: [`${room.http}/`, room.ws],
    });

    await room.work();
    const last = await viewer.next('progress', ({ phase }) => phase === 'finished');
    expect(last).toMatchObject({ step: steps, epoch: 12 });
    const seen = viewer.heard.flatMap((message) =>
      message.type === 'progress' ? [...floatsFrom(message.points.steps)] : [],
    );
    expect(seen).toEqual(Array.from({ length: steps }, (_, index) => index + 1));
    // The hash of the last weights follows when it is due.
    const hashed = await viewer.next('progress', ({ weightsHashStep }) => weightsHashStep === steps);
    expect(hashed.weightsHash).toBe(weightsHash(room).slice(0, 16));

    // It goes a moment after its last shard.
    const { workers } = await viewer.next('workers', (message) => message.workers[0]?.health === 'gone');
    expect(workers).toMatchObject([{ id: 'w1', name: 'this process', kind: 'local', share: 1, samples: steps * 32 }]);
    const picture = await viewer.next('timeline');
    expect(picture.rows.map(({ workerId }) => workerId)).toEqual(['w1']);
    expect(picture.rows[0]!.spans.map(({ kind }) => kind)).toContain('compute');
  });

  it('that comes late gets the history, the notices and the last evaluation', async () => {
    const room = await openRoom();
    await room.work();
    await room.run.outcome;
    room.epoch(report);
    room.dashboard.say('something happened');
    const viewer = await openViewer(room.ws);
    const history = await viewer.next('history');
    expect([...floatsFrom(history.points.steps)]).toEqual(Array.from({ length: steps }, (_, index) => index + 1));
    expect(history.epochs).toEqual([report]);
    expect(history.events).toContain('something happened');

    const evaluation = await viewer.next('evaluation');
    const counts = floatsFrom(evaluation.confusion);
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(16);
    // A row for each true class: the images of each class, however they were read.
    const { labels } = room.prepared.test;
    for (let label = 0; label < 10; label++) {
      const inRow = counts.subarray(label * 10, label * 10 + 10).reduce((sum, count) => sum + count, 0);
      expect(inRow).toBe(labels.filter((each) => each === label).length);
    }
    const wrong = counts.filter((_, index) => index % 11 !== 0).reduce((sum, count) => sum + count, 0);
    expect(evaluation.topErrors).toHaveLength(Math.min(16, wrong));
    const sure = evaluation.topErrors.map(({ probability }) => probability);
    expect(sure).toEqual([...sure].sort((a, b) => b - a));
    // One that comes later still finds it there.
    expect(await (await openViewer(room.ws)).next('evaluation')).toEqual(evaluation);
  });

  it('sees an epoch when it ends, and how its test images were read', async () => {
    const room = await openRoom();
    const viewer = await openViewer(room.ws);
    room.epoch({ ...report, trainLoss: Number.NaN });
    expect((await viewer.next('epoch')).report).toMatchObject({ epoch: 1, trainLoss: Number.MAX_VALUE });
    expect(await viewer.next('evaluation')).toMatchObject({ epoch: 1, rows: 28, columns: 28, classes: 10 });
  });

  it('gets the weights that it asks for', async () => {
    const room = await openRoom();
    const viewer = await openViewer(room.ws);
    viewer.say({ type: 'wantWeights' });
    const { step, bytes } = await viewer.next('weights');
    expect([step, sha256(bytes)]).toEqual([0, weightsHash(room)]);
    await room.work();
    await room.run.outcome;
    expect(viewer.heard.filter(({ type }) => type === 'weights')).toHaveLength(1);
    viewer.say({ type: 'wantWeights' });
    const last = await viewer.next('weights');
    expect([last.step, sha256(last.bytes)]).toEqual([steps, weightsHash(room)]);
  });
});

describe('viewers that never read', () => {
  it('200 of them cost a bounded amount of memory, and the model is the same', async () => {
    const room = await openRoom();
    const viewers = await Promise.all(Array.from({ length: 200 }, () => openViewer(room.ws)));
    for (const viewer of viewers) {
      viewer.say({ type: 'wantWeights' });
      viewer.socket.pause();
    }
    expect(room.dashboard.viewers).toBe(200);
    const before = process.memoryUsage();
    await room.work();
    expect(await room.run.outcome).toEqual({ type: 'finished' });
    for (let told = 0; told < 1_000; told++) room.dashboard.say(`notice ${told} ${'x'.repeat(900)}`);
    const after = process.memoryUsage();
    expect(after.external + after.heapUsed - before.external - before.heapUsed).toBeLessThan(200 * 2 ** 20);
    expect(room.dashboard.queuedBytes).toBeLessThan(200 * mostQueuedBytes);
    expect(weightsHash(room)).toBe(await expectedHash(room));
    for (const viewer of viewers) viewer.socket.terminate();
  });

  it('are sent nothing beyond what the kernel holds and a bounded rest, and everything anew when they read', async () => {
    const room = await openRoom();
    const viewers = await Promise.all(Array.from({ length: 4 }, () => openViewer(room.ws)));
    for (const viewer of viewers) viewer.socket.pause();
    let most = 0;
    // 36 MB for each, where the kernel takes a few.
    for (let told = 0; told < 40_000; told++) {
      room.dashboard.say(`notice ${told} ${'x'.repeat(900)}`);
      most = Math.max(most, room.dashboard.queuedBytes);
    }
    expect(most).toBeGreaterThan(4 * 250_000);
    expect(most).toBeLessThan(4 * mostQueuedBytes);
    for (const viewer of viewers) viewer.socket.resume();
    for (const viewer of viewers) {
      await viewer.next('history', ({ events }) => events.at(-1)?.startsWith('notice 39999 ') === true);
      expect(viewer.heard.length).toBeLessThan(40_000);
    }
  });
});
