import { EventEmitter } from 'node:events';
import { decodeWatch, floatsFrom, type WatchMessageFrom } from '@lockstep/protocol';
import { defaultLimits, planRun, type StepResult, type Trace } from '@lockstep/training';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { WebSocket } from 'ws';
import { createCurves, type PointBytes } from '../src/dashboard/curves.ts';
import { createPace } from '../src/dashboard/pace.ts';
import { workerRows } from '../src/dashboard/rows.ts';
import { createSpeed } from '../src/dashboard/speed.ts';
import { createTimeline } from '../src/dashboard/timeline.ts';
import { type CoordinatorWatchMessage, createViewers } from '../src/dashboard/viewers.ts';

const listsOf = ({ steps, losses, accuracies }: PointBytes) => ({
  steps: [...floatsFrom(steps)],
  losses: [...floatsFrom(losses)],
  accuracies: [...floatsFrom(accuracies)],
});

const stepOf = (step: number, loss: number, correct = 1, count = 2): StepResult => ({
  step,
  epoch: 0,
  loss,
  correct,
  count,
});

describe('curves', () => {
  it('have a point for each step, weighed by its samples where points are joined', () => {
    const curves = createCurves();
    curves.add(stepOf(0, 4, 1, 4));
    curves.add(stepOf(1, 2, 3, 4));
    expect(listsOf(curves.all())).toEqual({ steps: [1, 2], losses: [4, 2], accuracies: [0.25, 0.75] });
    expect([curves.loss, curves.accuracy]).toEqual([4 + 0.05 * -2, 0.25 + 0.05 * 0.5]);
  });

  it('stay bounded however long the run, keep the mean of all samples, and their steps in order', () => {
    const curves = createCurves();
    const steps = 40_000;
    for (let step = 0; step < steps; step++) curves.add(stepOf(step, step % 7, step % 3, 2));
    const { steps: at, losses } = listsOf(curves.all());
    expect(at.length).toBeGreaterThan(900);
    expect(at.length).toBeLessThan(2_000);
    for (let index = 1; index < at.length; index++) expect(at[index]!).toBeGreaterThan(at[index - 1]!);
    expect(steps - at.at(-1)!).toBeLessThan(64);
    const mean = losses.reduce((sum, loss) => sum + loss, 0) / losses.length;
    expect(mean).toBeCloseTo(3, 1);
  });

  it('give what is new once, and bounded where nobody takes it', () => {
    const curves = createCurves();
    for (let step = 0; step < 3; step++) curves.add(stepOf(step, 1));
    expect(listsOf(curves.takeNew()).steps).toEqual([1, 2, 3]);
    expect(listsOf(curves.takeNew()).steps).toEqual([]);
    curves.add(stepOf(3, 1));
    expect(listsOf(curves.takeNew()).steps).toEqual([4]);
    for (let step = 4; step < 50_000; step++) curves.add(stepOf(step, 1));
    expect(listsOf(curves.takeNew()).steps.length).toBeLessThanOrEqual(2_000);
  });
});

/** Within a tenth: the window's edges are marks that lie up to a fifth of a second apart. */
function expectNear(value: number, expected: number): void {
  expect(Math.abs(value - expected)).toBeLessThan(expected / 10);
}

describe('speed', () => {
  it('is that of the last few seconds, and falls to 0 where nothing happens', () => {
    let now = 0;
    const speed = createSpeed(() => now);
    expect(speed.perSecond()).toBe(0);
    for (; now < 10_000; now += 100) speed.add(10);
    expectNear(speed.perSecond(), 100);
    for (; now < 20_000; now += 100) speed.add(40);
    expectNear(speed.perSecond(), 400);
    expect(speed.images).toBe(100 * 10 + 100 * 40);
    now += 60_000;
    expect(speed.perSecond()).toBe(0);
  });
});

