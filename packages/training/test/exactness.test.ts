import { describe, expect, it } from 'vitest';
import { exactnessOf } from '../src/coordinator/exactness.ts';
import { createCoordinator } from './scripted-coordinator.ts';

describe('exactness', () => {
  it('is bit-exact where all who contributed computed the numerics check to the same bits', () => {
    const coordinator = createCoordinator({ steps: 1, startWorkers: 2 });
    const workers = [coordinator.join({ hash: 'aaaaaaaa' }), coordinator.join({ hash: 'aaaaaaaa' })];
    for (const connection of workers) coordinator.answerAll(connection);
    expect(exactnessOf(coordinator.state)).toBe('bit-exact');
  });

  it('is sample-exact once two numeric modes have contributed', () => {
    const coordinator = createCoordinator({ steps: 1, startWorkers: 2 });
    const workers = [coordinator.join({ hash: 'aaaaaaaa' }), coordinator.join({ hash: 'bbbbbbbb' })];
    for (const connection of workers) coordinator.answerAll(connection);
    expect(exactnessOf(coordinator.state)).toBe('sample-exact');
  });

  it('is not changed by a worker of another numeric mode that contributed nothing', () => {
    const coordinator = createCoordinator({ steps: 1 });
    const worker = coordinator.join({ hash: 'aaaaaaaa' });
    coordinator.join({ hash: 'bbbbbbbb' });
    coordinator.answerAll(worker);
    expect(coordinator.state.phase).toBe('finished');
    expect(exactnessOf(coordinator.state)).toBe('bit-exact');
  });
});
