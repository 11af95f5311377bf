/** The end of a run, as viewers see it: why it ended, and what it leaves behind. */
import { parseModel, writeModelFile } from '@lockstep/nn';
import { floatsFrom } from '@lockstep/protocol';
import { expect, it } from 'vitest';
import { openViewer } from '../../server/test/test-viewer.ts';
import type { TrainOptions } from '../src/index.ts';
import { openRun, tiny } from './open-run.ts';

async function watched(options: TrainOptions) {
  const listen = { waitForStart: true, ...(options.listen as object) };
  const { run, url, admin: adminToken } = await openRun({ ...tiny, workers: 1, ...options, listen });
  return { run, viewer: await openViewer(url), url, adminToken };
}

it.each([false, true])('weights, their hash and the report come with the end; stay: %s', async (stay) => {
  const { run, viewer, url } = await watched({ listen: { stay } });
  run.start();
  const [about, weights, left] = [
    await viewer.next('run'),
    await viewer.next('weights'),
    await viewer.next('result'),
  ] as const;
  const result = await run.result;
  expect(JSON.parse(new TextDecoder().decode(left.report))).toEqual(result.report);
  const file = writeModelFile(
    parseModel(about.model),
    floatsFrom(weights.bytes),
    JSON.parse(new TextDecoder().decode(left.metadata)),
  );
  expect(file).toEqual(result.modelFile());
  expect(weights.step).toBe(left.step);
  const before = viewer.received.slice(0, viewer.received.indexOf(left));
  expect(before.findLast(({ type }) => type === 'progress')).toMatchObject({
    ...{ weightsHash: result.report.weightsSha256.slice(0, 16), weightsHashStep: left.step },
  });
  if (!stay) return;
  const late = await openViewer(url);
  expect(await late.next('result')).toEqual(left);
  late.send({ type: 'wantWeights' });
  expect(await late.next('weights')).toEqual(weights);
});

it('a run that cannot go on says why, and what to try, in the same sentence everywhere', async () => {
  const { run, viewer } = await watched({ optimizer: { type: 'sgd', learningRate: 1e30 }, listen: { stay: true } });
  run.start();
  const error = await run.result.catch((reason: Error) => reason);
  expect(error).toMatchObject({ message: expect.stringMatching(/try a smaller learning rate$/), hasDiverged: true });
  const { message } = error as Error;
  const { ending } = await viewer.next('progress', (progress) => progress.ending !== undefined);
  expect(ending).toEqual({ type: 'failed', message });
  const said = await viewer.next('event', (event) => event.message.includes('smaller learning rate'));
  expect(said.message).toBe(message);
});

it('has time left only while it trains; stopped within an epoch, it is evaluated where it ended', async () => {
  const { run, viewer, adminToken: token } = await watched({ epochs: 100_000 });
  run.start();
  await viewer.next('progress', ({ phase, secondsLeft = 0 }) => phase === 'training' && secondsLeft > 0);
  viewer.send({ type: 'admin', action: 'pause', token });
  const paused = await viewer.next('progress', ({ phase }) => phase === 'paused');
  expect(paused).not.toHaveProperty('secondsLeft');
  viewer.send({ type: 'admin', action: 'stop', token });
  const { report } = await run.result;
  const { stepsPerEpoch } = await viewer.next('run');
  expect(report.epochs.at(-1)?.epoch).toBe(Math.ceil(report.steps / stepsPerEpoch));
});
