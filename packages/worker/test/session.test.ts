import { ComputeError } from '@lockstep/compute';
import { classField } from '@lockstep/data';
import { bytesOf, enclosed, gradientChecksum, protocolVersion } from '@lockstep/protocol';
import { describe, expect, it } from 'vitest';
import { hash } from '../../compute/test/support.ts';
import { activated, begun, computing, numericsCheck, Script, task, weights, welcome } from './script.ts';

describe('a worker session that joins', () => {
  it('sends hello first, with its identity and its compute', async () => {
    const script = new Script({ token: 'secret', resumeKey: 'key-0', kind: 'browser' });
    await script.settle();
    expect(script.received).toEqual([
      {
        type: 'hello',
        protocol: protocolVersion,
        kind: 'browser',
        backend: 'scripted',
        numericMode: 'scripted arithmetic',
        name: 'tester',
        threads: 3,
        token: 'secret',
        resumeKey: 'key-0',
      },
    ]);
  });

  it('opens the compute for the model, and warms it up before the numerics check that is timed', async () => {
    const script = new Script();
    await script.send(welcome, numericsCheck);
    expect(script.opened).toEqual([{ model: { name: 'any' }, microbatchSize: 4, targetField: classField }]);
    expect(script.jobs).toHaveLength(1);
    await script.jobs[0]!.finish({ computeMs: 900 });
    expect(script.of('numericsResult')).toEqual([]);
    await script.jobs[1]!.finish({ gradient: new Uint8Array(4).fill(9) });
    const gradient = new Uint8Array(4).fill(9);
    const result = { type: 'numericsResult', gradient, hash: hash(gradient), lossSum: 2, correct: 0, computeMs: 7 };
    expect(script.of('numericsResult')).toEqual([result]);
    expect(script.jobs.every((job) => job.weights === 200)).toBe(true);
    expect(script.events).toEqual([{ type: 'welcomed', id: 'w1', resumeKey: 'key-1' }, { type: 'ready' }]);
  });

  it('fails with one line, and leaves, where it cannot compute the model', async () => {
    const script = new Script();
    script.openError = new Error('model: expected\nlayers,\tgot none');
    await script.send(welcome, numericsCheck);
    expect(script.end).toEqual({ type: 'failed', message: 'model: expected layers, got none' });
    expect(script.closing).toMatchObject({ code: 1011, reason: 'model: expected layers, got none', by: 'remote' });
  });

  it('fails where the numerics check cannot be computed', async () => {
    const script = new Script();
    await script.send(welcome, numericsCheck);
    await script.jobs[0]!.fail(new ComputeError('device-lost', 'the device is gone'));
    expect(script.end).toEqual({ type: 'failed', message: 'the device is gone' });
  });
});

