/** Checks that the page's status of run, workers and tab follows from the last message and the time since. */
import { bytesOf, type ProgressMessage } from '@lockstep/protocol';
import type { ActiveState, TabState } from '@lockstep/worker/browser';
import { describe, expect, it } from 'vitest';
import type { WatchedEpoch } from '../src/watch/curves.ts';
import { RunStore } from '../src/watch/run-store.ts';
import type { ViewerConnection, WorkerRow } from '../src/watch/status.ts';
import {
  idleTexts,
  quietMs,
  type Received,
  type ShownWorker,
  type Status,
  shownWorker,
  statusOf,
  tabStatusOf,
} from '../src/watch/status.ts';

const none = bytesOf(new Float32Array());
const progress = (phase: ProgressMessage['phase'], more: Partial<ProgressMessage> = {}): ProgressMessage => ({
  type: 'progress',
  phase,
  pauseRequested: false,
  step: 1,
  epoch: 1,
  imagesPerSecond: 0,
  points: { steps: none, seconds: none, losses: none },
  ...more,
});
const connecting: ViewerConnection = { phase: 'connecting' };
const live: ViewerConnection = { phase: 'live' };
const lost: ViewerConnection = { phase: 'lost', reason: 'the coordinator does not answer' };
const refused = (given: 'nothing' | 'token' | 'admitted'): ViewerConnection => ({
  phase: 'refused',
  reason: 'no',
  given,
});
const why = 'training has diverged; try a smaller learning rate';
const failed = progress('failed', { ending: { type: 'failed', message: why } });
const stopped = progress('failed', { ending: { type: 'stopped', message: 'stopped by its owner' } });
const training = progress('training');
const heard = { silentMs: 0 };
const quiet = { silentMs: quietMs + 7_400 };
const offline = { isOnline: false };
const forData = { waitsForData: true };

function received(connection: ViewerConnection, shown: ProgressMessage | undefined, more: Partial<Received>): Received {
  return { connection, progress: shown, waitsForData: false, silentMs: 0, isOnline: true, ...more };
}

type Row = [
  ViewerConnection,
  ProgressMessage | undefined,
  Partial<Received>,
  Status['name'],
  string,
  'now' | 'before',
  reason?: RegExp,
];

/** Connection, last progress, silence, network; then the expected status, title, whether it is current, reason. */
const rows: Readonly<Record<string, Row>> = {
  'nothing known': [connecting, undefined, heard, 'connecting', 'Connecting', 'before'],
  'nothing known for long': [
    connecting,
    undefined,
    quiet,
    'silent',
    'Coordinator silent',
    'before',
    /nothing for 12 s/,
  ],
  'never reached': [lost, undefined, heard, 'gone', 'Not connected', 'before', /^Not connected: .*Trying again …$/],
  'waiting for data': [live, undefined, forData, 'waiting', 'Waiting for data', 'now'],
  'waiting for data, silent': [
    live,
    undefined,
    { ...forData, ...quiet },
    'silent',
    'Coordinator silent',
    'before',
    /s:/,
  ],
  'waiting for workers': [live, progress('waiting'), heard, 'waiting', 'Waiting for workers', 'now'],
  'waiting for its owner': [
    live,
    progress('waiting', { pauseRequested: true }),
    heard,
    'waiting',
    'Waiting for start',
    'now',
  ],
  training: [live, training, heard, 'training', 'Training', 'now'],
  'training, silent for less than the limit': [
    live,
    training,
    { silentMs: quietMs - 1 },
    'training',
    'Training',
    'now',
  ],
  'training, silent': [
    live,
    training,
    quiet,
    'silent',
    'Coordinator silent',
    'before',
    /nothing for 12 s: it or the network may be frozen/,
  ],
  'training, silent on a second connection': [
    connecting,
    training,
    quiet,
    'silent',
    'Coordinator silent',
    'before',
    /frozen/,
  ],
  'training, coordinator gone': [lost, training, heard, 'gone', 'Connection lost', 'before', /does not answer/],
  'training, coordinator gone for long': [lost, training, quiet, 'gone', 'Connection lost', 'before', /Trying again/],
  'training, another run begins': [connecting, training, heard, 'connecting', 'Reconnecting', 'before'],
  'training, no network': [lost, training, offline, 'offline', 'No network', 'before', /^This device has no network/],
  'training on this machine without a network': [live, training, offline, 'training', 'Training', 'now'],
  'training, no network, silent': [
    live,
    training,
    { ...offline, ...quiet },
    'offline',
    'No network',
    'before',
    /no net/,
  ],
  paused: [live, progress('paused', { pauseRequested: true }), heard, 'paused', 'Paused', 'now'],
  'paused, silent': [live, progress('paused'), quiet, 'silent', 'Coordinator silent', 'before', /frozen/],
  'without workers': [live, progress('paused'), heard, 'paused', 'Paused: no workers', 'now'],
  'no code given': [refused('nothing'), undefined, heard, 'locked', 'Code needed', 'before'],
  'wrong code': [refused('token'), undefined, heard, 'wrong-code', 'Wrong code', 'before', /^No\.$/],
  'wrong code of a new server': [
    refused('token'),
    progress('finished'),
    quiet,
    'wrong-code',
    'Wrong code',
    'before',
    /^No/,
  ],
  'shut out later': [
    refused('admitted'),
    training,
    heard,
    'refused',
    'Not connected',
    'before',
    /^Not connected: no\.$/,
  ],
  finished: [live, progress('finished'), heard, 'finished', 'Finished', 'now'],
  'finished, coordinator gone': [lost, progress('finished'), quiet, 'finished', 'Finished', 'now'],
  'finished, no network': [lost, progress('finished'), offline, 'finished', 'Finished', 'now'],
  stopped: [live, stopped, heard, 'stopped', 'Stopped', 'now', /^Stopped by its owner\.$/],
  failed: [live, failed, heard, 'failed', 'Failed', 'now', /^Training has diverged; try a smaller learning rate\.$/],
  'failed, coordinator gone': [lost, failed, quiet, 'failed', 'Failed', 'now', /^Training has diverged/],
};

