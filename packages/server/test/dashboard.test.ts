/** The parts of a dashboard: its share of the time, the table of workers, evaluations, and earlier runs. */
import { classField, classTargets, samplesOf, scaledField } from '@lockstep/data';
import { initialize, parseModel } from '@lockstep/nn';
import { floatsFrom } from '@lockstep/protocol';
import { type Connection, type CoordinatorState, defaultLimits, initialState, planRun } from '@lockstep/rules';
import { openBackend } from '@lockstep/tensor';
import { describe, expect, it } from 'vitest';
import { EvaluationFeed, PauseBudget } from '../src/dashboard.ts';
import { type EarlierRun, EarlierRuns, labelsOf, workerTable } from '../src/messages.ts';

describe('a time budget', () => {
  const setUp = () => {
    let now = 0;
    const budget = new PauseBudget(() => now);
    /** Tries every 100 ms, as the dashboard does; returns how often it did the work, and the share of time spent. */
    const during = (untilMs: number, costMs: number): [times: number, part: number] => {
      const startedAtMs = now;
      let times = 0;
      for (; now < untilMs; now += 100) {
        if (!budget.isDue) continue;
        budget.spend(() => (now += costMs));
        times += 1;
      }
      return [times, (times * costMs) / (now - startedAtMs)];
    };
    return { budget, during, wait: (ms: number) => (now += ms) };
  };

  it('allows ten times a second if that costs little', () => {
    expect(setUp().during(10_000, 0.5)[0]).toBeGreaterThan(98);
  });

  it.each([2, 5, 10, 30])('allows two hundredths of the time if the work costs %i ms', (costMs) => {
    const [times, part] = setUp().during(100_000, costMs);
    expect(times).toBeGreaterThan(50);
    expect(part).toBeLessThanOrEqual(0.021);
  });

  it('allows once in two seconds at least, whatever that costs', () => {
    expect(setUp().during(30_000, 500)[0]).toBeGreaterThan(9);
  });

  it('counts work in between as well', () => {
    const { budget, wait } = setUp();
    budget.spend(() => wait(2));
    budget.spend(() => wait(2));
    wait(190);
    expect(budget.isDue).toBe(false);
    wait(10);
    expect(budget.isDue).toBe(true);
  });
});

describe('the table of workers', () => {
  const emptyState = initialState({
    plan: planRun({ samples: 64, batch: 16, epochs: 1 }),
    model: {},
    format: { sampleField: scaledField([1]), targetField: classField },
    seed: 1,
    limits: defaultLimits,
    startWorkers: 1,
    startWithinMs: 1,
  });
  const recordsOf = (records: readonly { id: string; shards: number; leftAtMs?: number | undefined }[]) =>
    new Map(
      records.map(({ id, shards, leftAtMs }) => [
        id,
        {
          ...{ id, resumeKey: `secret-${id}`, name: `name ${id}`, kind: 'node' as const, backend: 'cpu' },
          ...{ numericMode: 'a', threads: 1, shards, samples: 10 * shards, computeMs: 1, readyMs: 1, leftAtMs },
        },
      ]),
    );

  it('has connected workers, then those that left, no more than a message holds', () => {
    const ids = Array.from({ length: 400 }, (_, index) => `w${index + 1}`);
    const present = ids.filter((_, index) => index % 10 !== 0);
    const connectionOf = (workerId: string, connection: number) =>
      ({
        ...{ connection, phase: 'ready', workerId, isProven: true, samplesPerMs: 2, newestResult: -1 },
        answerByMs: connection === 0 ? 5 : undefined,
        hidden: connection === 1,
      }) as unknown as Connection;
    const state: CoordinatorState = {
      ...emptyState,
      phase: 'training',
      connections: new Map(present.map((id, connection) => [connection, connectionOf(id, connection)])),
      records: recordsOf(ids.map((id, at) => ({ id, shards: 1, leftAtMs: at % 10 === 0 ? at : undefined }))),
      joined: 400,
    };
    const rows = workerTable(state, () => ({ computeMs: 1, sendMs: 2, waitMs: 3 }));
    expect(rows).toHaveLength(256 + 20);
    expect(rows[0]).toMatchObject({ id: 'w2', health: 'late', share: 10 / 4000, samplesPerSecond: 2000, sendMs: 2 });
    expect(rows[1]).toMatchObject({ id: 'w3', health: 'idle', idle: 'outnumbered', hidden: true });
    // The worker that left last comes first.
    expect(rows[256]).toMatchObject({ id: 'w391', health: 'gone', phase: 'gone', samplesPerSecond: 0 });
    expect(JSON.stringify(rows)).not.toContain('secret');
  });

  it('tells those that stayed to the end of the run from those that left before, even if they computed nothing', () => {
    const left = { early: [3, 400], idle: [0, 500], busy: [2, 500], brief: [0, 300] };
    const records = recordsOf(Object.entries(left).map(([id, [shards = 0, leftAtMs]]) => ({ id, shards, leftAtMs })));
    const state: CoordinatorState = { ...emptyState, phase: 'finished', endedAtMs: 500, records };
    const rows = workerTable(state, () => ({ computeMs: 0, sendMs: 0, waitMs: 0 }));
    expect(rows.map(({ id, health }) => `${id} ${health}`)).toEqual(['idle finished', 'busy finished', 'early gone']);
  });
});

