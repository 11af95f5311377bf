/** A batch chosen for the workers that are connected when the run is started. */
import { tmpdir } from 'node:os';
import { batchForWorkers } from '@lockstep/rules';
import { type JoinedWorker, join } from '@lockstep/worker';
import { expect, it } from 'vitest';
import type { TestViewer } from '../../server/test/test-viewer.ts';
import { type TrainingEvent, type TrainOptions, train } from '../src/index.ts';
import { hashAlone, openRun, tiny } from './open-run.ts';

const auto: TrainOptions = { ...tiny, batch: 'auto', epochs: 2 };

async function open(options: TrainOptions, stay = false) {
  const opened = await openRun({ ...auto, ...options, listen: { waitForStart: true, stay } });
  return { ...opened, viewer: await opened.watch() };
}

async function joined(viewer: TestViewer, url: string, count: number): Promise<JoinedWorker[]> {
  const workers = Array.from({ length: count }, (_, index) => join(url, { name: `guest ${index}`, backend: 'cpu' }));
  await viewer.next('workers', ({ workers: rows }) => rows.filter(({ phase }) => phase === 'ready').length === count);
  return workers;
}

const alone = (options: TrainOptions): Promise<string> => hashAlone({ ...auto, ...options });

it.each([1, 3])('is for %i workers, with the weights of one process, by page or program', async (count) => {
  const { run, url, admin: token, viewer } = await open({});
  const events: TrainingEvent[] = [];
  const reading = (async () => {
    for await (const event of run) if (event.type === 'prepared') events.push(event);
  })();
  const about = await viewer.next('run');
  const { usualBatch } = about.planAtStart!;
  await joined(viewer, url, count);
  if (count === 1) run.start();
  else viewer.send({ type: 'admin', action: 'start', token });
  const { report } = await run.result;
  const planned = batchForWorkers({ samples: about.samples, workers: count, usualBatch });
  expect(report.config).toMatchObject({ batch: planned.batch, microbatchSize: planned.microbatchSize });
  expect(report.weightsSha256).toBe(await alone({ expect: count }));
  expect(report.workers).toHaveLength(count);
  await reading;
  expect(events.map((event) => (event.type === 'prepared' ? event.config.batch : 0))).toEqual([
    usualBatch,
    planned.batch,
  ]);
});

it('is for one worker if there is none, also if the microbatch is given', async () => {
  const { run, url, viewer } = await open({ microbatch: 8 });
  expect((await viewer.next('run')).planAtStart).toMatchObject({ microbatchSize: 8 });
  run.start();
  join(url, { name: 'late', backend: 'cpu' }).done.catch(() => {});
  expect((await run.result).report.weightsSha256).toBe(await alone({ microbatch: 8, expect: 1 }));
});

it('ends without a step if it is stopped before its start', async () => {
  const { run, url, admin: token, viewer } = await open({});
  const [guest] = await joined(viewer, url, 1);
  viewer.send({ type: 'admin', action: 'stop', token });
  const { outcome, report } = await run.result;
  expect(outcome).toBe('stopped');
  expect(report.steps).toBe(0);
  await guest!.done.catch(() => {});
});

it('stays for a run after it, with its number of workers', async () => {
  const { run, url, admin: token, viewer, watch } = await open({}, true);
  const workers = await joined(viewer, url, 2);
  run.start();
  await run.result;
  const owner = await watch();
  owner.send({ type: 'runAgain', token, seed: 2 });
  const next = await run.nextRun();
  expect((await next.result).report.weightsSha256).toBe(await alone({ expect: 2, seed: 2 }));
  await run[Symbol.asyncDispose]();
  for (const each of workers) await each.done;
});

it.each<[TrainOptions, string]>([
  [
    { checkpoint: { folder: tmpdir(), resume: true } },
    'batch auto: requires expect if the run may resume from a checkpoint',
  ],
  [{ diloco: true }, 'batch: expected a number with diloco.replicas, got auto'],
])('%j is refused', async (options, message) => {
  const run = train({ ...auto, ...options, listen: { port: 0, waitForStart: true } });
  await expect(run.result).rejects.toThrow(message);
});