describe('the picture of a step', () => {
  const asked = (workerId: string, atMs: number, step = 0): Trace => ({ type: 'asked', workerId, step, atMs });
  const answered = (workerId: string, atMs: number, computeMs: number, turnaroundMs?: number, step = 0): Trace => ({
    type: 'answered',
    workerId,
    step,
    arrivedAtMs: atMs,
    atMs,
    count: 1,
    computeMs,
    turnaroundMs,
  });

  it('shows what each worker spent it on', () => {
    const timeline = createTimeline();
    expect(timeline.last()).toBeUndefined();
    for (const trace of [
      asked('a', 100),
      asked('b', 101),
      answered('a', 130, 18, 20),
      answered('b', 171, 50, 50),
      { type: 'whole', step: 0, atMs: 171 } as const,
    ]) {
      timeline.trace(trace);
    }
    expect(timeline.last()).toEqual({
      step: 0,
      durationMs: 71,
      rows: [
        {
          workerId: 'a',
          spans: [
            { kind: 'receive', fromMs: 0, toMs: 5 },
            { kind: 'wait', fromMs: 5, toMs: 7 },
            { kind: 'compute', fromMs: 7, toMs: 25 },
            { kind: 'send', fromMs: 25, toMs: 30 },
            { kind: 'wait', fromMs: 30, toMs: 71 },
          ],
        },
        {
          workerId: 'b',
          spans: [
            { kind: 'wait', fromMs: 0, toMs: 1 },
            { kind: 'receive', fromMs: 1, toMs: 11 },
            { kind: 'compute', fromMs: 11, toMs: 61 },
            { kind: 'send', fromMs: 61, toMs: 71 },
          ],
        },
      ],
    });
    expect(timeline.means('a')).toMatchObject({ computeMs: 18, sendMs: 10, waitMs: 43 });
    expect(timeline.means('nobody')).toEqual({ computeMs: 0, sendMs: 0, waitMs: 0 });
  });

  it('keeps within the step, in order, and bounded, whatever workers say', () => {
    const time = fc.double({ min: 0, max: 1e4, noNaN: true });
    const claim = fc.oneof(time, fc.constantFrom(0, 1e300, Number.MAX_VALUE));
    const event = fc.oneof(
      fc.record({ type: fc.constant('asked' as const), who: fc.nat(90), step: fc.nat(2), wait: time }),
      fc.record({
        type: fc.constant('answered' as const),
        who: fc.nat(90),
        step: fc.nat(2),
        wait: time,
        computeMs: claim,
        pauseRequested: fc.option(claim, { nil: undefined }),
      }),
      fc.record({ type: fc.constant('whole' as const), step: fc.nat(2), wait: time }),
    );
    fc.assert(
      fc.property(fc.array(event, { maxLength: 300, size: 'max' }), (events) => {
        const timeline = createTimeline();
        let atMs = 0;
        for (const each of events) {
          atMs += each.wait / 1000;
          if (each.type === 'asked') timeline.trace(asked(`w${each.who}`, atMs, each.step));
          else if (each.type === 'whole') timeline.trace({ type: 'whole', step: each.step, atMs });
          else timeline.trace(answered(`w${each.who}`, atMs, each.computeMs, each.pauseRequested, each.step));
        }
        const last = timeline.last();
        if (!last) return;
        expect(last.rows.length).toBeLessThanOrEqual(64);
        for (const { spans } of last.rows) {
          expect(spans.length).toBeLessThanOrEqual(64);
          let cursor = 0;
          for (const { fromMs, toMs } of spans) {
            expect(fromMs).toBeGreaterThanOrEqual(cursor);
            expect(toMs).toBeGreaterThan(fromMs);
            cursor = toMs;
          }
          expect(cursor).toBeLessThanOrEqual(last.durationMs);
        }
      }),
      { numRuns: 200 },
    );
  });
});

