import { protocolVersion } from '@lockstep/protocol';
import { describe, expect, it } from 'vitest';
import { Rules } from '../../src/coordinator/rules.ts';
import { exactnessOf, historyOf } from '../../src/coordinator/run-account.ts';
import { ScriptedCoordinator } from './scripted-coordinator.ts';

/** A run of two workers of different numeric modes, after its first step; a third has computed nothing. */
function afterOneStep() {
  const coordinator = new ScriptedCoordinator({ steps: 4, startWorkers: 2 });
  const workers = [coordinator.join({ hash: 'aaaaaaaa' }), coordinator.join({ hash: 'bbbbbbbb' })];
  for (const connection of workers) coordinator.answerAll(connection);
  coordinator.join({ hash: 'cccccccc' });
  return coordinator;
}

describe('the history of a run', () => {
  it('survives JSON and gives a state with the same claims, workers and faults', () => {
    const { state } = afterOneStep();
    const history = historyOf(state, 10_000);
    expect(JSON.parse(JSON.stringify(history))).toEqual(history);
    const after = new Rules(state.setup, state.current.step, history).view;
    expect(after).toMatchObject({ phase: 'waiting', current: { step: 1 }, joined: 3, faults: state.faults });
    expect(exactnessOf(after)).toBe('sample-exact');
    expect([...after.records.keys()]).toEqual(['w1', 'w2', 'w3']);
    for (const id of ['w1', 'w2']) {
      const { shards, samples, computeMs } = state.records.get(id)!;
      expect(after.records.get(id)).toMatchObject({ shards, samples, computeMs });
    }
  });

  it('counts the time of a worker that is still connected, and keeps that of one that has left to the bit', () => {
    const { state } = afterOneStep();
    const [connection] = state.connections.values();
    expect(historyOf(state, connection!.readyAtMs + 700).workers[0]?.readyMs).toBe(700);
    const history = historyOf(state, connection!.readyAtMs + 0.1);
    const [left] = new Rules(state.setup, 1, history).view.records.values();
    const after = { ...state, connections: new Map(), records: new Map([[left!.id, left!]]) };
    expect(historyOf(after, 123_456.7).workers[0]?.readyMs).toBe(left!.readyMs);
  });

  it('holds no resume key, and no key makes a later worker one of those before', () => {
    const { state } = afterOneStep();
    const history = historyOf(state, 10_000);
    const keys = [...state.records.values()].map(({ resumeKey }) => resumeKey);
    for (const key of keys) expect(JSON.stringify(history)).not.toContain(`"${key}"`);
    const identity = { kind: 'node', backend: 'cpu', numericMode: 'any', name: 'again', threads: 1 } as const;
    for (const [index, resumeKey] of ['', ...keys].entries()) {
      const after = new Rules(state.setup, state.current.step, history);
      const connection = index + 1;
      after.handle({ type: 'opened', connection, resumeKey: 'new', atMs: 0 });
      const message = { type: 'hello', protocol: protocolVersion, ...identity, resumeKey } as const;
      after.handle({ type: 'message', connection, message, atMs: 1 });
      expect(after.view.connections.get(connection)?.workerId).toBe('w4');
    }
  });

  it('of a run whose last step it is leaves nothing to do', () => {
    const { state } = afterOneStep();
    expect(new Rules(state.setup, 4, historyOf(state, 0)).view.phase).toBe('finished');
  });
});
