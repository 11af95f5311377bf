import { describe, expect, it } from 'vitest';
import { ScriptedCoordinator, sentTo } from './scripted-coordinator.ts';

/** Two workers that share the current step, of which neither has answered. */
function withTwoWorkers() {
  const coordinator = new ScriptedCoordinator();
  const [first, second] = [coordinator.join(), coordinator.join()];
  coordinator.completePlannedSteps();
  return { coordinator, first, second, task: coordinator.tasksOf(first)[0]! };
}

describe('a late or duplicate gradient', () => {
  it('is ignored: its shard is counted once, and no fault is', () => {
    const { coordinator, first, second, task } = withTwoWorkers();
    coordinator.gradient(first, task);
    const counted = () => structuredClone([coordinator.state.records, coordinator.state.faults]);
    const before = counted();
    expect(coordinator.gradient(first, task)).toEqual([]);
    expect(coordinator.gradient(second, task)).toEqual([]);
    expect(counted()).toEqual(before);
    coordinator.answerAll(second);
    expect(coordinator.gradient(first, task)).toEqual([]);
  });

  it('is ignored where its shard was taken away meanwhile', () => {
    const { coordinator, first, second, task } = withTwoWorkers();
    const error = { type: 'taskError', ...task, code: 'device-lost', message: 'the device is gone' } as const;
    coordinator.receive(first, error);
    coordinator.receive(first, { type: 'numericsResult', hash: 'aaaaaaaa', samplesPerMs: 1 });
    const added = coordinator.added.length;
    coordinator.gradient(first, task);
    expect(coordinator.added).toHaveLength(added);
    expect(coordinator.tasksOf(second)).toContainEqual(task);
  });

  it('is ignored where the shard was never given to the worker', () => {
    const { coordinator, first, second } = withTwoWorkers();
    const added = coordinator.added.length;
    for (const task of coordinator.tasksOf(second)) coordinator.gradient(first, task);
    expect(coordinator.added).toHaveLength(added);
  });
});

describe('a gradient', () => {
  it('counts for the worker that returned it, not for the one that had lost the shard', () => {
    const coordinator = new ScriptedCoordinator({ steps: 1 });
    const [first, second] = [coordinator.join(), coordinator.join()];
    expect(coordinator.tasksOf(first)).toHaveLength(1);
    coordinator.wait(6_000);
    expect(coordinator.state.connections.has(first)).toBe(false);
    coordinator.answerAll(second);
    expect(coordinator.state.phase).toBe('finished');
    expect([...coordinator.state.records.values()].map(({ shards }) => shards)).toEqual([0, 1]);
  });

  it('counts at most the time for which its worker had the shard, whatever computing time it reports', () => {
    const coordinator = new ScriptedCoordinator({ steps: 1 });
    const only = coordinator.join();
    coordinator.nowMs += 40;
    coordinator.answerAll(only, 1e308);
    expect([...coordinator.state.records.values()][0]).toMatchObject({ shards: 1, samples: 16, computeMs: 40 });
  });
});

describe('a gradient that is not finite', () => {
  it('is computed by the coordinator, and the run goes on where that is finite', () => {
    const { coordinator, first, task } = withTwoWorkers();
    const effects = coordinator.nonFinite(first, task);
    expect(effects).toContainEqual({ type: 'referee', ...task });
    expect(effects).toContainEqual(expect.objectContaining({ type: 'add', ...task, from: 0 }));
    coordinator.completeRun();
    expect(coordinator.state.phase).toBe('finished');
  });

  it('fails the run with a message that names the samples where the coordinator finds the same', () => {
    const { coordinator, first, task } = withTwoWorkers();
    coordinator.refereeFindsFinite = false;
    const effects = coordinator.nonFinite(first, task);
    const from = 16 * (task.step % 4) + task.lo * 2;
    const samples = `samples ${from} to ${from + task.n * 2 - 1} of epoch ${Math.floor(task.step / 4) + 1}`;
    expect(effects.at(-1)).toMatchObject({ type: 'failed', message: expect.stringContaining(samples) });
    expect(coordinator.state.phase).toBe('failed');
  });

  it('from one worker alone does not fail the run, however often it is reported', () => {
    const coordinator = new ScriptedCoordinator({ limits: { maxTaskErrors: 100 } });
    const [faulty] = [coordinator.join(), coordinator.join()];
    coordinator.completePlannedSteps();
    const task = coordinator.tasksOf(faulty)[0]!;
    for (let times = 0; times < 50; times++) coordinator.nonFinite(faulty, task);
    expect(coordinator.state.phase).toBe('training');
  });
});

describe('task errors', () => {
  it('disconnect a worker at the third in a row; a result between them starts the count again', () => {
    const coordinator = new ScriptedCoordinator({ epochs: 20 });
    // In another numeric mode than the coordinator, where values may overflow that do not overflow there.
    const [faulty] = [coordinator.join({ hash: 'bbbbbbbb' }), coordinator.join()];
    for (let times = 0; times < 5; times++) {
      coordinator.completePlannedSteps();
      coordinator.nonFinite(faulty, coordinator.tasksOf(faulty)[0]!);
      coordinator.completePlannedSteps();
    }
    expect(coordinator.state.connections.has(faulty)).toBe(true);
    const pastTask = { step: 0, lo: 0, n: 8 };
    coordinator.nonFinite(faulty, pastTask);
    coordinator.nonFinite(faulty, pastTask);
    const effects = coordinator.nonFinite(faulty, pastTask, 'x'.repeat(1_000));
    expect(sentTo(faulty, effects)).toEqual(['refuse', 'close']);
    const refusal = effects.find((effect) => effect.type === 'send' && effect.message.type === 'refuse');
    // The refusal quotes the worker's own text, cut to the length that a message may have.
    expect(refusal).toMatchObject({ message: { code: 'busy', message: expect.stringMatching(/^.{1,1000}$/) } });
  });

  it('of a lost device take all shards from the worker until it has passed the numerics check again', () => {
    const { coordinator, first: broken, second: other, task } = withTwoWorkers();
    const error = { type: 'taskError', ...task, code: 'device-lost', message: 'the device is gone' } as const;
    expect(sentTo(broken, coordinator.receive(broken, error))).toEqual(['sendNumericsCheck']);
    expect(coordinator.tasksOf(broken)).toEqual([]);
    expect(coordinator.tasksOf(other)).toContainEqual(task);
    // A gradient that it sent before the error is late, and no protocol violation.
    expect(coordinator.gradient(broken, task)).toEqual([]);
    coordinator.numericsResult(broken, 'bbbbbbbb');
    coordinator.completeRun();
    expect(coordinator.state.phase).toBe('finished');
    expect(coordinator.state.contributed.map(({ numericsHash }) => numericsHash)).toEqual(['aaaaaaaa', 'bbbbbbbb']);
  });

  it('of several shards that were lost with one device count as one, and lead to one numerics check', () => {
    const { coordinator, first: broken, task } = withTwoWorkers();
    const error = { type: 'taskError', code: 'device-lost', message: 'the device is gone' } as const;
    coordinator.receive(broken, { ...error, ...task });
    for (const lo of [0, 1, 2])
      expect(coordinator.receive(broken, { ...error, step: task.step, lo, n: 1 })).toEqual([]);
    coordinator.numericsResult(broken, 'bbbbbbbb');
    expect(coordinator.state.connections.get(broken)).toMatchObject({ phase: 'ready', taskErrors: 1 });
    coordinator.completeRun();
    expect(coordinator.state.faults).toMatchObject({ rejected: 1, disconnects: 0 });
  });
});
