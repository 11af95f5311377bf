import { describe, expect, it } from 'vitest';
import { exactnessOf } from '../../src/coordinator/exactness.ts';
import { ScriptedCoordinator } from './scripted-coordinator.ts';

describe('exactness', () => {
  it('is bit-exact where all contributors have the same numerics hash', () => {
    const coordinator = new ScriptedCoordinator({ steps: 1, startWorkers: 2 });
    const workers = [coordinator.join({ hash: 'aaaaaaaa' }), coordinator.join({ hash: 'aaaaaaaa' })];
    for (const connection of workers) coordinator.answerAll(connection);
    expect(exactnessOf(coordinator.state)).toBe('bit-exact');
  });

  it('is sample-exact once workers with different numerics hashes have contributed', () => {
    const coordinator = new ScriptedCoordinator({ steps: 1, startWorkers: 2 });
    const workers = [coordinator.join({ hash: 'aaaaaaaa' }), coordinator.join({ hash: 'bbbbbbbb' })];
    for (const connection of workers) coordinator.answerAll(connection);
    expect(exactnessOf(coordinator.state)).toBe('sample-exact');
  });

  it('does not depend on a worker that contributed nothing', () => {
    const coordinator = new ScriptedCoordinator({ steps: 1 });
    const worker = coordinator.join({ hash: 'aaaaaaaa' });
    coordinator.join({ hash: 'bbbbbbbb' });
    coordinator.answerAll(worker);
    expect(coordinator.state.phase).toBe('finished');
    expect(exactnessOf(coordinator.state)).toBe('bit-exact');
  });
});
