/** Checks that the page never says of a run what it cannot know. */
import { bytesOf } from '@lockstep/protocol';
import { expect, it } from 'vitest';
import type { Connection, Progress } from '../src/watch/run-store.ts';
import { statusOf } from '../src/watch/status.ts';

const none = bytesOf(new Float32Array());
const progress = (phase: Progress['phase'], more: Partial<Progress> = {}): Progress => ({
  type: 'progress',
  phase,
  pauseRequested: false,
  step: 1,
  epoch: 1,
  imagesPerSecond: 0,
  points: { steps: none, seconds: none, losses: none },
  ...more,
});
const live: Connection = { phase: 'live' };
const lost: Connection = { phase: 'lost', reason: 'the coordinator does not answer' };
const why = 'training has diverged; try a smaller learning rate';

it.each<[string, Connection, Progress | undefined, string, string]>([
  ['nothing known', { phase: 'connecting' }, undefined, 'connecting', 'Connecting'],
  ['never reached', lost, undefined, 'lost', 'Not connected'],
  ['waiting for workers', live, progress('waiting'), 'waiting', 'Waiting for workers'],
  ['waiting for its owner', live, progress('waiting', { pauseRequested: true }), 'waiting', 'Waiting for start'],
  ['training', live, progress('training'), 'training', 'Training'],
  ['paused', live, progress('paused', { pauseRequested: true }), 'paused', 'Paused'],
  ['without workers', live, progress('paused'), 'paused', 'Paused: no workers'],
  ['training, coordinator gone', lost, progress('training'), 'lost', 'Connection lost'],
  ['trying again', { phase: 'connecting' }, progress('training'), 'lost', 'Connecting again'],
  ['refused', { phase: 'refused', reason: 'full' }, progress('training'), 'lost', 'Not connected'],
  ['finished', live, progress('finished'), 'finished', 'Finished'],
  ['finished, coordinator gone', lost, progress('finished'), 'finished', 'Finished'],
  ['stopped', live, progress('failed', { ending: { type: 'stopped', message: 'by its owner' } }), 'stopped', 'Stopped'],
  ['failed', live, progress('failed', { ending: { type: 'failed', message: why } }), 'failed', 'Failed'],
])('%s', (_, connection, shown, name, title) => {
  expect(statusOf(connection, shown)).toMatchObject({ name, title });
});

it('says that a server waits for the data of its run, while it is reached', () => {
  expect(statusOf(live, undefined, true)).toEqual({ name: 'waiting', title: 'Waiting for data' });
  expect(statusOf(lost, undefined, true).name).toBe('lost');
});

it('says why a run failed, and what to try', () => {
  const failed = progress('failed', { ending: { type: 'failed', message: why } });
  expect(statusOf(live, failed).reason).toBe(why);
});