describe('the table of workers', () => {
  it('has who is here and then who has gone, not more than a message holds', () => {
    const plan = planRun({ samples: 64, batch: 16, epochs: 1 });
    const ids = Array.from({ length: 400 }, (_, index) => `w${index + 1}`);
    const record = (id: string, index: number) => ({
      id,
      resumeKey: `secret-${id}`,
      name: `name ${id}`,
      kind: 'node' as const,
      backend: 'cpu',
      numericMode: 'a',
      threads: 1,
      shards: 1,
      samples: 10,
      computeMs: 1,
      readyMs: 1,
      leftAtMs: index % 10 === 0 ? index : undefined,
    });
    const here = ids.filter((_, index) => index % 10 !== 0);
    const rows = workerRows(
      {
        setup: { plan, model: {}, seed: 1, limits: defaultLimits, startWorkers: 1, startWithinMs: 1 },
        phase: 'training',
        pauseRequested: false,
        startRequested: false,
        connections: new Map(
          here.map((workerId, connection) => [
            connection,
            {
              connection,
              phase: 'ready',
              resumeKey: '',
              workerId,
              openedAtMs: 0,
              lastMessageAtMs: 0,
              pingedAtMs: 0,
              readyAtMs: 0,
              samplesPerMs: 2,
              weightsStep: 0,
              cachesSamples: false,
              answerByMs: connection === 0 ? 5 : undefined,
              hidden: connection === 1,
              taskErrors: 0,
            },
          ]),
        ),
        records: new Map(ids.map((id, index) => [id, record(id, index)])),
        joined: 400,
        current: { step: 0, shards: new Map() },
        faults: { reassigned: 0, duplicated: 0, rejected: 0, disconnects: 0 },
        contributed: new Set(),
      },
      () => ({ computeMs: 1, sendMs: 2, waitMs: 3 }),
    );
    expect(rows).toHaveLength(256 + 20);
    expect(rows[0]).toMatchObject({ id: 'w2', health: 'late', share: 10 / 4000, samplesPerSecond: 2000, sendMs: 2 });
    expect(rows[1]).toMatchObject({ id: 'w3', health: 'good', hidden: true });
    // The last to go first.
    expect(rows[256]).toMatchObject({ id: 'w391', health: 'gone', phase: 'gone', samplesPerSecond: 0 });
    expect(JSON.stringify(rows)).not.toContain('secret');
  });
});

describe('the pace of telling', () => {
  const setUp = () => {
    let now = 0;
    const pace = createPace({ nowMs: () => now, part: 0.02, mostMs: 2_000 });
    /** Tries every 100 ms, as the dashboard does; returns how often it told and what part of the time that took. */
    const during = (untilMs: number, costMs: number): [times: number, part: number] => {
      const startedAtMs = now;
      let [times, spentMs] = [0, 0];
      for (; now < untilMs; now += 100) {
        if (!pace.isDue()) continue;
        pace.spend(() => (now += costMs));
        times += 1;
        spentMs += costMs;
      }
      return [times, spentMs / (now - startedAtMs)];
    };
    return { pace, during, wait: (ms: number) => (now += ms) };
  };

  it('is ten times a second where it costs little', () => {
    expect(setUp().during(10_000, 0.5)[0]).toBeGreaterThan(98);
  });

  it.each([2, 5, 10, 30])('takes two hundredths of the time where it costs %i ms', (costMs) => {
    const [times, part] = setUp().during(100_000, costMs);
    expect(times).toBeGreaterThan(50);
    expect(part).toBeLessThanOrEqual(0.021);
  });

  it('is once in two seconds at least, whatever it costs', () => {
    expect(setUp().during(30_000, 500)[0]).toBeGreaterThan(9);
  });

  it('waits for what was told in between as well', () => {
    const { pace, wait } = setUp();
    pace.spend(() => wait(2));
    pace.spend(() => wait(2));
    wait(190);
    expect(pace.isDue()).toBe(false);
    wait(10);
    expect(pace.isDue()).toBe(true);
  });
});

