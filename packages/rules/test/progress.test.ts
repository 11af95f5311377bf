import { describe, expect, it } from 'vitest';
import { eventsOf, ScriptedCoordinator } from './scripted-coordinator.ts';

describe('a run', () => {
  it('begins with fewer workers than it was set up for when the time for them is over', () => {
    const coordinator = new ScriptedCoordinator({ startWorkers: 3 });
    coordinator.join();
    coordinator.wait(4_999);
    expect(coordinator.state.phase).toBe('waiting');
    coordinator.wait(1);
    expect(coordinator.state.phase).toBe('training');
  });

  it('pauses when its last worker disconnects, reports it, and resumes when one joins', () => {
    const coordinator = new ScriptedCoordinator();
    const first = coordinator.join();
    expect(eventsOf(coordinator.close(first))).toContainEqual({ type: 'paused' });
    expect(coordinator.state.phase).toBe('paused');
    coordinator.wait(3_600_000);
    expect(coordinator.state.phase).toBe('paused');
    const second = coordinator.join();
    expect(eventsOf(coordinator.effects)).toContainEqual({ type: 'resumed' });
    expect(coordinator.tasksOf(second).length).toBeGreaterThan(0);
    coordinator.completeRun();
    expect(coordinator.state.phase).toBe('finished');
  });
});

describe('a run from a checkpoint', () => {
  it('begins at the step of the checkpoint', () => {
    const coordinator = new ScriptedCoordinator({ firstStep: 5, epochs: 2 });
    const only = coordinator.join();
    expect(coordinator.effects).toContainEqual({ type: 'sendWeights', connection: only, step: 5 });
    coordinator.completeRun();
    expect(coordinator.effects.filter(({ type }) => type === 'applyStep')).toEqual(
      [5, 6, 7].map((step) => ({ type: 'applyStep', step })),
    );
  });

  it('of its last step has finished', () => {
    expect(new ScriptedCoordinator({ firstStep: 8 }).state.phase).toBe('finished');
  });
});
