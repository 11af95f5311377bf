import { protocolVersion } from '@lockstep/protocol';
import { describe, expect, it } from 'vitest';
import { Rules } from '../src/rules.ts';
import { claimOf, claimText, exactnessOf, historyOf } from '../src/run-account.ts';
import { ScriptedCoordinator } from './scripted-coordinator.ts';

const own = { refereeMode: 'f32-mul-add.v1', refereeHash: 'aaaaaaaa' };
const cpu = { numericMode: 'f32-mul-add.v1', hash: 'aaaaaaaa' };
const webgl = { backend: 'webgl', numericMode: 'gpu.js webgl2 on a card', hash: 'bbbbbbbb' };

/** Returns the claim of a run of one step to which all of these workers contribute. */
function claimWith(workers: readonly Parameters<ScriptedCoordinator['join']>[0][]) {
  const coordinator = new ScriptedCoordinator({ steps: 1, startWorkers: workers.length, ...own });
  for (const connection of workers.map((worker) => coordinator.join(worker))) coordinator.answerAll(connection);
  expect(coordinator.state.phase).toBe('finished');
  for (const { shards } of coordinator.state.records.values()) expect(shards).toBeGreaterThan(0);
  const claim = claimOf(coordinator.state);
  return { ...claim, text: claimText(claim) };
}

describe('a run claims', () => {
  it("bits of the coordinator's numeric mode if all contributors compute in it", () => {
    expect(claimWith([cpu, { ...cpu, backend: 'reference' }])).toEqual({
      exactness: 'bit-exact',
      numericMode: 'f32-mul-add.v1',
      bitExactAmong: null,
      text: 'bit-exact (f32-mul-add.v1)',
    });
  });

  it('bits only among WebGL if only WebGL contributed', () => {
    expect(claimWith([webgl, webgl])).toEqual({
      exactness: 'bit-exact',
      numericMode: 'gpu.js webgl2 on a card, numerics check bbbbbbbb',
      bitExactAmong: 'webgl',
      text: 'bit-exact among webgl',
    });
  });

  it('bits only among its own backend even if another mode gives the same numerics check', () => {
    expect(claimWith([{ ...webgl, hash: 'aaaaaaaa' }])).toMatchObject({ text: 'bit-exact among webgl' });
  });

  it.each([
    ['modes are mixed', [cpu, webgl]],
    ['modes of one numerics check but different names are mixed', [cpu, { ...webgl, hash: 'aaaaaaaa' }]],
    ['GPUs differ', [webgl, { ...webgl, hash: 'cccccccc' }]],
  ])('no bits if %s', (_case, workers) => {
    const none = { exactness: 'sample-exact', numericMode: null, bitExactAmong: null, text: 'sample-exact' };
    expect(claimWith(workers)).toEqual(none);
  });

  it('nothing before its first step', () => {
    const coordinator = new ScriptedCoordinator({ steps: 1, startWorkers: 2, ...own });
    const [first] = [coordinator.join(cpu), coordinator.join(cpu)];
    coordinator.answerAll(first!);
    expect(coordinator.state.contributed).toHaveLength(1);
    const claim = claimOf(coordinator.state);
    expect(claim).toEqual({ exactness: null, numericMode: null, bitExactAmong: null });
    expect(claimText(claim)).toBe('no step was taken');
  });

  it('the same when a worker joined that contributed nothing', () => {
    const coordinator = new ScriptedCoordinator({ steps: 1, ...own });
    const worker = coordinator.join(cpu);
    coordinator.join(webgl);
    coordinator.answerAll(worker);
    expect(coordinator.state.phase).toBe('finished');
    expect(claimOf(coordinator.state)).toMatchObject({ exactness: 'bit-exact', numericMode: 'f32-mul-add.v1' });
  });
});

/** A run of two workers in different numeric modes, after its first step; a third worker has computed nothing. */
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

  it('holds no resume key, and no key lets a later worker take an earlier identity', () => {
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

  it('at the last step of a run leaves nothing to do', () => {
    const { state } = afterOneStep();
    expect(new Rules(state.setup, 4, historyOf(state, 0)).view.phase).toBe('finished');
  });
});
