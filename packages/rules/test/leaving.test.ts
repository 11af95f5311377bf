import { describe, expect, it } from 'vitest';
import { idleReasonOf } from '../src/run-account.ts';
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

function finishedCoordinator(): ScriptedCoordinator {
  const coordinator = new ScriptedCoordinator({ steps: 1 });
  coordinator.answerAll(coordinator.join());
  expect(coordinator.state.phase).toBe('finished');
  return coordinator;
}

describe('the end of a run', () => {
  it('closes every connection with a finish, also those before their hello', () => {
    const coordinator = new ScriptedCoordinator({ steps: 1 });
    const worker = coordinator.join();
    const unknown = coordinator.open();
    const from = coordinator.effects.length;
    coordinator.answerAll(worker);
    expect(coordinator.state.phase).toBe('finished');
    for (const connection of [worker, unknown]) {
      expect(sentTo(connection, coordinator.effects.slice(from))).toEqual(['finish', 'close']);
    }
    expect(coordinator.state.faults.disconnects).toBe(0);
  });

  it('closes a connection that is opened after it with a finish, and keeps no state of it', () => {
    const coordinator = finishedCoordinator();
    const late = coordinator.open();
    expect(sentTo(late, coordinator.effects)).toEqual(['finish', 'close']);
    expect(coordinator.hello(late)).toEqual([]);
    expect(coordinator.state.connections.size).toBe(0);
  });

  it('happens once: a stop after it has no effect', () => {
    expect(finishedCoordinator().stop('stopped')).toEqual([]);
    const stopped = new ScriptedCoordinator();
    stopped.join();
    expect(stopped.stop('stopped').at(-1)).toEqual({ type: 'failed', message: 'stopped' });
    expect(stopped.stop('again')).toEqual([]);
  });

  it('may come while the run is paused', () => {
    const coordinator = new ScriptedCoordinator();
    coordinator.join();
    coordinator.control('pause');
    expect(coordinator.stop('stopped').at(-1)).toEqual({ type: 'failed', message: 'stopped' });
  });

  it('leaves nothing to control', () => {
    const coordinator = finishedCoordinator();
    for (const action of ['start', 'pause', 'resume'] as const) expect(coordinator.control(action)).toEqual([]);
    expect(coordinator.state.pauseRequested).toBe(false);
  });
});

describe('a worker that is removed', () => {
  it('is refused with a sentence and its shards go to others', () => {
    const coordinator = new ScriptedCoordinator({ startWorkers: 2 });
    const [first] = [coordinator.join(), coordinator.join()];
    const effects = coordinator.dispatch({ type: 'remove', workerId: coordinator.workerId(first) });
    const message = 'the owner of this run removed this worker';
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
