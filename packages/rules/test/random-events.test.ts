import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { controlActions, geometry, perform, programs, workActions } from './random-events.ts';
import { ScriptedCoordinator, started } from './scripted-coordinator.ts';

const hasFinished = ({ state }: ScriptedCoordinator): boolean => state.phase === 'finished';

/**
 * Continues with one good worker, which joins now. The other connections answer every ping, but compute nothing.
 * @returns whether the run finished
 */
function finishWithOneGoodWorker(coordinator: ScriptedCoordinator): boolean {
  if (hasFinished(coordinator)) return true;
  const others = coordinator.connections;
  const good = coordinator.join({ samplesPerMs: 1 });
  for (let round = 0; round < 40_000; round++) {
    if (hasFinished(coordinator)) return true;
    expect(coordinator.state.phase).toMatch(/waiting|training|paused/);
    if (coordinator.nowMs % 1_000 < 50) coordinator.pong(...others, good);
    coordinator.wentBack(good);
    const [task] = coordinator.tasksOf(good);
    if (task) coordinator.gradient(good, task, 10);
    coordinator.wait(50);
  }
  return false;
}

describe('in any order of events', () => {
  it('the invariants hold after each', () => {
    let finished = 0;
    let added = 0;
    let duplicated = 0;
    fc.assert(
      fc.property(geometry, programs(workActions, { minLength: 50, maxLength: 250 }), (options, program) => {
        const { coordinator } = started(1, options);
        perform(coordinator, program);
        if (hasFinished(coordinator)) finished += 1;
        added += coordinator.added.length;
        duplicated += coordinator.state.faults.duplicated;
      }),
      { numRuns: 100 },
    );
    // The property means nothing unless the programs reach these cases.
    expect(finished).toBeGreaterThan(25);
    expect(added).toBeGreaterThan(250);
    expect(duplicated).toBeGreaterThan(5);
  });

  it('one good worker that stays is enough to finish the run', () => {
    fc.assert(
      fc.property(geometry, programs(workActions, { maxLength: 120 }), (options, program) => {
        const coordinator = new ScriptedCoordinator(options);
        perform(coordinator, program);
        expect(finishWithOneGoodWorker(coordinator)).toBe(true);
      }),
      { numRuns: 60 },
    );
  });

  it('control and injected faults leave the invariants and the end of the run as they are', () => {
    fc.assert(
      fc.property(fc.boolean(), programs(controlActions, { maxLength: 120 }), (waitForStart, program) => {
        const { coordinator } = started(1, { waitForStart, faultInjection: true, epochs: 3 });
        perform(coordinator, program);
        coordinator.control('start');
        const last = hasFinished(coordinator) ? 0 : coordinator.join();
        for (let round = 0; round < 2_000 && !hasFinished(coordinator); round++) {
          coordinator.answerAll(last);
          coordinator.wait(50);
          coordinator.pong(...coordinator.connections);
        }
        expect(coordinator.state.phase).toBe('finished');
      }),
      { numRuns: 40 },
    );
  });

  it('a run without connections keeps only the records that its report needs', () => {
    fc.assert(
      fc.property(geometry, programs(workActions, { maxLength: 150 }), (options, program) => {
        const coordinator = new ScriptedCoordinator({ ...options, epochs: 50 });
        perform(coordinator, program);
        for (const connection of coordinator.connections) coordinator.close(connection);
        coordinator.wait(coordinator.setup.limits.resumeMs + 1);
        expect(coordinator.state.connections.size).toBe(0);
        for (const { shards, quarantined } of coordinator.state.records.values()) {
          expect(shards > 0 || quarantined !== undefined).toBe(true);
        }
        for (const shard of coordinator.state.current.shards.values()) expect(shard.assignments).toEqual([]);
        for (const shard of coordinator.state.next?.shards.values() ?? []) expect(shard.assignments).toEqual([]);
      }),
      { numRuns: 60 },
    );
  });
});
