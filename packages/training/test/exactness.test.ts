import { describe, expect, it } from 'vitest';
import { exactnessOf } from '../src/coordinator/exactness.ts';
import { createRoom } from './room.ts';

describe('exactness', () => {
  it('is bit-exact where all who contributed computed the numerics check to the same bits', () => {
    const room = createRoom({ steps: 1, startWorkers: 2 });
    const workers = [room.join({ hash: 'aaaaaaaa' }), room.join({ hash: 'aaaaaaaa' })];
    for (const connection of workers) room.answerAll(connection);
    expect(exactnessOf(room.state)).toBe('bit-exact');
  });

  it('is sample-exact once two numeric modes have contributed', () => {
    const room = createRoom({ steps: 1, startWorkers: 2 });
    const workers = [room.join({ hash: 'aaaaaaaa' }), room.join({ hash: 'bbbbbbbb' })];
    for (const connection of workers) room.answerAll(connection);
    expect(exactnessOf(room.state)).toBe('sample-exact');
  });

  it('is not changed by a worker of another numeric mode that contributed nothing', () => {
    const room = createRoom({ steps: 1 });
    const worker = room.join({ hash: 'aaaaaaaa' });
    room.join({ hash: 'bbbbbbbb' });
    room.answerAll(worker);
    expect(room.state.phase).toBe('finished');
    expect(exactnessOf(room.state)).toBe('bit-exact');
  });
});
