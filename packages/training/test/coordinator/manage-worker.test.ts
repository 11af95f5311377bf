import { describe, expect, it } from 'vitest';
import { idleReasonOf } from '../../src/coordinator/run-account.ts';
import { eventsOf, ScriptedCoordinator } from './scripted-coordinator.ts';

describe('a worker that is removed', () => {
  it('is refused with a sentence and its shards go to others', () => {
    const coordinator = new ScriptedCoordinator({ startWorkers: 2 });
    const [first] = [coordinator.join(), coordinator.join()];
    const effects = coordinator.dispatch({ type: 'remove', workerId: coordinator.workerId(first) });
    const message = 'the owner of this run has removed this worker';
    expect(effects).toContainEqual({
      type: 'send',
      connection: first,
      message: { type: 'refuse', code: 'removed', message },
    });
    expect(eventsOf(effects)).toEqual([{ type: 'left', workerId: 'w1', message }]);
    expect(coordinator.state.faults.reassigned).toBeGreaterThan(0);
    coordinator.completeRun();
    expect(coordinator.state.phase).toBe('finished');
  });

  it('is announced once where it is checked again', () => {
    const coordinator = new ScriptedCoordinator({ startWorkers: 2 });
    const [first] = [coordinator.join(), coordinator.join()];
    const [task] = coordinator.tasksOf(first);
    coordinator.receive(first, { type: 'taskError', ...task!, code: 'device-lost', message: 'the device is gone' });
    expect(eventsOf(coordinator.dispatch({ type: 'remove', workerId: 'w1' }))).toMatchObject([{ type: 'left' }]);
  });

  it('is announced once also before the run begins; one that is unknown is not', () => {
    const coordinator = new ScriptedCoordinator({ startWorkers: 2 });
    coordinator.join();
    expect(eventsOf(coordinator.dispatch({ type: 'remove', workerId: 'w1' }))).toMatchObject([{ type: 'left' }]);
    expect(coordinator.connections).toEqual([]);
    expect(coordinator.dispatch({ type: 'remove', workerId: 'w1' })).toEqual([]);
  });
});

describe('a worker that is renamed', () => {
  it('keeps its name when it comes back', () => {
    const coordinator = new ScriptedCoordinator();
    const connection = coordinator.join({ name: 'tab' });
    const { resumeKey } = coordinator.state.records.get('w1')!;
    const effects = coordinator.dispatch({ type: 'rename', workerId: 'w1', name: 'Ada' });
    expect(eventsOf(effects)).toEqual([{ type: 'renamed', workerId: 'w1', before: 'tab' }]);
    coordinator.close(connection);
    coordinator.join({ name: 'tab', resumeKey });
    expect([...coordinator.state.records.values()].map(({ name }) => name)).toEqual(['Ada']);
    expect(coordinator.dispatch({ type: 'rename', workerId: 'w1', name: 'Ada' })).toEqual([]);
    expect(coordinator.dispatch({ type: 'rename', workerId: 'w9', name: 'Ada' })).toEqual([]);
  });
});

describe('why a worker is idle', () => {
  const reasonsOf = ({ state }: ScriptedCoordinator) =>
    [...state.connections.values()].map((connection) => idleReasonOf(state, connection));

  it('is that it joins, that the run has not begun or is paused', () => {
    const coordinator = new ScriptedCoordinator({ startWorkers: 2 });
    coordinator.join();
    const second = coordinator.open();
    coordinator.hello(second);
    expect(reasonsOf(coordinator)).toEqual(['waiting', 'joining']);
    coordinator.numericsResult(second);
    expect(reasonsOf(coordinator)).toEqual([undefined, undefined]);
    coordinator.control('pause');
    expect(reasonsOf(coordinator)).toEqual(['paused', 'paused']);
  });

  it.each([
    ['fastest', 'outnumbered'],
    ['rotation', 'rotation'],
  ] as const)('is that others are enough, with participation %s: %s', (participation, reason) => {
    const coordinator = new ScriptedCoordinator({ startWorkers: 3, batch: 4, samples: 64, participation });
    for (let worker = 0; worker < 3; worker++) coordinator.join({ isNewcomer: true });
    coordinator.completeSteps(8);
    expect(reasonsOf(coordinator)).toContain(reason);
    expect(reasonsOf(coordinator)).toContain(undefined);
  });

  it('is that it has shown no speed yet, or is too slow', () => {
    const coordinator = new ScriptedCoordinator({ startWorkers: 1, epochs: 100 });
    const quick = coordinator.join();
    coordinator.completePlannedSteps();
    const slow = coordinator.join({ samplesPerMs: 1e-3, isNewcomer: true });
    expect(reasonsOf(coordinator)).toEqual([undefined, 'trial']);
    while (coordinator.state.connections.get(slow)!.trial === undefined) coordinator.answerAll(quick);
    coordinator.answerAll(quick);
    coordinator.nowMs += 200;
    coordinator.gradient(slow, coordinator.state.connections.get(slow)!.trial!, 200);
    for (let step = 0; step < 4; step++) coordinator.answerAll(quick, 0.1);
    expect(reasonsOf(coordinator)).toEqual([undefined, 'slow']);
  });
});
