import { describe, expect, it } from 'vitest';
import { exactnessOf } from '../../src/coordinator/exactness.ts';
import type { ConnectionId } from '../../src/coordinator/state.ts';
import { isAudited, isVerified } from '../../src/coordinator/verified-shards.ts';
import { type CoordinatorOptions, eventsOf, ScriptedCoordinator, sentTo, type Task } from './scripted-coordinator.ts';

/** A coordinator that computes as its workers do. */
const createCoordinator = (options: CoordinatorOptions): ScriptedCoordinator =>
  new ScriptedCoordinator({ refereeMode: 'test', refereeHash: 'aaaaaaaa', ...options });

/** Two proven workers in a step in which both compute each shard; the shard is one that is not audited, or one that is. */
function withVerifiedShard(audited: boolean) {
  const coordinator = createCoordinator({ verifyRate: 1, epochs: 50 });
  const [first, second] = [coordinator.join(), coordinator.join()];
  coordinator.completePlannedSteps();
  const isSought = ({ step, lo }: Task): boolean => isAudited(coordinator.setup, step, lo) === audited;
  while (!coordinator.tasksOf(first).some(isSought)) coordinator.completeSteps(1);
  return { coordinator, first, second, task: coordinator.tasksOf(first).find(isSought)! };
}

const typesOf = (effects: readonly { readonly type: string }[]): string[] => effects.map(({ type }) => type);
const shardsOf = ({ state }: ScriptedCoordinator, connection: ConnectionId): number =>
  state.records.get(state.connections.get(connection)?.workerId ?? '')?.shards ?? -1;

describe('a verified shard', () => {
  it('is added when its second result agrees, and counts for the worker that came second', () => {
    const { coordinator, first, second, task } = withVerifiedShard(false);
    const before = shardsOf(coordinator, second);
    expect(typesOf(coordinator.gradient(first, task))).not.toContain('addHeld');
    const effects = coordinator.gradient(second, task);
    expect(effects).toContainEqual({ type: 'addHeld', ...task, from: second });
    expect(typesOf(effects)).not.toContain('referee');
    expect(shardsOf(coordinator, second)).toBe(before + 1);
  });

  it('is computed by the coordinator as well where it is audited, since two liars may agree', () => {
    const { coordinator, first, second, task } = withVerifiedShard(true);
    coordinator.gradient(first, task);
    const effects = coordinator.gradient(second, task);
    expect(typesOf(effects)).toContain('referee');
    expect(effects).toContainEqual({ type: 'addHeld', ...task, from: first });
  });

  it('whose results differ is decided by the coordinator: the liar is refused, and the right result counts', () => {
    const { coordinator, first: liar, second, task } = withVerifiedShard(false);
    coordinator.liars.add(liar);
    coordinator.gradient(liar, task);
    const effects = coordinator.gradient(second, task);
    expect(effects).toContainEqual({ type: 'addHeld', ...task, from: second });
    expect(sentTo(liar, effects)).toEqual(['refuse', 'close']);
    expect(eventsOf(effects)).toContainEqual(expect.objectContaining({ type: 'quarantined', workerId: 'w1' }));
    expect(coordinator.state.faults.quarantined).toBe(1);
    expect(exactnessOf(coordinator.state)).toBe('unverified');
    coordinator.completeRun();
    expect(coordinator.state.phase).toBe('finished');
  });

  it('where both results are wrong is that of the coordinator', () => {
    const { coordinator, first, second, task } = withVerifiedShard(false);
    coordinator.liars.add(first).add(second);
    coordinator.gradient(first, task);
    expect(coordinator.gradient(second, task)).toContainEqual({ type: 'addHeld', ...task, from: 0 });
    expect(coordinator.state.faults.quarantined).toBe(2);
  });

  it('begins the step anew where a liar has contributed to it already', () => {
    const coordinator = createCoordinator({ verifyRate: 0.4, epochs: 400 });
    const [liar, honest] = [coordinator.join(), coordinator.join()];
    coordinator.completePlannedSteps();
    const isVerifiedTask = ({ step, lo }: Task): boolean => isVerified(coordinator.setup, step, lo);
    const owned = () => coordinator.tasksOf(liar);
    while (!(owned().some(isVerifiedTask) && owned().some((task) => !isVerifiedTask(task)))) {
      coordinator.completeSteps(1);
    }
    coordinator.liars.add(liar);
    const [verified, unverified] = [owned().find(isVerifiedTask)!, owned().find((task) => !isVerifiedTask(task))!];
    coordinator.gradient(liar, unverified);
    coordinator.gradient(liar, verified);
    const { step } = coordinator.state.current;
    expect(coordinator.gradient(honest, verified)).toContainEqual({ type: 'restartStep', step });
    expect(coordinator.state.current.step).toBe(step);
    coordinator.completeSteps(1);
    expect(coordinator.state.current.step).toBe(step + 1);
  });

  it('takes no second result from the same worker, which came back on another connection', () => {
    const coordinator = createCoordinator({ verifyRate: 1 });
    const first = coordinator.join();
    const effects = coordinator.gradient(first, coordinator.tasksOf(first)[0]!);
    // No other worker can vote: the coordinator computes it.
    expect(typesOf(effects)).toContain('referee');
  });
});

