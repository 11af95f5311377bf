import { describe, expect, it } from 'vitest';
import { eventsOf, ScriptedCoordinator, sentTo } from './scripted-coordinator.ts';

describe('the shards of a worker that disconnects', () => {
  it('are assigned to other workers in the same event', () => {
    const coordinator = new ScriptedCoordinator();
    const [first, second] = [coordinator.join(), coordinator.join()];
    coordinator.completePlannedSteps();
    const lost = coordinator.tasksOf(first);
    expect(lost.length).toBeGreaterThan(0);
    const effects = coordinator.close(first);
    const tasks = effects.filter((effect) => effect.type === 'sendTask' && effect.connection === second);
    expect(tasks.length).toBeGreaterThanOrEqual(lost.length);
    expect(eventsOf(effects)).toContainEqual({ type: 'left', workerId: 'w1', message: 'its connection closed' });
    expect(coordinator.state.faults.disconnects).toBe(1);
    expect(coordinator.state.faults.reassigned).toBeGreaterThanOrEqual(lost.length);
    coordinator.completeRun();
    expect(coordinator.state.phase).toBe('finished');
  });

  it('are assigned once where it goes while it is checked again, and its going is told', () => {
    const coordinator = new ScriptedCoordinator();
    const [first] = [coordinator.join(), coordinator.join()];
    coordinator.completePlannedSteps();
    const [task] = coordinator.tasksOf(first);
    coordinator.receive(first, { type: 'taskError', ...task!, code: 'device-lost', message: 'the device is gone' });
    const { reassigned } = coordinator.state.faults;
    expect(reassigned).toBeGreaterThan(0);
    const effects = coordinator.close(first);
    expect(eventsOf(effects)).toEqual([{ type: 'left', workerId: 'w1', message: 'its connection closed' }]);
    expect(coordinator.state.faults).toMatchObject({ disconnects: 1, reassigned });
    coordinator.completeRun();
    expect(coordinator.state.phase).toBe('finished');
  });

  it('are halved where more workers than shards are idle', () => {
    const coordinator = new ScriptedCoordinator({ steps: 1 });
    const first = coordinator.join();
    const [second, third] = [coordinator.join(), coordinator.join()];
    expect(coordinator.tasksOf(first)).toEqual([{ step: 0, lo: 0, n: 8 }]);
    coordinator.close(first);
    expect(coordinator.tasksOf(second)).toEqual([{ step: 0, lo: 0, n: 4 }]);
    expect(coordinator.tasksOf(third)).toEqual([{ step: 0, lo: 4, n: 4 }]);
  });

  it('are assigned to other workers after a bye, which closes its socket', () => {
    const coordinator = new ScriptedCoordinator();
    const [first, second] = [coordinator.join(), coordinator.join()];
    const effects = coordinator.receive(first, { type: 'bye', message: 'worker 1 leaves' });
    expect(sentTo(first, effects)).toEqual(['close']);
    expect(coordinator.tasksOf(second).length).toBeGreaterThan(0);
  });

  it('are assigned to other workers after an invalid frame', () => {
    const coordinator = new ScriptedCoordinator();
    const [first, second] = [coordinator.join(), coordinator.join()];
    const message = 'gradient: expected checksum 1, got 2';
    const effects = coordinator.dispatch({ type: 'invalid', connection: first, closeCode: 1002, message });
    expect(effects).toContainEqual({ type: 'close', connection: first, code: 1002, reason: message });
    expect(coordinator.state.faults.rejected).toBe(1);
    expect(coordinator.tasksOf(second).length).toBeGreaterThan(0);
  });
});

describe('an invalid frame', () => {
  it.each([1002, 1003, 1009] as const)('closes its socket with %i and the reason, and no other socket', (closeCode) => {
    const coordinator = new ScriptedCoordinator();
    const [first, second] = [coordinator.join(), coordinator.join()];
    const message = 'frame: broken';
    const effects = coordinator.dispatch({ type: 'invalid', connection: first, closeCode, message });
    expect(effects).toContainEqual({ type: 'close', connection: first, code: closeCode, reason: message });
    expect(coordinator.connections).toEqual([second]);
  });
});

describe('the record of a worker that computed nothing', () => {
  it('is dropped after it left, and its id is not used again', () => {
    const coordinator = new ScriptedCoordinator({ epochs: 20 });
    const stays = coordinator.join();
    for (let times = 0; times < 200; times++) {
      const connection = times % 2 === 0 ? coordinator.join() : coordinator.open();
      if (times % 2 === 1) coordinator.hello(connection);
      coordinator.close(connection);
    }
    coordinator.wait(0);
    expect(coordinator.state.records.size).toBe(101);
    for (let waited = 0; waited <= 32_000; waited += 4_000) {
      coordinator.answerAll(stays);
      coordinator.wait(4_000);
      coordinator.pong(stays);
    }
    expect([...coordinator.state.records.keys()]).toEqual(['w1']);
    expect(coordinator.workerId(coordinator.join())).toBe('w202');
  });
});

describe('the record of a worker', () => {
  it('counts once the time for which it was ready', () => {
    const coordinator = new ScriptedCoordinator({ steps: 1 });
    const only = coordinator.join();
    coordinator.nowMs += 25;
    coordinator.answerAll(only, 20);
    expect(coordinator.state.records.get('w1')).toMatchObject({ readyMs: 25, computeMs: 20 });
  });
});
