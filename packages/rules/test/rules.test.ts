import { describe, expect, it } from 'vitest';
import type { Command } from '../src/events.ts';
import type { ConnectionId } from '../src/state.ts';
import { eventsOf, ScriptedCoordinator, sentTo, started } from './scripted-coordinator.ts';

type Violation = (coordinator: ScriptedCoordinator, connection: ConnectionId) => readonly Command[];

const hello: Violation = (coordinator, connection) => coordinator.hello(connection);
const numericsResult: Violation = (coordinator, connection) => coordinator.numericsResult(connection);
const gradientOf =
  (step: number): Violation =>
  (coordinator, connection) =>
    coordinator.gradient(connection, { step, lo: 0, n: 8 });
const taskError: Violation = (coordinator, connection) => coordinator.nonFinite(connection, { step: 0, lo: 0, n: 8 });
const status: Violation = (coordinator, connection) =>
  coordinator.receive(connection, { type: 'status', hidden: true });
const ping: Violation = (coordinator, connection) => coordinator.receive(connection, { type: 'ping', sentAtMs: 17 });

describe('a message that its phase does not allow', () => {
  it.each([
    ['a second hello', 'ready', hello],
    ['a hello during the numerics check', 'checking', hello],
    ['a numerics result before hello', 'handshake', numericsResult],
    ['a numerics result without a check', 'ready', numericsResult],
    ['a gradient before hello', 'handshake', gradientOf(0)],
    ['a gradient before the numerics check', 'checking', gradientOf(0)],
    ['a gradient of the current step, whose weights it was not sent', 'ready', gradientOf(0)],
    ['a gradient of the next step', 'ready', gradientOf(1)],
    ['a task error before hello', 'handshake', taskError],
    ['a status before hello', 'handshake', status],
    ['a ping before hello', 'handshake', ping],
  ] as const)('%s closes its socket with 1002', (_, phase, violate) => {
    const { coordinator, first: other } = started(1);
    const connection = phase === 'ready' ? coordinator.join() : coordinator.open();
    if (phase === 'checking') coordinator.hello(connection);
    const close = expect.objectContaining({ type: 'close', connection, code: 1002 });
    const effects = violate(coordinator, connection);
    expect(effects).toContainEqual(close);
    expect(sentTo(connection, effects)).toEqual(['close']);
    expect(coordinator.state.faults.rejected).toBe(1);
    expect(coordinator.connections).toEqual([other]);
  });
});

describe('a status', () => {
  it('says whether a worker is a tab in the background, and changes nothing else', () => {
    const { coordinator, first: tab } = started(1);
    const shards = () => structuredClone([...coordinator.state.current.shards.values()]);
    const before = shards();
    expect(coordinator.receive(tab, { type: 'status', hidden: true })).toEqual([]);
    expect(coordinator.state.connections.get(tab)?.hidden).toBe(true);
    expect(shards()).toEqual(before);
    coordinator.receive(tab, { type: 'status', hidden: false });
    expect(coordinator.state.connections.get(tab)?.hidden).toBe(false);
  });
});

describe('a ping', () => {
  it('is answered with its own time', () => {
    const { coordinator, first: connection } = started(1);
    const pong = { type: 'send', connection, message: { type: 'pong', sentAtMs: 17 } };
    expect(ping(coordinator, connection)).toEqual([pong]);
  });

  it('is not sent before hello', () => {
    const coordinator = new ScriptedCoordinator();
    coordinator.open();
    expect(coordinator.wait(coordinator.setup.limits.heartbeatMs)).toEqual([]);
  });
});

describe('a run that waits for an evaluation', () => {
  it('takes the allowed steps and no more until it may, with results that arrived before', () => {
    const { coordinator, first: only } = started(1);
    coordinator.dispatch({ type: 'allow', steps: 2 });
    coordinator.completeSteps(2);
    expect(coordinator.state.current.step).toBe(2);
    coordinator.answerAll(only);
    expect(coordinator.state).toMatchObject({ phase: 'training', current: { step: 2 } });
    expect(coordinator.dispatch({ type: 'allow', steps: 4 })).toContainEqual({ type: 'applyStep', step: 2 });
    coordinator.completeSteps(1);
    expect(coordinator.state.current.step).toBe(4);
  });

  it('ends early as after its last step, once', () => {
    const { coordinator, first: only } = started(1);
    coordinator.completeSteps(1);
    const commands = coordinator.dispatch({ type: 'finish' });
    expect(commands).toContainEqual({ type: 'finished' });
    expect(sentTo(only, commands)).toEqual(['finish', 'close']);
    expect(coordinator.state).toMatchObject({ phase: 'finished', current: { step: 1 } });
    expect(coordinator.dispatch({ type: 'finish' })).toEqual([]);
  });
});