describe('a result that is suspect', () => {
  it('is computed by the coordinator at once, and counts where it was right', () => {
    const coordinator = createCoordinator({ epochs: 4 });
    const only = coordinator.join();
    const [task] = coordinator.tasksOf(only) as [Task];
    const message = { type: 'gradient', ...task, computeMs: 1, agreesWith: [], isSuspect: true } as const;
    const effects = coordinator.receive(only, message);
    expect(typesOf(effects)).toContain('referee');
    expect(effects).toContainEqual({ type: 'addHeld', ...task, from: only });
    expect(coordinator.state.faults.quarantined).toBe(0);
  });

  it('ends its worker where it was wrong, without harm to the step', () => {
    const coordinator = createCoordinator({ epochs: 4 });
    const only = coordinator.join();
    coordinator.liars.add(only);
    const [task] = coordinator.tasksOf(only) as [Task];
    const message = { type: 'gradient', ...task, computeMs: 1, agreesWith: [], isSuspect: true } as const;
    expect(coordinator.receive(only, message)).toContainEqual({ type: 'addHeld', ...task, from: 0 });
    expect(coordinator.state.faults.quarantined).toBe(1);
    expect(exactnessOf(coordinator.state)).toBe('bit-exact');
  });
});

describe('a worker on trial', () => {
  /** A worker that joins beside a proven one, in the step in which it is on trial. */
  function withTrial() {
    const coordinator = createCoordinator({ epochs: 50 });
    const proven = coordinator.join();
    coordinator.completeSteps(2);
    const newcomer = coordinator.join({ isNewcomer: true });
    while (coordinator.tasksOf(newcomer).length === 0) coordinator.completeSteps(1);
    return { coordinator, proven, newcomer, task: coordinator.tasksOf(newcomer)[0]! };
  }

  it('is not believed alone, however fast it is', () => {
    const { coordinator, proven, newcomer, task } = withTrial();
    expect(coordinator.tasksOf(proven)).toContainEqual(task);
    expect(typesOf(coordinator.gradient(newcomer, task))).not.toContain('addHeld');
    expect(coordinator.gradient(proven, task)).toContainEqual({ type: 'addHeld', ...task, from: proven });
  });

  it('is found out where it lies before the proven worker answers', () => {
    const { coordinator, proven, newcomer, task } = withTrial();
    coordinator.liars.add(newcomer);
    coordinator.gradient(newcomer, task);
    expect(coordinator.gradient(proven, task)).toContainEqual({ type: 'addHeld', ...task, from: proven });
    expect(coordinator.state.faults.quarantined).toBe(1);
    expect(exactnessOf(coordinator.state)).toBe('bit-exact');
  });
});

describe('which shards are verified', () => {
  it.each([0, 0.02, 0.5, 1])('is drawn at a rate of %d', (verifyRate) => {
    const setup = { ...new ScriptedCoordinator({ verifyRate }).setup, verifySalt: 77 };
    const draws = Array.from({ length: 20_000 }, (_, step) => isVerified(setup, step >> 2, step & 3));
    const share = draws.filter(Boolean).length / draws.length;
    expect(Math.abs(share - verifyRate)).toBeLessThan(0.01);
  });
});
