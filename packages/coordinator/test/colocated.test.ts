/** A worker in the coordinator's process next to others: it may be late, removed or compared like any other worker. */

import { InlineGradient } from '@lockstep/compute';
import { describe, expect, it } from 'vitest';
import { drain } from '../../compute/test/support.ts';
import { sampleFields, targetFields } from '../../sim/src/problem.ts';
import { model, type ProblemOptions, tinyDataset } from '../../sim/test/support.ts';
import { InlineWorker } from '../src/inline-worker.ts';
import type { Run } from '../src/run.ts';
import { createRunFixture, type RunFixture } from './run-fixture.ts';

const samples = 50;

interface Setting {
  readonly fixture: RunFixture;
  readonly run: Run;
  /** Length of each pause from now on. */
  pauseMs: number;
}

/** A run whose coordinator computes; the clock advances while it computes, so that shards take several slices. */
async function createColocated(options: ProblemOptions = {}): Promise<Setting> {
  const fixture = await createRunFixture({ samples, ...options });
  const { problem, run, clock } = fixture;
  const { parameterServer, samples: source } = problem.run;
  const setting: Setting = { fixture, run, pauseMs: 0.5 };
  let computingMs = 0;
  const compute = new InlineGradient({
    parameterServer,
    model,
    plan: problem.setup.plan,
    dataset: tinyDataset(samples, options),
    samples: source,
    seed: 0,
    clock: {
      nowMs: () => {
        computingMs += 4;
        return clock.nowMs() + computingMs;
      },
      after: (delayMs, callback) => clock.after(delayMs, callback),
    },
    numerics: { hash: problem.setup.refereeHash!, samplesPerMs: 1 },
    yieldToOthers: () => new Promise((resolve) => void clock.after(setting.pauseMs, resolve)),
  });
  run.connectInline(new InlineWorker({ compute, name: 'coordinator', clock, hasOthers: true }));
  return setting;
}

const ownRecord = ({ run }: Setting) => [...run.state.records.values()].find(({ name }) => name === 'coordinator');

/** Returns whether the worker in this process owes a shard of the current step. */
const owesShard = ({ run }: Setting): boolean =>
  [...run.state.current.shards.values()].some(({ assignments }) =>
    assignments.some(({ connection }) => connection === 1),
  );

/** Creates the same run with another worker, and plays it into the middle of a step. */
async function inTheMiddle(options: ProblemOptions, step = 4): Promise<Setting> {
  const setting = await createColocated({ startWorkers: 2, ...options });
  setting.fixture.join();
  await setting.fixture.until(() => setting.run.state.current.step >= step && owesShard(setting));
  return setting;
}

describe('a worker of the coordinator beside others', () => {
  it.each([
    {},
    { sampleField: sampleFields.f32, targetField: targetFields.f32 },
    { innerSteps: { batch: 2, learningRate: 0.05, momentum: 0.9 } },
    { roundsToHalves: true },
  ] as const)('trains the weights of the oracle, every shard compared or none: %o', async (options) => {
    for (const verifyRate of [0, 0.5, 1]) {
      const setting = await createColocated({ ...options, startWorkers: 3, verifyRate });
      const { fixture } = setting;
      fixture.join();
      fixture.join({ name: 'slow', computeMs: (count) => 3 * count });
      await fixture.finish();
      expect(ownRecord(setting)!.shards).toBeGreaterThan(verifyRate === 1 ? 0 : 10);
      expect(fixture.run.state.faults).toMatchObject({ rejected: 0, quarantined: 0, disconnects: 0 });
    }
  });

  it('trains alone until others come', async () => {
    const setting = await createColocated();
    await setting.fixture.finish();
    expect([...setting.run.state.records.values()]).toMatchObject([{ name: 'coordinator', kind: 'local' }]);
  });

  it('finds one that lies', async () => {
    const setting = await createColocated({ startWorkers: 2, verifyRate: 1, epochs: 8 });
    setting.fixture.join({ name: 'liar', lie: 'sign' });
    await setting.fixture.finish();
    expect(setting.run.state.faults.quarantined).toBe(1);
    expect(ownRecord(setting)!.quarantined).toBeUndefined();
  });

  it('does not hold a step up while it pauses, and adds nothing to a later one', async () => {
    const setting = await inTheMiddle({ epochs: 20 });
    const { fixture, run } = setting;
    setting.pauseMs = 2_000;
    await fixture.until(() => run.state.faults.duplicated > 0);
    setting.pauseMs = 0.5;
    await fixture.finish();
    expect(run.state.faults.disconnects).toBe(0);
  });

  it('joins again under its name where it was taken for dead', async () => {
    const setting = await inTheMiddle({ epochs: 400 });
    const { fixture, run } = setting;
    setting.pauseMs = 12_000;
    await fixture.until(() => run.state.faults.disconnects > 0);
    setting.pauseMs = 0.5;
    await fixture.finish();
    const own = [...run.state.records.values()].filter(({ name }) => name === 'coordinator');
    expect(own).toHaveLength(1);
    expect(fixture.events).toContainEqual({ type: 'joined', workerId: own[0]!.id, returned: true });
  });

  it('stays away where its owner has removed it, and the run goes on', async () => {
    const setting = await inTheMiddle({ epochs: 20 });
    const { fixture, run } = setting;
    const { id } = ownRecord(setting)!;
    run.manageWorker({ type: 'remove', workerId: id });
    const { shards } = ownRecord(setting)!;
    await fixture.finish();
    expect(ownRecord(setting)!.shards).toBe(shards);
    expect(fixture.events.filter((event) => event.type === 'joined' && event.workerId === id)).toHaveLength(1);
  });

  it('leaves what it computes where the run ends, and gives its memory back', async () => {
    const setting = await inTheMiddle({}, 2);
    const { fixture, run } = setting;
    setting.pauseMs = 500;
    run.stop('stopped here');
    while (fixture.clock.step()) await drain();
    expect(fixture.outcome).toEqual({ type: 'failed', message: 'stopped here' });
    expect(fixture.problem.run.parameterServer.aggregator.reservedCount).toBe(0);
  });
});