describe('the evaluation that viewers see', async () => {
  const { backend } = await openBackend('cpu');
  const inputs = 4_096;
  const [small, large] = [2, 1_024];

  /** A feed for a model with this many hidden neurons and two classes, and its viewers. */
  function setUp(hidden: number) {
    const layers = [hidden, 2].map((units) => ({ type: 'dense', units }));
    const model = parseModel({ name: 'wide', input: [inputs], layers });
    const test = {
      samples: samplesOf(
        Uint8Array.from({ length: 2 * inputs }, (_, at) => at % 251),
        [inputs],
      ),
      count: 2,
      targets: classTargets(Uint16Array.of(0, 1), ['one', 'other']),
    };
    const viewers = { size: 0, broadcast: () => {} };
    const failures: unknown[] = [];
    const options = { backend, prepared: { model, test }, onError: (error: unknown) => void failures.push(error) };
    return { feed: new EvaluationFeed(options, viewers), weights: initialize(model, 1), viewers, failures };
  }

  it.each([
    { size: 'small', hidden: small, isLast: false, isShown: true },
    { size: 'large', hidden: large, isLast: false, isShown: false },
    { size: 'large', hidden: large, isLast: true, isShown: true },
  ])('of a $size model is made for one who comes later: $isShown, if it is the last: $isLast', async (row) => {
    const { feed, weights, viewers, failures } = setUp(row.hidden);
    feed.add({ epoch: 3, weights, isLast: row.isLast });
    viewers.size = 1;
    feed.refresh();
    if (row.isShown) await expect.poll(() => feed.message).toMatchObject({ epoch: 3, outputs: 2 });
    else {
      expect(feed.message).toBeUndefined();
      // Later evaluations are made for the connected viewer.
      for (const epoch of [1, 2]) feed.add({ epoch, weights, isLast: false });
      await expect.poll(() => feed.message?.epoch).toBe(2);
    }
    expect(failures).toEqual([]);
  });

  it('is not shown if the run has gone back meanwhile, and made again for the same epoch', async () => {
    const { feed, weights, viewers } = setUp(small);
    viewers.size = 1;
    feed.add({ epoch: 1, weights, isLast: false });
    feed.clear();
    await feed.idle();
    expect(feed.message).toBeUndefined();
    for (const times of [1, 2]) {
      feed.add({ epoch: 1, weights, isLast: false });
      await feed.idle();
      expect(feed.message, `${times}`).toMatchObject({ epoch: 1 });
      feed.clear();
    }
  });

  it('is given up after one failure, and the next one is made', async () => {
    const { feed, weights, viewers, failures } = setUp(small);
    viewers.size = 1;
    feed.add({ epoch: 1, weights: weights.subarray(1), isLast: false });
    await feed.idle();
    expect(failures).toHaveLength(1);
    feed.add({ epoch: 2, weights, isLast: false });
    await feed.idle();
    expect(feed.message).toMatchObject({ epoch: 2 });
    expect(failures).toHaveLength(1);
  });
});

describe('earlier runs', () => {
  const settings = {
    ...{ model: 'mlp', optimizer: 'momentum', learningRate: 0.1, batch: 128 },
    ...{ epochs: 5, schedule: 'constant', seed: 1, workers: 2 },
  };
  const faster = { ...settings, learningRate: 0.2 };

  it.each<[what: string, runs: EarlierRun['settings'][], labels: string[]]>([
    ['one thing', [settings, faster], ['lr 0.1', 'lr 0.2']],
    [
      'two things',
      [settings, faster, { ...settings, seed: 2 }],
      ['lr 0.1, seed 1', 'lr 0.2, seed 1', 'lr 0.1, seed 2'],
    ],
    ['nothing', [settings, settings], ['run 1', 'run 2']],
    ['nothing but of one', [settings, { ...settings, model: 'cnn' }, settings], ['mlp, run 1', 'cnn', 'mlp, run 3']],
  ])('are called by what distinguishes them: %s', (_, runs, labels) => {
    expect(labelsOf(runs)).toEqual(labels);
  });

  it('are the last eight, each in a bounded number of points that ends with its last', () => {
    const record = (count: number, lr: number): EarlierRun => ({
      settings: { ...settings, learningRate: lr },
      ...{ stepsPerEpoch: 10, steps: count, epochs: [] },
      points: Array.from({ length: count }, (_, at) => ({ steps: at + 1, seconds: at, loss: 1, accuracy: 0.5 })),
    });
    const earlier = new EarlierRuns();
    expect(earlier.message()).toBeUndefined();
    for (let run = 1; run <= 12; run += 1) earlier.begin(() => record(run * 300, run));
    const { label, runs } = earlier.message()!;
    expect(label).toBe('lr 12');
    expect(runs.map((run) => run.label)).toEqual([4, 5, 6, 7, 8, 9, 10, 11].map((lr) => `lr ${lr}`));
    expect(runs[0]!.settings).toEqual({ ...settings, learningRate: 4 });
    for (const { points, steps } of runs) {
      const shown = floatsFrom(points.steps);
      expect(shown.length).toBeLessThanOrEqual(400);
      expect(shown.at(-1)).toBe(steps);
    }
  });
});