it.each(Object.entries(rows))('%s', (_, [connection, shown, more, name, title, holds, reason]) => {
  const status = statusOf(received(connection, shown, more));
  expect(status).toMatchObject({ name, title, isCurrent: holds === 'now' });
  if (reason) expect(status.reason).toMatch(reason);
  else expect(status.reason).toBeUndefined();
});

it('is never said to train by a coordinator that is silent, gone or has not let the page in', () => {
  for (const [connection, shown, more] of Object.values(rows)) {
    for (const unknown of [received(lost, shown, more), received(refused('token'), shown, more)]) {
      expect(statusOf(unknown).name).not.toBe('training');
    }
    expect(statusOf(received(connection, shown, { ...more, ...quiet })).name).not.toBe('training');
  }
});

it('is waiting for data from the message that asks for it to the first of a run', () => {
  const store = new RunStore();
  store.connection.value = live;
  const titles = [
    { type: 'dataSetup', phase: 'empty', receivedBytes: 0, totalBytes: 0 },
    { type: 'run', config: { optimizer: null } },
    progress('waiting'),
  ].map((message) => {
    store.apply(message as Parameters<RunStore['apply']>[0]);
    return store.status.value.title;
  });
  expect(titles).toEqual(['Waiting for data', 'Connecting', 'Waiting for workers']);
});

const worker: WorkerRow = {
  ...{ id: 'w1', name: 'tab', kind: 'browser', backend: 'cpu', threads: 1, phase: 'ready', hidden: false },
  ...{ share: 1, shards: 3, samples: 96, computeMs: 1, sendMs: 1, waitMs: 1, health: 'good', samplesPerSecond: 900 },
};
const idle = (reason: NonNullable<WorkerRow['idle']>): WorkerRow => ({ ...worker, health: 'idle', idle: reason });
const runs = Object.fromEntries(
  Object.entries(rows).map(([name, [connection, shown, more]]) => [name, statusOf(received(connection, shown, more))]),
);
const run = (name: keyof typeof rows): Status => runs[name]!;

it('the epoch is that of the newest report, even if it arrives before its progress', () => {
  const store = new RunStore();
  store.apply(training);
  store.apply({ type: 'epoch', report: { epoch: 4 } as WatchedEpoch });
  expect(store.progress.value?.epoch).toBe(4);
  store.apply({ type: 'epoch', report: { epoch: 3 } as WatchedEpoch });
  expect(store.progress.value?.epoch).toBe(4);
});

describe('a worker in the table', () => {
  it.each(Object.keys(rows))('is good only while the run is known: %s', (name) => {
    const { isCurrent } = run(name);
    for (const row of [worker, idle('slow'), { ...worker, health: 'late' as const }]) {
      expect(shownWorker(row, run(name)).health).toBe(isCurrent ? row.health : 'unknown');
    }
    for (const health of ['gone', 'finished'] as const) {
      expect(shownWorker({ ...worker, health }, run(name)).health).toBe(health);
    }
  });
});

describe('this tab', () => {
  const active = (phase: ActiveState['phase']): TabState => ({
    ...{ phase, resumeKey: undefined, reasons: [], shards: 0, samples: 0, computeMs: 0 },
  });
  const computing = active('computing');

  it.each<[string, TabState, string, ShownWorker | undefined, string, string]>([
    ['has not joined', { phase: 'watching' }, 'training', undefined, 'watching', 'watching'],
    ['has left', { phase: 'ended', end: 'left', message: 'left' }, 'training', undefined, 'ended', 'left'],
    ['opens its backend', active('opening'), 'training', undefined, 'starting', 'opening'],
    ['joins', active('joining'), 'waiting for workers', undefined, 'starting', 'joining'],
    ['reconnects', active('reconnecting'), 'training, coordinator gone', worker, 'starting', 'reconnecting'],
    ['computes', computing, 'training', worker, 'computing', 'computing'],
    ['before the start', computing, 'waiting for its owner', worker, 'resting', 'ready'],
    ['while paused', computing, 'paused', worker, 'resting', 'paused'],
    ['without work', computing, 'training', idle('outnumbered'), 'resting', 'resting: enough workers'],
    ['takes turns', computing, 'training', idle('rotation'), 'resting', 'resting: takes turns'],
    ['of a silent coordinator', computing, 'training, silent', worker, 'starting', 'waiting for the coordinator'],
    ['of one that is gone', computing, 'training, coordinator gone', worker, 'starting', 'waiting for the coordinator'],
    ['after the run', computing, 'finished', worker, 'resting', 'waiting for the next run'],
    ['after a run that failed', active('reconnecting'), 'failed', worker, 'resting', 'waiting for the next run'],
  ])('%s', (_, tab, runName, row, name, title) => {
    expect(tabStatusOf(tab, run(runName), row)).toEqual({ name, title });
  });

  it("has a status that fits next to its card's title at every width", () => {
    for (const text of Object.values(idleTexts)) expect(`resting: ${text}`.length, text).toBeLessThan(28);
  });

  it('is computing in no state but training', () => {
    for (const name of Object.keys(rows)) {
      const status = tabStatusOf(computing, run(name), worker);
      expect(status.name === 'computing', name).toBe(run(name).name === 'training');
    }
  });
});
