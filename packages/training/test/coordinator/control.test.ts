import { describe, expect, it } from 'vitest';
import { eventsOf, ScriptedCoordinator, sentTo } from './scripted-coordinator.ts';

describe('a paused run', () => {
  it('takes results of its current step, and does not take the step', () => {
    const coordinator = new ScriptedCoordinator();
    const only = coordinator.join();
    expect(eventsOf(coordinator.control('pause'))).toEqual([{ type: 'pauseRequested' }]);
    expect(coordinator.state).toMatchObject({ phase: 'paused', pauseRequested: true });
    coordinator.answerAll(only);
    expect(coordinator.added.length).toBeGreaterThan(0);
    expect(coordinator.effects.some(({ type }) => type === 'applyStep')).toBe(false);
    const effects = coordinator.control('resume');
    expect(effects).toContainEqual({ type: 'applyStep', step: 0 });
    expect(eventsOf(effects)).toEqual([{ type: 'resumed' }]);
    coordinator.completeRun();
    expect(coordinator.state.phase).toBe('finished');
  });

  it('is not changed by a second pause, nor a running one by a second resume', () => {
    const coordinator = new ScriptedCoordinator();
    coordinator.join();
    coordinator.control('pause');
    expect(coordinator.control('pause')).toEqual([]);
    coordinator.control('resume');
    expect(coordinator.control('resume')).toEqual([]);
  });

  it('reassigns the shards of a worker that leaves, and makes no worker late', () => {
    const coordinator = new ScriptedCoordinator();
    const [first, second] = [coordinator.join(), coordinator.join()];
    coordinator.completeSteps(1);
    coordinator.control('pause');
    coordinator.close(second);
    for (let waited = 0; waited < 60_000; waited += 1_000) {
      coordinator.wait(1_000);
      coordinator.pong(first);
    }
    expect(coordinator.connections).toEqual([first]);
    coordinator.answerAll(first);
    expect(coordinator.state.phase).toBe('paused');
    coordinator.control('resume');
    coordinator.completeRun();
    expect(coordinator.state.phase).toBe('finished');
    expect(coordinator.state.faults.duplicated).toBe(0);
  });

  it('that is resumed without a worker reports that it is paused, and goes on when one joins', () => {
    const coordinator = new ScriptedCoordinator();
    const only = coordinator.join();
    coordinator.control('pause');
    coordinator.close(only);
    expect(eventsOf(coordinator.control('resume'))).toEqual([{ type: 'paused' }]);
    coordinator.join();
    expect(eventsOf(coordinator.effects).at(-1)).toEqual({ type: 'resumed' });
    coordinator.completeRun();
    expect(coordinator.state.phase).toBe('finished');
  });

  it('does not begin until it is resumed', () => {
    const coordinator = new ScriptedCoordinator();
    coordinator.control('pause');
    coordinator.join();
    expect(coordinator.state.phase).toBe('waiting');
    coordinator.control('resume');
    expect(coordinator.state.phase).toBe('training');
  });
});

describe('start', () => {
  it('begins a run that was set up to wait for it, which no number of workers does', () => {
    const coordinator = new ScriptedCoordinator({ waitForStart: true });
    coordinator.join();
    coordinator.wait(10_000);
    expect(coordinator.state.phase).toBe('waiting');
    expect(eventsOf(coordinator.control('start'))).toEqual([{ type: 'started' }]);
    coordinator.completeRun();
    expect(coordinator.state.phase).toBe('finished');
  });

  it('begins a run with fewer workers than it was set up for', () => {
    const coordinator = new ScriptedCoordinator({ startWorkers: 4 });
    coordinator.join();
    expect(coordinator.state.phase).toBe('waiting');
    coordinator.control('start');
    expect(coordinator.state.phase).toBe('training');
  });

  it('before any worker is ready begins the run with the first', () => {
    const coordinator = new ScriptedCoordinator({ startWorkers: 4, waitForStart: true });
    coordinator.control('start');
    expect(coordinator.state.phase).toBe('waiting');
    coordinator.join();
    expect(coordinator.state.phase).toBe('training');
  });
});

describe('an injected fault', () => {
  const kill = { type: 'injectFault', workerId: 'w1', action: 'kill', forMs: 0 } as const;

  it('is sent to the worker that it names, and reported', () => {
    const coordinator = new ScriptedCoordinator({ faultInjection: true });
    const [first, second] = [coordinator.join(), coordinator.join()];
    const effects = coordinator.dispatch({ ...kill, workerId: 'w2' });
    expect(sentTo(second, effects)).toEqual(['injectFault']);
    expect(sentTo(first, effects)).toEqual([]);
    expect(eventsOf(effects)).toEqual([{ type: 'injectFault', workerId: 'w2', action: 'kill' }]);
  });

  it('has no effect in a run that was not set up for it, nor on a worker that is not connected', () => {
    const coordinator = new ScriptedCoordinator();
    coordinator.join();
    expect(coordinator.dispatch(kill)).toEqual([]);
    expect(new ScriptedCoordinator({ faultInjection: true }).dispatch(kill)).toEqual([]);
  });
});
