import { describe, expect, it } from 'vitest';
import { ScriptedCoordinator, sentTo } from './scripted-coordinator.ts';

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
