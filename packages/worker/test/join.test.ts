import type { Compute } from '@lockstep/compute';
import type { CoordinatorTransport, MessageOf, WorkerTransport } from '@lockstep/protocol';
import { memoryPair } from '@lockstep/protocol';
import { describe, expect, it } from 'vitest';
import { WorkerLines } from '../../../apps/worker/src/worker-lines.ts';
import { runWorker } from '../src/join.ts';
import { JoinedWorker } from '../src/joined-worker.ts';

const compute: Compute = {
  backend: 'cpu',
  numericMode: 'any',
  threads: 1,
  open: async () => {},
  setWeights() {},
  gradient: () => Promise.reject(new Error('expected no shard')),
  close: async () => {},
};

/** The error of `connect` if no coordinator listens. */
const refusedConnection = 'nothing answers there (connection refused)';

type Visit = (coordinator: CoordinatorTransport, hello: MessageOf<'hello'>) => void;

/**
 * A worker that joins one coordinator after another; each plays one visit. Waits between visits end at once, and their
 * lengths are recorded; timers during a visit never fire.
 */
function setUp(visits: readonly (Visit | 'no coordinator')[], extra: { waitForCoordinator?: boolean } = {}) {
  const leaving = new AbortController();
  const logged: string[] = [];
  const hellos: MessageOf<'hello'>[] = [];
  const waitsMs: number[] = [];
  let attempts = 0;
  let isBetween = true;
  let onWait = (): boolean => true;

  const connect = async (): Promise<WorkerTransport> => {
    const visit = visits[attempts];
    attempts += 1;
    if (visit === undefined) throw new Error('expected no further attempt');
    if (visit === 'no coordinator') throw new Error(refusedConnection);
    isBetween = false;
    const pair = memoryPair({ schedule: (deliver) => setImmediate(deliver) });
    pair.coordinator.listen({
      onMessage(message) {
        if (message.type !== 'hello') return;
        hellos.push(message);
        visit(pair.coordinator, message);
      },
      onClose() {},
    });
    const { worker } = pair;
    const listen = worker.listen.bind(worker);
    worker.listen = ({ onMessage, onClose }) =>
      listen({
        onMessage,
        onClose(closing) {
          isBetween = true;
          onClose(closing);
        },
      });
    return worker;
  };

  const options = {
    compute,
    clock: {
      nowMs: () => 0,
      after(delayMs: number, callback: () => void) {
        if (!isBetween) return () => {};
        waitsMs.push(delayMs);
        if (onWait()) setImmediate(callback);
        return () => {};
      },
    },
    identity: { kind: 'node', name: 'tester' } as const,
    hash: () => '0'.repeat(64),
    connect,
    ...extra,
  };
  const worker = new JoinedWorker((context) => runWorker(options, context), leaving.signal);
  const lines = new WorkerLines(0, Number.POSITIVE_INFINITY);
  lines.of({ type: 'opened', backend: 'cpu', threads: 1, reasons: ['computing on cpu'] }, 0);
  const log = async (): Promise<void> => {
    for await (const event of worker) logged.push(...lines.of(event, 0));
  };
  const ended = log().then(() => worker.done);
  return {
    ended,
    logged,
    hellos,
    waitsMs,
    attempts: () => attempts,
    leave: () => leaving.abort(),
    /** Called when the worker begins to wait; the wait ends by itself if it returns true. */
    whenWaiting(callback: () => boolean) {
      onWait = callback;
    },
  };
}

function welcome(coordinator: CoordinatorTransport, resumeKey: string): void {
  const limits = { model: {}, microbatchSize: 16, heartbeatMs: 1000, maxFrameBytes: 1000, chunkBytes: 256 };
  const types = { sampleType: 'u8', targetType: 'classes' } as const;
  coordinator.send({ type: 'welcome', id: 'w1', resumeKey, ...limits, sampleShape: [1], ...types });
}

const lose: Visit = (coordinator) => {
  welcome(coordinator, 'the key');
  coordinator.close(1001, 'the machine sleeps');
};

const finish: Visit = (coordinator) => {
  welcome(coordinator, 'the key');
  coordinator.send({ type: 'finish', message: 'the run is finished' });
  coordinator.close(1000, 'the run is finished');
};