describe('a paused run', () => {
  it('takes results of its current step, and does not take the step', () => {
    const { coordinator, first: only } = started(1);
    expect(eventsOf(coordinator.control('pause'))).toEqual([{ type: 'pauseRequested' }]);
    expect(coordinator.state).toMatchObject({ phase: 'paused', pauseRequested: true });
    coordinator.answerAll(only);
    expect(coordinator.added.length).toBeGreaterThan(0);
    expect(coordinator.effects.some(({ type }) => type === 'applyStep')).toBe(false);
    const effects = coordinator.control('resume');
    expect(effects).toContainEqual({ type: 'applyStep', step: 0 });
    expect(eventsOf(effects)).toEqual([{ type: 'resumed' }]);
    coordinator.finish();
  });

  it('is not changed by a second pause, nor a running one by a second resume', () => {
    const { coordinator } = started(1);
    coordinator.control('pause');
    expect(coordinator.control('pause')).toEqual([]);
    coordinator.control('resume');
    expect(coordinator.control('resume')).toEqual([]);
  });

  it('reassigns the shards of a worker that leaves, and makes no worker late', () => {
    const { coordinator, first, second } = started(2);
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
    coordinator.finish();
    expect(coordinator.state.faults.duplicated).toBe(0);
  });

  it('that is resumed without a worker reports that it is paused, and goes on when one joins', () => {
    const { coordinator, first: only } = started(1);
    coordinator.control('pause');
    coordinator.close(only);
    expect(eventsOf(coordinator.control('resume'))).toEqual([{ type: 'paused' }]);
    coordinator.join();
    expect(eventsOf(coordinator.effects).at(-1)).toEqual({ type: 'resumed' });
    coordinator.finish();
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
    const { coordinator } = started(1, { waitForStart: true });
    coordinator.wait(10_000);
    expect(coordinator.state.phase).toBe('waiting');
    expect(eventsOf(coordinator.control('start'))).toEqual([{ type: 'started' }]);
    coordinator.finish();
  });

  it.each([true, false])('begins a run with fewer workers than it was set up for, once there is one: %s', (isThere) => {
    const coordinator = new ScriptedCoordinator({ startWorkers: 4, waitForStart: !isThere });
    if (isThere) coordinator.join();
    expect(coordinator.state.phase).toBe('waiting');
    coordinator.control('start');
    expect(coordinator.state.phase).toBe(isThere ? 'training' : 'waiting');
    if (!isThere) coordinator.join();
    expect(coordinator.state.phase).toBe('training');
  });
});

describe('an injected fault', () => {
  const kill = { type: 'injectFault', workerId: 'w1', action: 'kill', forMs: 0 } as const;

  it('is sent to the worker that it names, and reported', () => {
    const { coordinator, first, second } = started(2, { faultInjection: true });
    const effects = coordinator.dispatch({ ...kill, workerId: 'w2' });
    expect(sentTo(second, effects)).toEqual(['injectFault']);
    expect(sentTo(first, effects)).toEqual([]);
    expect(eventsOf(effects)).toEqual([{ type: 'injectFault', workerId: 'w2', action: 'kill' }]);
  });

  it('has no effect in a run that was not set up for it, nor on a worker that is not connected', () => {
    const { coordinator } = started(1);
    expect(coordinator.dispatch(kill)).toEqual([]);
    expect(new ScriptedCoordinator({ faultInjection: true }).dispatch(kill)).toEqual([]);
  });
});

describe('a run', () => {
  it('begins with fewer workers than it was set up for when the time for them is over', () => {
    const { coordinator } = started(1, { startWorkers: 3 });
    coordinator.wait(4_999);
    expect(coordinator.state.phase).toBe('waiting');
    coordinator.wait(1);
    expect(coordinator.state.phase).toBe('training');
  });

  it('pauses when its last worker disconnects, reports it, and resumes when one joins', () => {
    const { coordinator, first } = started(1);
    expect(eventsOf(coordinator.close(first))).toContainEqual({ type: 'paused' });
    expect(coordinator.state.phase).toBe('paused');
    coordinator.wait(3_600_000);
    expect(coordinator.state.phase).toBe('paused');
    const second = coordinator.join();
    expect(eventsOf(coordinator.effects)).toContainEqual({ type: 'resumed' });
    expect(coordinator.tasksOf(second).length).toBeGreaterThan(0);
    coordinator.finish();
  });
});

describe('a run from a checkpoint', () => {
  it('begins at the step of the checkpoint', () => {
    const { coordinator, first: only } = started(1, { firstStep: 5, epochs: 2 });
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