describe('a worker session that computes', () => {
  it('begins a task when the weights of its step have arrived', async () => {
    const script = await activated();
    await script.send(task(3, 0), task(3, 1));
    expect(script.jobs).toEqual([]);
    await script.send(weights(3));
    expect(begun(script)).toEqual(['3:0']);
    await script.jobs[0]!.finish();
    expect(begun(script)).toEqual(['3:0', '3:1']);
  });

  it.each([
    [{}, 0],
    [{ seed: 7 }, 7],
  ])('of a welcome of %o computes with the seed %i', async (changes, seed) => {
    const script = await activated(changes);
    await script.send(weights(0), task(0, 0));
    expect(script.jobs[0]!.seed).toBe(seed);
  });

  it('computes one shard at a time, in order of arrival, and answers each with its checksum', async () => {
    const script = await computing(2, 0);
    expect(begun(script)).toEqual(['0:2']);
    await script.jobs[0]!.finish({ gradient: Uint8Array.of(1, 2, 3, 4), correct: 1 });
    await script.jobs[1]!.finish();
    const bytes = Uint8Array.of(1, 2, 3, 4);
    const sum = { step: 0, lo: 2, n: 1, bytes, lossSum: 2, correct: 1, count: 2 };
    const answer = { type: 'gradient', ...sum, checksum: gradientChecksum(sum) };
    expect(script.of('gradient')[0]).toEqual({ ...answer, computeMs: 7, turnaroundMs: 0 });
    expect(script.of('gradient').map(({ lo }) => lo)).toEqual([2, 0]);
    expect(script.events.at(-1)).toEqual({ type: 'computed', step: 0, count: 2, computeMs: 7 });
  });

  it('computes a shard with the weights of its step, even where newer ones arrive meanwhile', async () => {
    const script = await activated();
    await script.send(weights(1), task(1, 0), task(2, 5));
    await script.send(weights(2));
    expect(begun(script)).toEqual(['1:0']);
    await script.jobs[0]!.finish();
    expect(begun(script)).toEqual(['1:0', '2:5']);
    await script.jobs[1]!.finish();
    expect(script.of('gradient').map(({ step }) => step)).toEqual([1, 2]);
  });

  it('drops tasks of steps before the newest weights, waiting or arriving', async () => {
    const script = await activated();
    await script.send(weights(1), task(1, 0), task(1, 1), task(2, 2));
    await script.send(weights(2), task(1, 3));
    await script.jobs[0]!.finish();
    await script.jobs[1]!.finish();
    expect(begun(script)).toEqual(['1:0', '2:2']);
  });

  it('caches samples, even those of a task that it drops', async () => {
    const script = await activated({ cachedSamples: 6 }, 18);
    expect(script.of('hello')[0]!.sampleCacheBytes).toBe(18);
    const named = (...numbers: number[]) => ({ numbers: bytesOf(Uint32Array.from(numbers)) });
    const stale = { ...task(1, 5), ...named(enclosed, 2 + enclosed), targets: bytesOf(Uint16Array.of(5, 6)) };
    const none = { count: 0, samples: new Uint8Array(0), targets: new Uint8Array(0) };
    await script.send(weights(2), stale, { ...task(2, 0), ...named(2, 0), ...none });
    expect(script.jobs.map(({ labels }) => labels)).toEqual([[6, 5]]);
  });

  it('uses the newest of the weights that arrive while it is busy', async () => {
    const script = await activated();
    await script.send(weights(1), task(1, 0));
    await script.send(task(2, 1), weights(2), task(3, 2), weights(3));
    await script.jobs[0]!.finish();
    expect(begun(script).at(-1)).toBe('3:2');
    expect(script.jobs).toHaveLength(2);
  });

  it('does not begin a task that was canceled, and goes on with the next', async () => {
    const script = await computing(0, 1, 2);
    await script.send({ type: 'cancel', step: 0, lo: 1, n: 1 });
    await script.jobs[0]!.finish();
    await script.jobs[1]!.finish();
    expect(script.of('gradient').map(({ lo }) => lo)).toEqual([0, 2]);
  });

  it.each(['finish', 'fail'] as const)(
    'sends nothing for a task that was canceled while it ran (%s)',
    async (ending) => {
      const script = await computing(0, 1);
      expect(script.jobs[0]!.isCanceled()).toBe(false);
      await script.send({ type: 'cancel', step: 0, lo: 0, n: 1 });
      expect(script.jobs[0]!.isCanceled()).toBe(true);
      if (ending === 'finish') await script.jobs[0]!.finish();
      else await script.jobs[0]!.fail(new Error('the shard was canceled'));
      await script.jobs[1]!.finish();
      expect(script.of('gradient').map(({ lo }) => lo)).toEqual([1]);
      expect(script.of('taskError')).toEqual([]);
      expect(script.end).toBeUndefined();
    },
  );

  it('sends nothing from before the run went back, then takes weights and tasks of the same steps again', async () => {
    const script = await computing(0, 1);
    await script.send(task(1, 2), { type: 'goBack', step: 0 });
    expect(script.jobs[0]!.isCanceled()).toBe(true);
    expect(script.of('wentBack')).toHaveLength(1);
    await script.jobs[0]!.finish();
    expect(script.jobs).toHaveLength(1);
    await script.send(task(0, 1));
    expect(script.jobs).toHaveLength(1);
    await script.send(weights(0));
    await script.jobs[1]!.finish();
    await script.send(weights(1));
    expect(begun(script)).toEqual(['0:0', '0:1']);
    expect(script.of('gradient').map(({ step, lo }) => [step, lo])).toEqual([[0, 1]]);
  });

  it('keeps the weights of steps that the run does not take again', async () => {
    const script = await activated();
    await script.send(weights(3), { type: 'goBack', step: 4 }, task(3, 1));
    expect(begun(script)).toEqual(['3:1']);
  });

  it('cancels the shard that it computes when the session ends', async () => {
    const script = await computing(0);
    await script.send({ type: 'finish', message: 'the run has finished' });
    expect(script.jobs[0]!.isCanceled()).toBe(true);
  });

  it('answers another numerics check before anything else, and drops the tasks that wait', async () => {
    const script = await computing(0, 1);
    await script.send(numericsCheck);
    await script.jobs[0]!.finish();
    await script.jobs[1]!.finish();
    await script.jobs[2]!.finish();
    expect(script.of('numericsResult')).toHaveLength(2);
    expect(script.jobs).toHaveLength(3);
    await script.send(task(0, 1), weights(0));
    expect(begun(script).at(-1)).toBe('0:1');
  });
});

