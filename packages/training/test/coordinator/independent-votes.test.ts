import { expect, it } from 'vitest';
import { draftOf } from '../../src/coordinator/draft.ts';
import { isIndependent } from '../../src/coordinator/verification.ts';
import { ScriptedCoordinator } from './scripted-coordinator.ts';

it('a vote confirms that of another worker, as long as its own worker has not left', () => {
  const coordinator = new ScriptedCoordinator({});
  const [one, other] = [coordinator.join(), coordinator.join()];
  const confirms = (workerId: string): boolean => {
    const draft = draftOf(coordinator.state, coordinator.nowMs);
    return isIndependent(draft, { connection: one, workerId: 'w1', computeMs: 1 }, workerId);
  };
  expect(coordinator.state.connections.get(other)?.workerId).toBe('w2');
  expect([confirms('w1'), confirms('w2')]).toEqual([false, true]);
  coordinator.close(one);
  // It may have come back as w3.
  expect([confirms('w2'), confirms('w3')]).toEqual([false, false]);
});
