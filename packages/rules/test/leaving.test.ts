import { describe, expect, it } from 'vitest';
import type { Command } from '../src/events.ts';
import { idleReasonOf } from '../src/run-account.ts';
import type { ConnectionId } from '../src/state.ts';
import { eventsOf, ScriptedCoordinator, sentTo, sharing, started } from './scripted-coordinator.ts';

interface Leaving {
  readonly what: string;
  readonly code: number;
  readonly reason: string;
  readonly rejected: number;
  readonly leave: (run: ScriptedCoordinator, connection: ConnectionId) => readonly Command[];
}

describe('the shards of a worker that disconnects', () => {
  it('are assigned to other workers in the same event', () => {
    const { coordinator, first, second } = sharing();
    const lost = coordinator.tasksOf(first);
    expect(lost.length).toBeGreaterThan(0);
    const effects = coordinator.close(first);
    const tasks = effects.filter((effect) => effect.type === 'sendTask' && effect.connection === second);
    expect(tasks.length).toBeGreaterThanOrEqual(lost.length);
    expect(eventsOf(effects)).toContainEqual({ type: 'left', workerId: 'w1', message: 'its connection closed' });
    expect(coordinator.state.faults.disconnects).toBe(1);
    expect(coordinator.state.faults.reassigned).toBeGreaterThanOrEqual(lost.length);
    coordinator.finish();
  });

  it('are assigned once if it leaves while it is checked again, and its leaving is announced', () => {
    const { coordinator, first } = sharing();
    const [task] = coordinator.tasksOf(first);
    coordinator.receive(first, { type: 'taskError', ...task!, code: 'device-lost', message: 'the device is gone' });
    const { reassigned } = coordinator.state.faults;
    expect(reassigned).toBeGreaterThan(0);
    const effects = coordinator.close(first);
    expect(eventsOf(effects)).toEqual([{ type: 'left', workerId: 'w1', message: 'its connection closed' }]);
    expect(coordinator.state.faults).toMatchObject({ disconnects: 1, reassigned });
    coordinator.finish();
  });

  it('are halved if more workers than shards are idle', () => {
    const { coordinator, first } = started(1, { steps: 1 });
    const [second, third] = [coordinator.join(), coordinator.join()];
    expect(coordinator.tasksOf(first)).toEqual([{ step: 0, lo: 0, n: 8 }]);
    coordinator.close(first);
    expect(coordinator.tasksOf(second)).toEqual([{ step: 0, lo: 0, n: 4 }]);
    expect(coordinator.tasksOf(third)).toEqual([{ step: 0, lo: 4, n: 4 }]);
  });

  const message = 'gradient: expected checksum 1, got 2';
  const invalid = (closeCode: 1002 | 1003 | 1009): Leaving => ({
    ...{ what: `an invalid frame (${closeCode})`, code: closeCode, reason: message, rejected: 1 },
    leave: (run, connection) => run.dispatch({ type: 'invalid', connection, closeCode, message }),
  });
  it.each<Leaving>([
    ...[1002, 1003, 1009].map((code) => invalid(code as 1002)),
    {
      ...{ what: 'a bye', code: 1000, reason: 'worker 1 leaves', rejected: 0 },
      leave: (run, connection) => run.receive(connection, { type: 'bye', message: 'worker 1 leaves' }),
    },
  ])(
    'are assigned to other workers after $what, which closes its socket alone',
    ({ leave, code, reason, rejected }) => {
      const { coordinator, first, second } = started(2);
      expect(leave(coordinator, first)).toContainEqual({ type: 'close', connection: first, code, reason });
      expect(coordinator.state.faults.rejected).toBe(rejected);
      expect(coordinator.connections).toEqual([second]);
      expect(coordinator.tasksOf(second).length).toBeGreaterThan(0);
    },
  );
});

describe('the record of a worker that computed nothing', () => {
  it('is dropped after it left, and its id is not used again', () => {
    const { coordinator, first: stays } = started(1, { epochs: 20 });
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
    const { coordinator, first: only } = started(1, { steps: 1 });
    coordinator.nowMs += 25;
    coordinator.answerAll(only, 20);
    expect(coordinator.state.records.get('w1')).toMatchObject({ readyMs: 25, computeMs: 20 });
  });
});

describe('the end of a run', () => {
  it('closes every connection with a finish, also before its hello; nothing follows', () => {
    const { coordinator, first: worker } = started(1, { steps: 1 });
    const unknown = coordinator.open();
    const from = coordinator.effects.length;
    coordinator.answerAll(worker);
    expect(coordinator.state.phase).toBe('finished');
    const late = coordinator.open();
    for (const connection of [worker, unknown, late]) {
      expect(sentTo(connection, coordinator.effects.slice(from))).toEqual(['finish', 'close']);
    }
    expect(coordinator.state.faults.disconnects).toBe(0);
    expect(coordinator.hello(late)).toEqual([]);
    expect(coordinator.state.connections.size).toBe(0);
    for (const action of ['start', 'pause', 'resume'] as const) expect(coordinator.control(action)).toEqual([]);
    expect(coordinator.state.pauseRequested).toBe(false);
    expect(coordinator.stop('stopped')).toEqual([]);
  });

  it.each([false, true])('happens once if it is stopped; paused: %s', (isPaused) => {
    const { coordinator } = started(1);
    if (isPaused) coordinator.control('pause');
    expect(coordinator.stop('stopped').at(-1)).toEqual({ type: 'failed', message: 'stopped' });
    expect(coordinator.stop('again')).toEqual([]);
  });
});

describe('a worker that is removed', () => {
  it('is refused with a sentence and its shards go to others', () => {
    const { coordinator, first } = started(2, { startWorkers: 2 });
    const effects = coordinator.dispatch({ type: 'remove', workerId: coordinator.workerId(first) });
    const message = 'the owner of this run removed this worker';
    expect(effects).toContainEqual({
      type: 'send',
      connection: first,
      message: { type: 'refuse', code: 'removed', message },
    });
    expect(eventsOf(effects)).toEqual([{ type: 'left', workerId: 'w1', message }]);
    expect(coordinator.state.faults.reassigned).toBeGreaterThan(0);
    coordinator.finish();
  });

  it.each([
    ['before the run begins', 1],
    ['while it is checked again', 2],
  ] as const)('is announced once %s; one that is unknown is not', (_, workers) => {
    const { coordinator, first } = started(workers, { startWorkers: 2 });
    const [task] = coordinator.tasksOf(first);
    if (task) coordinator.receive(first, { type: 'taskError', ...task, code: 'device-lost', message: 'it is gone' });
    expect(eventsOf(coordinator.dispatch({ type: 'remove', workerId: 'w1' }))).toMatchObject([{ type: 'left' }]);
    expect(coordinator.connections).not.toContain(first);
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

  it('is that it joins, that the run has not started or is paused', () => {
    const { coordinator } = started(1, { startWorkers: 2 });
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
  ] as const)('is that it is not needed, with participation %s: %s', (participation, reason) => {
    const coordinator = new ScriptedCoordinator({ startWorkers: 3, batch: 4, samples: 64, participation });
    for (let worker = 0; worker < 3; worker++) coordinator.join({ isNewcomer: true });
    coordinator.completeSteps(8);
    expect(reasonsOf(coordinator)).toContain(reason);
    expect(reasonsOf(coordinator)).toContain(undefined);
  });

  it('is that its speed is not known yet, or that it is too slow', () => {
    const { coordinator, first: quick } = started(1, { startWorkers: 1, epochs: 100 });
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
