import { classField, scaledField } from '@lockstep/data';
import { floatsFrom } from '@lockstep/protocol';
import { version } from '@lockstep/record';
import { sha256 } from '@lockstep/record/node';
import { describe, expect, it } from 'vitest';
import { temporaryFolder } from '../../train/test/folder.ts';
import { tinyArgs } from '../../train/test/tiny-data.ts';
import { openDashboardServer } from './dashboard-server.ts';
import { openViewer } from './test-viewer.ts';

const steps = 24;
const data = [...(await tinyArgs(temporaryFolder())), '--steps', `${steps}`, '--epochs', '50'];

const open = () => openDashboardServer({ args: data });

/** Bytes that may be queued for one viewer: the limit, and one message beyond it. */
const mostQueuedBytes = 256 * 1024 + 420_000;

const report = {
  ...{ epoch: 1, trainLoss: 1, trainAccuracy: 0.5, testLoss: 1, testAccuracy: 0.5, testR2: null, testRmse: null },
  ...{ seconds: 1, imagesPerSecond: 64 },
};

describe('a viewer', () => {
  it('gets a description of the run first, and follows it to its end', async () => {
    const server = await open();
    const viewer = await openViewer(server.ws);
    const first = await viewer.next('progress');
    expect(viewer.received.map(({ type }) => type)).toEqual(['run', 'history', 'workers', 'progress']);
    expect(first).toMatchObject({ phase: 'waiting', pauseRequested: false, step: 0, epoch: 1 });
    expect(first).not.toHaveProperty('exactness');
    expect(await viewer.next('run')).toMatchObject({
      ...{ version, parameters: 101_770, steps, stepsPerEpoch: 2, microbatches: 2, samples: 64, testSamples: 16 },
      ...{ sampleField: scaledField([28, 28, 1]), targetField: classField, outputs: 10, names: [...'0123456789'] },
      tokenNeeded: false,
      joinAddresses: [`${server.http}/`, server.ws],
    });

    await server.startWorker();
    const last = await viewer.next('progress', ({ phase }) => phase === 'finished');
    expect(last).toMatchObject({ step: steps, epoch: 12, checked: server.report().checked });
    const seen = viewer.received.flatMap((message) =>
      message.type === 'progress' ? [...floatsFrom(message.points.steps)] : [],
    );
    expect(seen).toEqual(Array.from({ length: steps }, (_, index) => index + 1));
    // The hash of the last weights follows when it is due.
    const hashed = await viewer.next('progress', ({ weightsHashStep }) => weightsHashStep === steps);
    expect(hashed.weightsHash).toBe(server.weightsSha256().slice(0, 16));

    const { workers } = await viewer.next('workers', (message) => message.workers[0]?.health === 'finished');
    expect(workers).toMatchObject([{ id: 'w1', name: 'this process', kind: 'local', share: 1, samples: steps * 32 }]);
    const picture = await viewer.next('timeline');
    expect(picture.rows.map(({ workerId }) => workerId)).toEqual(['w1']);
    expect(picture.rows[0]!.spans.map(({ kind }) => kind)).toContain('compute');
  });

  it('gets the curves and epochs again if the run goes back, and keeps the log', async () => {
    const server = await open();
    const { recorder, run } = server;
    const viewer = await openViewer(server.ws);
    await viewer.next('progress');
    const take = (from: number, to: number): void => {
      for (let step = from; step < to; step++) {
        recorder.step({ step, epoch: step >> 1, loss: 1 + step, correct: 1, count: 32 }, run.state);
      }
    };
    take(0, 2);
    recorder.keep(2);
    take(2, 4);
    server.epoch({ ...report, epoch: 2 });
    await viewer.next('epoch');
    await viewer.next('progress', ({ points }) => floatsFrom(points.steps).at(-1) === 4);
    recorder.goBack(2);
    recorder.event({ type: 'wentBack', workerId: 'w7', from: 4, to: 2 }, run.state);
    const { epochs, points } = await viewer.next('history', ({ events }) => events === undefined);
    expect([epochs, ...floatsFrom(points.steps)]).toEqual([[], 1, 2]);
    await viewer.next('event', ({ message }) =>
      /^went back 2 steps, to step 2: results of .* were wrong$/.test(message),
    );
    take(2, 3);
    const later = await viewer.next('progress', ({ points: { steps: ended } }) => floatsFrom(ended).at(-1) === 3);
    expect([...floatsFrom(later.points.steps)]).toEqual([3]);
  });

  it('that joins late gets the history, the events and the last evaluation', async () => {
    const server = await open();
    await server.startWorker();
    await server.run.outcome;
    server.epoch(report);
    server.recorder.note('something happened');
    const viewer = await openViewer(server.ws);
    const history = await viewer.next('history');
    expect([...floatsFrom(history.points.steps)]).toEqual(Array.from({ length: steps }, (_, index) => index + 1));
    expect(history.epochs).toEqual([report]);
    expect(history.events).toContain('something happened');

    const evaluation = await viewer.next('evaluation');
    const counts = floatsFrom(evaluation.confusion!);
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(16);
    // The row of each true class sums to the number of images of that class.
    const labels = server.prepared.test.targets.values;
    for (let label = 0; label < 10; label++) {
      const inRow = counts.subarray(label * 10, label * 10 + 10).reduce((sum, count) => sum + count, 0);
      expect(inRow).toBe(labels.filter((each) => each === label).length);
    }
    const wrong = counts.filter((_, index) => index % 11 !== 0).reduce((sum, count) => sum + count, 0);
    expect(evaluation.topErrors).toHaveLength(Math.min(16, wrong));
    const sure = evaluation.topErrors.map(({ probability }) => probability);
    expect(sure).toEqual([...sure].sort((a, b) => b - a));
    // A viewer that joins later gets it, too.
    expect(await (await openViewer(server.ws)).next('evaluation')).toEqual(evaluation);
  });

  it('sees each epoch when it ends, and how its test images were read, but nothing of a model that has diverged', async () => {
    const server = await open();
    const viewer = await openViewer(server.ws);
    server.epoch({ ...report, trainLoss: Number.NaN, testLoss: Number.NaN, testAccuracy: null });
    server.epoch({ ...report, epoch: 2 });
    const diverged = { epoch: 1, trainLoss: Number.MAX_VALUE, testLoss: Number.MAX_VALUE, testAccuracy: null };
    expect((await viewer.next('epoch')).report).toMatchObject(diverged);
    expect((await viewer.next('epoch')).report).toMatchObject({ epoch: 2, testAccuracy: report.testAccuracy });
    // The diverged model was not evaluated.
    expect(await viewer.next('evaluation')).toMatchObject({ epoch: 2, outputs: 10, farthest: [] });
    expect(viewer.received.filter(({ type }) => type === 'evaluation')).toHaveLength(1);
  });

  it('has the evaluation of the last epoch when the server closes', async () => {
    // All of MNIST, whose evaluation takes many turns of the event loop.
    const server = await openDashboardServer({ args: ['--steps', '1'] });
    const viewer = await openViewer(server.ws);
    await server.startWorker();
    await server.run.outcome;
    for (const epoch of [11, 12]) server.epoch({ ...report, epoch });
    await server.close();
    await viewer.closed;
    expect(viewer.received.filter(({ type }) => type === 'evaluation').at(-1)).toMatchObject({ epoch: 12 });
  });

  it('gets the weights that it asks for', async () => {
    const server = await open();
    const viewer = await openViewer(server.ws);
    viewer.send({ type: 'wantWeights' });
    const { step, bytes } = await viewer.next('weights');
    expect([step, sha256(bytes)]).toEqual([0, server.weightsSha256()]);
    await server.startWorker();
    await server.run.outcome;
    expect(viewer.received.filter(({ type }) => type === 'weights')).toHaveLength(1);
    viewer.send({ type: 'wantWeights' });
    const last = await viewer.next('weights');
    expect([last.step, sha256(last.bytes)]).toEqual([steps, server.weightsSha256()]);
  });
});

it('viewers that never read change no bit, and get a bounded number of bytes, and a snapshot when they read', async () => {
  const server = await open();
  const viewers = await Promise.all(Array.from({ length: 4 }, () => openViewer(server.ws)));
  for (const viewer of viewers) {
    viewer.send({ type: 'wantWeights' });
    viewer.socket.pause();
  }
  await server.startWorker();
  expect(await server.run.outcome).toEqual({ type: 'finished' });
  expect(server.weightsSha256()).toBe(await server.expectedSha256());
  let most = 0;
  // 18 MB for each viewer, of which the kernel buffers a few.
  for (let index = 0; index < 20_000; index++) {
    server.recorder.note(`event ${index} ${'x'.repeat(900)}`);
    most = Math.max(most, server.dashboard.figures.queuedBytes);
  }
  expect(server.dashboard.figures.viewers).toBe(4);
  expect(most).toBeGreaterThan(4 * 250_000);
  expect(most).toBeLessThan(4 * mostQueuedBytes);
  for (const viewer of viewers) viewer.socket.resume();
  for (const viewer of viewers) {
    await viewer.next('history', ({ events }) => events?.at(-1)?.startsWith('event 19999 ') === true);
    expect(viewer.received.length).toBeLessThan(20_000);
  }
});