const refuse =
  (refusal: Omit<MessageOf<'refuse'>, 'type'>): Visit =>
  (coordinator) => {
    coordinator.send({ type: 'refuse', ...refusal });
    coordinator.close(1008, refusal.message);
  };

const joined = 'joined as w1, computing on cpu';
const finished = { type: 'finished', message: 'the run is finished' };

describe('a worker', () => {
  it.each<[what: string, visits: Parameters<typeof setUp>[0], end: object, logged: string[], waits?: boolean]>([
    ['stays until the run is over', [finish], finished, [joined]],
    [
      'ends unreachable, without a second attempt, if its first one fails',
      ['no coordinator'],
      { reason: 'unreachable', message: refusedConnection },
      [],
    ],
    [
      'waits for its first coordinator if it was asked to, and says so once',
      ['no coordinator', 'no coordinator', finish],
      finished,
      [`${refusedConnection}; waiting for it (Ctrl-C to stop)`, joined],
      true,
    ],
    [
      'ends with the message of a final refusal',
      [refuse({ code: 'token', message: 'the token is wrong' })],
      { reason: 'refused', message: 'the token is wrong' },
      [],
    ],
    [
      'comes back after a temporary refusal',
      [refuse({ code: 'full', message: 'the run is full', retryAfterMs: 30_000 }), finish],
      finished,
      ['the run is full; trying again', joined],
    ],
  ])('%s', async (_what, visits, end, lines, waitForCoordinator = false) => {
    const { ended, logged, attempts, waitsMs } = setUp(visits, { waitForCoordinator });
    expect(await ended.catch((error: unknown) => error)).toMatchObject(end);
    expect(logged).toEqual(lines);
    expect(attempts()).toBe(visits.length);
    // A temporary refusal names the time.
    if (lines[0]?.startsWith('the run is full')) expect(waitsMs[0]).toBe(30_000);
  });

  it('comes back with its resume key after a lost connection, and waits longer after each failure', async () => {
    const none = 'no coordinator';
    const { ended, logged, hellos, waitsMs } = setUp([lose, none, none, none, finish]);
    expect(await ended).toMatchObject({ type: 'finished' });
    expect(hellos.map(({ resumeKey }) => resumeKey)).toEqual([undefined, 'the key']);
    expect(logged).toEqual([
      joined,
      'the machine sleeps; trying again',
      `${refusedConnection}; the run is over or the coordinator is down; waiting for the coordinator to return (Ctrl-C to stop)`,
      'back as w1',
    ]);
    expect(waitsMs).toHaveLength(4);
    for (const [index, waitMs] of waitsMs.entries()) {
      expect(waitMs).toBeGreaterThanOrEqual(250 * 2 ** index);
      expect(waitMs).toBeLessThanOrEqual(500 * 2 ** index);
    }
  });

  it('comes back to a coordinator that is away for long, and tries at least every 15 s until then', async () => {
    const { ended, logged, waitsMs } = setUp([lose, ...new Array<'no coordinator'>(60).fill('no coordinator'), finish]);
    expect(await ended).toMatchObject({ type: 'finished' });
    expect(logged.at(-1)).toBe('back as w1');
    expect(Math.max(...waitsMs)).toBeLessThanOrEqual(15_000);
    expect(waitsMs.reduce((sum, waitMs) => sum + waitMs)).toBeGreaterThan(6 * 60_000);
  });

  it('waits shortly again after it was welcomed', async () => {
    const { ended, waitsMs } = setUp([lose, 'no coordinator', 'no coordinator', lose, finish]);
    await ended;
    expect(waitsMs).toHaveLength(4);
    expect(waitsMs[3]).toBeLessThanOrEqual(500);
  });

  it('says goodbye if it is told to leave', async () => {
    let visits = 0;
    const { ended, leave, attempts } = setUp([
      (coordinator) => {
        welcome(coordinator, 'the key');
        leave();
        visits += 1;
      },
    ]);
    expect(await ended).toEqual({ type: 'left', message: 'tester leaves' });
    expect([visits, attempts()]).toEqual([1, 1]);
  });

  it('stops waiting if it is told to leave', async () => {
    const { ended, leave, whenWaiting, attempts } = setUp([lose, finish]);
    whenWaiting(() => {
      setImmediate(leave);
      return false;
    });
    expect(await ended).toEqual({ type: 'left', message: 'left' });
    expect(attempts()).toBe(1);
  });
});
