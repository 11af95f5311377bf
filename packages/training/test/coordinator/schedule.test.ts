import { describe, expect, it } from 'vitest';
import type { ConnectionId } from '../../src/coordinator/state.ts';
import { ScriptedCoordinator } from './scripted-coordinator.ts';

/** Plays one step in which each worker takes a time of its own for a sample. */
function playStep(coordinator: ScriptedCoordinator, msPerSample: ReadonlyMap<ConnectionId, number>): void {
  const { step } = coordinator.state.current;
  for (const [connection, ms] of msPerSample) {
    for (const task of coordinator.tasksOf(connection)) {
      if (task.step !== step) continue;
      const samples = task.n * coordinator.setup.plan.microbatchSize;
      coordinator.nowMs += ms * samples;
      coordinator.gradient(connection, task, ms * samples);
    }
  }
}

describe('a worker that is too slow for one microbatch', () => {
  it('is taken to be 2 % faster with each step without a share, until it gets one and is measured', () => {
    const coordinator = new ScriptedCoordinator({ startWorkers: 2, epochs: 1_000 });
    const [quick, slow] = [coordinator.join({ samplesPerMs: 1 }), coordinator.join({ samplesPerMs: 0.02 })];
    const rateOf = () => coordinator.state.connections.get(slow)!.samplesPerMs;
    // Measured once while it was busy with something else, and without a share from then on.
    const whileBusy = new Map([
      [slow, 200],
      [quick, 1],
    ]);
    const resultsOf = () => coordinator.state.connections.get(slow)!.results;
    while (resultsOf() === 0 || coordinator.tasksOf(slow).length > 0) playStep(coordinator, whileBusy);
    const shardsBefore = coordinator.state.records.get('w2')!.shards;
    const { step } = coordinator.state.current;
    const before = rateOf();
    while (coordinator.state.current.step === step) playStep(coordinator, whileBusy);
    expect(rateOf()).toBeCloseTo(before * 1.02 ** (coordinator.state.current.step - step), 12);
    const msPerSample = new Map([
      [quick, 1],
      [slow, 2],
    ]);
    let stepsWithoutShare = 0;
    while (coordinator.state.records.get('w2')!.shards === shardsBefore) {
      playStep(coordinator, msPerSample);
      stepsWithoutShare += 1;
      expect(stepsWithoutShare).toBeLessThan(300);
    }
    expect(stepsWithoutShare).toBeGreaterThan(5);
    // It is in fact half as fast as the other, and from then on has its share.
    for (let step = 0; step < 30; step++) playStep(coordinator, msPerSample);
    expect(rateOf()).toBeCloseTo(0.5, 1);
    const shareOf = (connection: ConnectionId) => coordinator.tasksOf(connection).reduce((sum, { n }) => sum + n, 0);
    expect([shareOf(quick), shareOf(slow)]).toEqual([6, 2]);
  });
});

describe('workers beyond the number of microbatches', () => {
  it('get no share, and the run does not wait for them', () => {
    const coordinator = new ScriptedCoordinator({ batch: 4, microbatchSize: 2, samples: 16, epochs: 8 });
    const connections = Array.from({ length: 5 }, () => coordinator.join());
    // In the first steps one worker after another is on trial.
    coordinator.completeSteps(10);
    expect(connections.filter((connection) => coordinator.tasksOf(connection).length > 0)).toHaveLength(2);
    coordinator.completeRun();
    expect(coordinator.state.phase).toBe('finished');
  });

  it('keep their rates, since no rate would give each worker a share', () => {
    const coordinator = new ScriptedCoordinator({ startWorkers: 3, batch: 4, samples: 64 });
    const connections = Array.from({ length: 3 }, () => coordinator.join({ samplesPerMs: 1 }));
    const idle = connections.find((connection) => coordinator.tasksOf(connection).length === 0)!;
    const msPerSample = new Map(connections.map((connection) => [connection, 1]));
    for (let step = 0; step < 5; step++) playStep(coordinator, msPerSample);
    expect(coordinator.state.connections.get(idle)!.samplesPerMs).toBe(1);
  });
});

describe('a rate that no device has', () => {
  it.each([Number.POSITIVE_INFINITY, Number.NaN, 5e-324, 1e308, 0])('of %d samples/ms does not stop a run', (rate) => {
    const coordinator = new ScriptedCoordinator({ epochs: 4 });
    coordinator.join();
    coordinator.join({ samplesPerMs: rate });
    coordinator.completeRun();
    expect(coordinator.state.phase).toBe('finished');
  });
});
