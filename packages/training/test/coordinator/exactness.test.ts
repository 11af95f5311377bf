import { describe, expect, it } from 'vitest';
import { claimOf, claimText } from '../../src/coordinator/run-account.ts';
import { type CoordinatorOptions, ScriptedCoordinator } from './scripted-coordinator.ts';

const own = { refereeMode: 'f32-mul-add.v1', refereeHash: 'aaaaaaaa' };
const cpu = { numericMode: 'f32-mul-add.v1', hash: 'aaaaaaaa' };
const webgl = { backend: 'webgl', numericMode: 'gpu.js webgl2 on a card', hash: 'bbbbbbbb' };

/** What a run of one step claims to which all of these workers contribute. */
function claimWith(workers: readonly Parameters<ScriptedCoordinator['join']>[0][], options: CoordinatorOptions = {}) {
  const coordinator = new ScriptedCoordinator({ steps: 1, startWorkers: workers.length, ...own, ...options });
  for (const connection of workers.map((worker) => coordinator.join(worker))) coordinator.answerAll(connection);
  expect(coordinator.state.phase).toBe('finished');
  for (const { shards } of coordinator.state.records.values()) expect(shards).toBeGreaterThan(0);
  const claim = claimOf(coordinator.state);
  return { ...claim, text: claimText(claim) };
}

describe('a run claims', () => {
  it('bits of the numeric mode of the coordinator where all contributors compute in it', () => {
    expect(claimWith([cpu, { ...cpu, backend: 'reference' }])).toEqual({
      exactness: 'bit-exact',
      numericMode: 'f32-mul-add.v1',
      bitExactAmong: null,
      text: 'bit-exact (f32-mul-add.v1)',
    });
  });

  it('bits only among WebGL where only WebGL contributed', () => {
    expect(claimWith([webgl, webgl])).toEqual({
      exactness: 'bit-exact',
      numericMode: 'gpu.js webgl2 on a card, numerics check bbbbbbbb',
      bitExactAmong: 'webgl',
      text: 'bit-exact among webgl',
    });
  });

  it.each([
    ['relay', 'unverified'],
    ['node', 'bit-exact'],
  ] as const)('what it knows where a %s says that wrong results are in what it has sent', (kind, exactness) => {
    const coordinator = new ScriptedCoordinator({ steps: 2, ...own });
    const worker = coordinator.join({ ...cpu, kind });
    coordinator.answerAll(worker);
    coordinator.receive(worker, { type: 'status', hidden: false, workers: 3, unverified: true });
    coordinator.answerAll(worker);
    expect(coordinator.state.phase).toBe('finished');
    expect(claimOf(coordinator.state).exactness).toBe(exactness);
    expect([...coordinator.state.records.values()][0]?.workersBehind).toBe(kind === 'relay' ? 3 : undefined);
  });

  it('bits only among its kind also where another mode gives the same numerics check', () => {
    expect(claimWith([{ ...webgl, hash: 'aaaaaaaa' }])).toMatchObject({ text: 'bit-exact among webgl' });
  });

  it.each([
    ['modes are mixed', [cpu, webgl]],
    ['modes of one numerics check but different names are mixed', [cpu, { ...webgl, hash: 'aaaaaaaa' }]],
    ['GPUs differ', [webgl, { ...webgl, hash: 'cccccccc' }]],
  ])('no bits where %s', (_case, workers) => {
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
