import { describe, expect, it } from 'vitest';
import type { ConnectionId } from '../../src/coordinator/state.ts';
import { ScriptedCoordinator } from './scripted-coordinator.ts';

describe('a worker that is too slow for a share', () => {
  const slowly = { computeMs: 1, totalMs: 40 };

  /** Two workers that both have a share. */
  function twoWorkers() {
    const coordinator = new ScriptedCoordinator({ startWorkers: 2, epochs: 1_000 });
    const [quick, slow] = [coordinator.join(), coordinator.join()];
    coordinator.completePlannedSteps();
    const connectionOf = (id: ConnectionId) => coordinator.state.connections.get(id)!;
    const owes = (id: ConnectionId): boolean => coordinator.tasksOf(id).length > 0;
    return { coordinator, quick, slow, connectionOf, owes };
  }

  /** Plays steps in which the slow worker, in all that it is asked for, takes the given time. */
  function playUntil(
    { coordinator, quick, slow, connectionOf }: ReturnType<typeof twoWorkers>,
    { computeMs, totalMs }: typeof slowly,
    isDone: () => boolean,
  ): number {
    let steps = 0;
    for (; !isDone(); steps++) {
      expect(steps).toBeLessThan(2_000);
      const { trial } = connectionOf(slow);
      const { step } = coordinator.state.current;
      const startedAtMs = coordinator.nowMs;
      coordinator.nowMs += 4;
      if (trial && trial.step <= step && coordinator.nowMs >= trial.startedAtMs + totalMs) {
        coordinator.gradient(slow, trial, computeMs);
      }
      coordinator.answerAll(quick, 4);
      if (coordinator.state.current.step > step) continue;
      coordinator.nowMs = Math.max(coordinator.nowMs, startedAtMs + totalMs);
      coordinator.answerAll(slow, computeMs);
    }
    return steps;
  }

  it('is waited for no longer, whatever it says of its computing, and comes back when it is quick again', () => {
    const run = twoWorkers();
    const { slow, connectionOf, owes } = run;
    // Two steps are planned ahead.
    playUntil(run, slowly, () => !owes(slow) && connectionOf(slow).trial !== undefined);
    const { shards } = run.coordinator.state.records.get('w2')!;
    playUntil(run, slowly, () => connectionOf(slow).link.results > 10);
    expect(run.coordinator.state.records.get('w2')!.shards).toBe(shards);
    const steps = playUntil(run, { computeMs: 1, totalMs: 2 }, () => owes(slow));
    expect(steps).toBeGreaterThan(5);
    expect(run.coordinator.state.records.get('w2')!.shards).toBe(shards);
  });

  it('spends a quarter of its time on trials, whose results are only timed', () => {
    const run = twoWorkers();
    const { coordinator, slow, connectionOf, owes } = run;
    playUntil(run, slowly, () => !owes(slow) && connectionOf(slow).trial !== undefined);
    const { results: before } = connectionOf(slow).link;
    const [sinceMs, from] = [coordinator.nowMs, coordinator.effects.length];
    playUntil(run, slowly, () => coordinator.nowMs > sinceMs + 20 * 160);
    const results = connectionOf(slow).link.results - before;
    expect(results).toBeGreaterThanOrEqual(18);
    expect(results).toBeLessThanOrEqual(21);
    const asked = coordinator.effects.slice(from).filter((effect) => effect.type === 'sendTask');
    expect(asked.filter(({ connection }) => connection === slow).every(({ n }) => n === 1)).toBe(true);
    // Its microbatches are part of the other worker's shards.
    expect(asked.filter(({ connection }) => connection !== slow).every(({ n }) => n === 8)).toBe(true);
  });

  it('is closed when it never answers a trial', () => {
    const run = twoWorkers();
    const { coordinator, quick, slow, connectionOf, owes } = run;
    playUntil(run, slowly, () => !owes(slow) && connectionOf(slow).trial !== undefined);
    for (let waited = 0; waited < 20 && coordinator.connections.includes(slow); waited++) {
      coordinator.answerAll(quick, 4);
      coordinator.wait(1_000);
      coordinator.pong(quick, slow);
    }
    expect(coordinator.connections).toEqual([quick]);
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

  it('are not on trial, since no rate would give each worker a share', () => {
    const coordinator = new ScriptedCoordinator({ startWorkers: 3, batch: 4, samples: 64 });
    const connections = Array.from({ length: 3 }, () => coordinator.join({ samplesPerMs: 1 }));
    coordinator.completeSteps(5);
    // Once each, as a newcomer.
    for (const connection of connections) expect(coordinator.state.connections.get(connection)!.trial).toBeUndefined();
    expect(coordinator.effects.filter((effect) => effect.type === 'sendTask').length).toBeLessThan(20);
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