describe('a worker session of a run with inner steps', () => {
  const innerSteps = { batch: 2, learningRate: 0.1, momentum: 0 };

  it('computes each numerics check without them, also one after a task that it failed at', async () => {
    const script = await activated({ innerSteps });
    const model = { name: 'any' };
    const forCheck = { model, microbatchSize: 2, targetField: classField };
    const forRun = { model, microbatchSize: 4, targetField: classField, innerSteps };
    expect(script.opened).toEqual([forCheck, forRun]);
    await script.send(weights(0), task(0, 0));
    await script.jobs[0]!.fail(new ComputeError('device-lost', 'the device is gone'));
    await script.send(numericsCheck);
    expect(script.opened).toEqual([forCheck, forRun, forCheck]);
    await script.jobs[1]!.finish();
    await script.jobs[2]!.finish();
    expect(script.opened).toEqual([forCheck, forRun, forCheck, forRun]);
    expect(script.of('numericsResult')).toHaveLength(2);
  });
});

describe('a worker session that gets many messages at once', () => {
  it('begins no task that is stale by the time it could begin', async () => {
    const script = await activated();
    await script.send(weights(1), task(1, 0), task(2, 5), weights(2));
    expect(begun(script)).toEqual(['2:5']);
  });
});

describe('a worker session that fails at a task reports it and goes on', () => {
  it.each([
    [new ComputeError('device-lost', 'the device is gone'), 'device-lost', 'the device is gone'],
    [new ComputeError('out-of-memory', 'too large'), 'out-of-memory', 'too large'],
    [new Error('something\nelse'), 'failed', 'something else'],
  ])('%s', async (error, code, message) => {
    const script = await computing(0, 1);
    await script.jobs[0]!.fail(error);
    expect(script.of('taskError')).toEqual([{ type: 'taskError', step: 0, lo: 0, n: 1, code, message }]);
    await script.jobs[1]!.finish();
    expect(script.of('gradient').map(({ lo }) => lo)).toEqual([1]);
    expect(script.end).toBeUndefined();
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY])('a loss of %d is reported as an error', async (lossSum) => {
    const script = await computing(0);
    await script.jobs[0]!.finish({ lossSum });
    const message = `the loss of this shard is ${lossSum}`;
    expect(script.of('taskError')).toEqual([{ type: 'taskError', step: 0, lo: 0, n: 1, code: 'non-finite', message }]);
    expect(script.of('gradient')).toEqual([]);
  });
});