/** The server's end of a viewer's socket, whose queue drains when the test says so. */
class FakeSocket extends EventEmitter {
  readyState = 1;
  bufferedAmount = 0;
  reads = true;
  sent: WatchMessageFrom<'coordinator'>[] = [];
  frames: Uint8Array[] = [];
  terminated = false;
  closedWith: number | undefined;

  send(frame: Uint8Array): void {
    this.sent.push(decodeWatch(frame, 'coordinator'));
    this.frames.push(frame);
    if (!this.reads) this.bufferedAmount += frame.byteLength;
  }

  close(code: number): void {
    this.closedWith = code;
  }

  terminate(): void {
    this.terminated = true;
  }
}

describe('a viewer that does not keep up', () => {
  const snapshot: readonly CoordinatorWatchMessage[] = [{ type: 'event', message: 'everything' }];
  const large = (step: number): CoordinatorWatchMessage => ({
    type: 'weights',
    step,
    bytes: new Uint8Array(100 * 1024),
  });

  function setUp() {
    let now = 0;
    const viewers = createViewers({ nowMs: () => now, snapshot: () => snapshot, onMessage: () => {} });
    const add = (reads: boolean): FakeSocket => {
      const socket = new FakeSocket();
      socket.reads = reads;
      viewers.add(socket as unknown as WebSocket);
      return socket;
    };
    return { viewers, add, wait: (ms: number) => (now += ms) };
  }

  it('costs a bounded number of bytes, and the others nothing', () => {
    const { viewers, add } = setUp();
    const [slow, good] = [add(false), add(true)];
    for (let step = 0; step < 1_000; step++) {
      viewers.broadcast(large(step));
      viewers.tend();
    }
    expect(slow.bufferedAmount).toBeLessThan(400 * 1024);
    expect(slow.sent.length).toBeLessThan(6);
    expect(good.sent).toHaveLength(1_001);
  });

  it('is one of many: an update is encoded once for all, and not at all where nobody keeps up', () => {
    const { viewers, add } = setUp();
    const sockets = Array.from({ length: 200 }, () => add(false));
    const encoded = (): Set<Uint8Array> => new Set(sockets.flatMap(({ frames }) => frames.slice(1)));
    viewers.broadcast(large(0));
    expect(encoded().size).toBe(1);
    for (let step = 1; step < 1_000; step++) viewers.broadcast(large(step));
    expect(viewers.listening).toBe(false);
    expect(encoded().size).toBe(sockets[0]!.frames.length - 1);
    expect(viewers.queuedBytes).toBeLessThan(200 * 400 * 1024);
    // All of them drain at once, and get the same bytes.
    for (const socket of sockets) socket.bufferedAmount = 0;
    const before = encoded().size;
    viewers.tend();
    expect(encoded().size).toBe(before + snapshot.length);
  });

  it('gets everything anew when it has drained, and nothing in between', () => {
    const { viewers, add } = setUp();
    const slow = add(false);
    for (let step = 0; step < 5; step++) viewers.broadcast(large(step));
    const before = slow.sent.length;
    slow.bufferedAmount = 10;
    viewers.tend();
    viewers.broadcast(large(9));
    expect(slow.sent).toHaveLength(before);
    slow.bufferedAmount = 0;
    slow.reads = true;
    viewers.tend();
    viewers.broadcast(large(10));
    expect(slow.sent.slice(before)).toEqual([...snapshot, large(10)]);
  });

  it('is cut after half a minute, so that it does not take a place for ever', () => {
    const { viewers, add, wait } = setUp();
    const slow = add(false);
    for (let step = 0; step < 5; step++) viewers.broadcast(large(step));
    wait(30_000);
    viewers.tend();
    expect(slow.terminated).toBe(false);
    wait(1);
    viewers.tend();
    expect(slow.terminated).toBe(true);
    slow.emit('close');
    expect(viewers.size).toBe(0);
  });
});
