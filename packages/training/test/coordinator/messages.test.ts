import { describe, expect, it } from 'vitest';
import type { Command } from '../../src/coordinator/events.ts';
import type { ConnectionId } from '../../src/coordinator/state.ts';
import { ScriptedCoordinator, sentTo } from './scripted-coordinator.ts';

type Violation = (coordinator: ScriptedCoordinator, connection: ConnectionId) => readonly Command[];

const hello: Violation = (coordinator, connection) => coordinator.hello(connection);
const numericsResult: Violation = (coordinator, connection) => coordinator.numericsResult(connection);
const gradientOf =
  (step: number): Violation =>
  (coordinator, connection) =>
    coordinator.gradient(connection, { step, lo: 0, n: 8 });
const taskError: Violation = (coordinator, connection) => coordinator.nonFinite(connection, { step: 0, lo: 0, n: 8 });

describe('a message that its phase does not allow', () => {
  it.each([
    ['a second hello', 'ready', hello],
    ['a hello during the numerics check', 'checking', hello],
    ['a numerics result before hello', 'handshake', numericsResult],
    ['a numerics result without a check', 'ready', numericsResult],
    ['a gradient before hello', 'handshake', gradientOf(0)],
    ['a gradient before the numerics check', 'checking', gradientOf(0)],
    ['a gradient of the next step', 'ready', gradientOf(1)],
    ['a task error before hello', 'handshake', taskError],
  ] as const)('%s closes its socket with 1002', (_, phase, violate) => {
    const coordinator = new ScriptedCoordinator();
    const other = coordinator.join();
    const connection = phase === 'ready' ? coordinator.join() : coordinator.open();
    if (phase === 'checking') coordinator.hello(connection);
    const close = expect.objectContaining({ type: 'close', connection, code: 1002 });
    expect(violate(coordinator, connection)).toContainEqual(close);
    expect(coordinator.state.faults.rejected).toBe(1);
    expect(coordinator.connections).toEqual([other]);
  });

  it('a status before hello closes its socket', () => {
    const coordinator = new ScriptedCoordinator();
    const connection = coordinator.open();
    const effects = coordinator.receive(connection, { type: 'status', hidden: true });
    expect(sentTo(connection, effects)).toEqual(['close']);
  });

  it('a gradient from a worker that was not sent the weights closes its socket, even where the shard is wanted', () => {
    const coordinator = new ScriptedCoordinator();
    coordinator.join();
    const eager = coordinator.join();
    expect(sentTo(eager, coordinator.effects)).not.toContain('sendWeights');
    expect(sentTo(eager, coordinator.gradient(eager, { step: 0, lo: 0, n: 8 }))).toContain('close');
  });
});

describe('a status', () => {
  it('says whether a worker is a tab in the background, and changes nothing else', () => {
    const coordinator = new ScriptedCoordinator();
    const tab = coordinator.join();
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
  const ping = { type: 'ping', sentAtMs: 17 } as const;

  it('is answered with its own time', () => {
    const coordinator = new ScriptedCoordinator();
    const connection = coordinator.join();
    const effects = coordinator.receive(connection, ping);
    expect(effects).toEqual([{ type: 'send', connection, message: { type: 'pong', sentAtMs: 17 } }]);
  });

  it('before hello closes its socket, and is not asked for', () => {
    const coordinator = new ScriptedCoordinator();
    const connection = coordinator.open();
    expect(coordinator.wait(coordinator.setup.limits.heartbeatMs)).toEqual([]);
    expect(sentTo(connection, coordinator.receive(connection, ping))).toEqual(['close']);
  });
});
