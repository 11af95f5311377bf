import {
  type CoordinatorTransport,
  type MessageOf,
  memoryPair,
  openChecksum,
  type WorkerTransport,
} from '@lockstep/protocol';
import type { Compute } from '@lockstep/training';
import { beforeAll, describe, expect, it } from 'vitest';
import { type JoinEnd, join } from '../src/join.ts';

const compute: Compute = {
  backend: 'cpu',
  numericMode: 'any',
  threads: 1,
  open: async () => {},
  setWeights() {},
  gradient: () => Promise.reject(new Error('expected no shard')),
  close: async () => {},
};

let checksum: (bytes: Uint8Array) => number;

beforeAll(async () => {
  checksum = await openChecksum();
});

/** Nobody is there: what `connect` would say. */
const nobody = 'nothing answers there (connection refused)';

type Visit = (coordinator: CoordinatorTransport, hello: MessageOf<'hello'>) => void;

/**
 * A worker that joins coordinators which do as each visit says, or are not there. Waits end at once; their lengths are
 * noted. Heartbeats are looked after elsewhere, so that other timers never ring.
 */
function setUp(visits: readonly (Visit | 'nobody')[]) {
  const leaving = new AbortController();
  const said: string[] = [];
  const hellos: MessageOf<'hello'>[] = [];
  const waitsMs: number[] = [];
  let attempts = 0;
  let isBetween = true;
  let onWait = (): boolean => true;

  const connect = async (): Promise<WorkerTransport> => {
    const visit = visits[attempts];
    attempts += 1;
    if (visit === undefined) throw new Error('expected no further attempt');
    if (visit === 'nobody') throw new Error(nobody);
    isBetween = false;
    const pair = memoryPair({ schedule: (deliver) => setImmediate(deliver) });
    pair.coordinator.listen({
      onMessage(message) {
        if (message.type !== 'hello') return;
        hellos.push(message);
        visit(pair.coordinator, message);
      },
      onClose() {
        isBetween = true;
      },
    });
    return pair.worker;
  };

  const ended: Promise<JoinEnd> = join({
    compute,
    choice: 'computing on cpu',
    clock: {
      nowMs: () => 0,
      after(delayMs, callback) {
        if (!isBetween) return () => {};
        waitsMs.push(delayMs);
        if (onWait()) setImmediate(callback);
        return () => {};
      },
    },
    name: 'tester',
    token: undefined,
    checksum,
    hash: () => '0'.repeat(64),
    connect,
    signal: leaving.signal,
    say: (message) => said.push(message),
  });
  return {
    ended,
    said,
    hellos,
    waitsMs,
    attempts: () => attempts,
    leave: () => leaving.abort(),
    /** Called when the worker begins to wait; says whether that wait ends by itself. */
    whenWaiting(callback: () => boolean) {
      onWait = callback;
    },
  };
}

function welcome(coordinator: CoordinatorTransport, resumeKey: string): void {
  const limits = { model: {}, microbatchSize: 16, heartbeatMs: 1000, maxFrameBytes: 1000 };
  coordinator.send({ type: 'welcome', id: 'w1', resumeKey, ...limits });
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

describe('a worker', () => {
  it('takes part until the run is over', async () => {
    const { ended, said, attempts } = setUp([finish]);
    expect(await ended).toEqual({ type: 'finished', message: 'the run is finished' });
    expect(said).toEqual(['joined as w1, computing on cpu']);
    expect(attempts()).toBe(1);
  });

  it('that reaches nobody at first says so and does not try again', async () => {
    const { ended, attempts } = setUp(['nobody']);
    expect(await ended).toEqual({ type: 'unreachable', message: nobody });
    expect(attempts()).toBe(1);
  });

  it('that lost its coordinator comes back with its key, waiting longer each time it fails', async () => {
    const { ended, said, hellos, waitsMs } = setUp([lose, 'nobody', 'nobody', 'nobody', finish]);
    expect(await ended).toMatchObject({ type: 'finished' });
    expect(hellos.map(({ resumeKey }) => resumeKey)).toEqual([undefined, 'the key']);
    expect(said).toEqual(['joined as w1, computing on cpu', 'the machine sleeps; trying again', 'back as w1']);
    expect(waitsMs).toHaveLength(4);
    for (const [index, waitMs] of waitsMs.entries()) {
      expect(waitMs).toBeGreaterThanOrEqual(250 * 2 ** index);
      expect(waitMs).toBeLessThanOrEqual(500 * 2 ** index);
    }
  });

  it('begins again with short waits once it was welcome', async () => {
    const { ended, waitsMs } = setUp([lose, 'nobody', 'nobody', lose, finish]);
    await ended;
    expect(waitsMs).toHaveLength(4);
    expect(waitsMs[3]).toBeLessThanOrEqual(500);
  });

  it('that is refused for good ends with the sentence', async () => {
    const { ended, said, attempts } = setUp([
      (coordinator) => {
        coordinator.send({ type: 'refuse', code: 'token', message: 'the token is wrong' });
        coordinator.close(1008, 'the token is wrong');
      },
    ]);
    expect(await ended).toEqual({ type: 'refused', code: 'token', message: 'the token is wrong' });
    expect(said).toEqual([]);
    expect(attempts()).toBe(1);
  });

  it('that is refused for now comes back after the time it was told', async () => {
    const { ended, said, waitsMs } = setUp([
      (coordinator) => {
        coordinator.send({ type: 'refuse', code: 'full', message: 'the room is full', retryAfterMs: 30_000 });
        coordinator.close(1008, 'the room is full');
      },
      finish,
    ]);
    expect(await ended).toMatchObject({ type: 'finished' });
    expect(said).toEqual(['the room is full; trying again', 'joined as w1, computing on cpu']);
    expect(waitsMs[0]).toBe(30_000);
  });

  it('that is told to leave says goodbye', async () => {
    const messages: string[] = [];
    const { ended, leave, attempts } = setUp([
      (coordinator) => {
        welcome(coordinator, 'the key');
        leave();
        messages.push('left');
      },
    ]);
    expect(await ended).toEqual({ type: 'finished', message: 'tester leaves' });
    expect(messages).toEqual(['left']);
    expect(attempts()).toBe(1);
  });

  it('that is told to leave while it waits does not wait any longer', async () => {
    const { ended, leave, whenWaiting, attempts } = setUp([lose, finish]);
    whenWaiting(() => {
      setImmediate(leave);
      return false;
    });
    expect(await ended).toEqual({ type: 'finished', message: 'left' });
    expect(attempts()).toBe(1);
  });
});
