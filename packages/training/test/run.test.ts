import {
  type Closing,
  type CoordinatorMessage,
  type MessageOf,
  memoryPair,
  protocolVersion,
  type WorkerMessage,
} from '@lockstep/protocol';
import { describe, expect, it } from 'vitest';
import type { RunEvent } from '../src/coordinator/events.ts';
import { type Run, type RunOutcome, startRun } from '../src/coordinator/run.ts';
import { SimulatedWorker } from '../src/simulator/simulated-worker.ts';
import { VirtualClock } from '../src/simulator/virtual-clock.ts';
import { createLocalCompute } from '../src/worker/local-compute.ts';
import { checksum, createProblem, hash, hostBackend, type Problem, type ProblemOptions } from './support.ts';

const drain = () => new Promise<void>((resolve) => setImmediate(resolve));

interface Stage {
  readonly problem: Problem;
  readonly clock: VirtualClock;
  readonly run: Run;
  readonly events: RunEvent[];
  readonly outcome: () => RunOutcome | undefined;
  /** Lets virtual time pass until the condition holds; fails after an hour of it. */
  until(condition: () => boolean): Promise<void>;
}

async function stage(options: ProblemOptions = {}, firstStep = 0): Promise<Stage> {
  const problem = await createProblem(await hostBackend(), options);
  const clock = new VirtualClock();
  const events: RunEvent[] = [];
  let keys = 0;
  const run = startRun({
    ...problem.run,
    clock,
    firstStep,
    newResumeKey: () => `key-${++keys}`,
    onEvent: (event) => events.push(event),
  });
  let outcome: RunOutcome | undefined;
  void run.outcome.then((value) => {
    outcome = value;
  });
  await drain();
  return {
    problem,
    clock,
    run,
    events,
    outcome: () => outcome,
    async until(condition) {
      while (!condition()) {
        expect(clock.nowMs()).toBeLessThan(3_600_000);
        expect(clock.step()).toBe(true);
        await drain();
      }
    },
  };
}

function good({ run, clock, problem }: Stage, name = 'good', samplesPerMs = 1) {
  return new SimulatedWorker({
    name,
    run,
    clock,
    compute: createLocalCompute(problem.backend, clock),
    checksum,
    hash,
    computeMs: (samples) => samples / samplesPerMs,
    transitMs: () => 1,
    resultFault: () => undefined,
    sampleCacheBytes: 0,
  });
}

/** A worker that says whatever the test wants, in frames that are really encoded. */
interface Stranger {
  readonly heard: CoordinatorMessage[];
  closing: Closing | undefined;
  say(message: WorkerMessage): void;
  of<Type extends CoordinatorMessage['type']>(type: Type): MessageOf<Type>[];
}

function stranger({ run, clock }: Stage): Stranger {
  const pair = memoryPair({ encode: true, schedule: (deliver) => void clock.after(1, deliver) });
  const self: Stranger = {
    heard: [],
    closing: undefined,
    say: (message) => pair.worker.send(message),
    of: <Type extends CoordinatorMessage['type']>(type: Type) =>
      self.heard.filter((message) => message.type === type) as MessageOf<Type>[],
  };
  pair.worker.listen({
    onMessage: (message) => self.heard.push(message),
    onClose: (closing) => {
      self.closing = closing;
    },
  });
  run.connect(pair.coordinator);
  return self;
}

const hello: MessageOf<'hello'> = {
  type: 'hello',
  protocol: protocolVersion,
  kind: 'node',
  backend: 'any',
  numericMode: 'any',
  name: 'stranger',
  threads: 1,
};

/** What an honest worker would have said to the numerics check. */
function proof({ problem }: Stage): MessageOf<'numericsResult'> {
  const gradient = new Uint8Array(problem.run.referenceGradient.slice().buffer);
  return { type: 'numericsResult', gradient, hash: hash(gradient), lossSum: 1, correct: 0, computeMs: 1 };
}

/** A stranger that is admitted and has got the first task. */
async function admitted(on: Stage): Promise<{ who: Stranger; answer: MessageOf<'gradient'> }> {
  const who = stranger(on);
  who.say(hello);
  await on.until(() => who.of('numericsCheck').length > 0);
  who.say(proof(on));
  await on.until(() => who.of('task').length > 0);
  const { step, lo, n, labels } = who.of('task')[0]!;
  const bytes = new Uint8Array(on.problem.run.parameterServer.parameterCount * 4);
  const count = labels.length;
  const shard = { type: 'gradient', step, lo, n, bytes, checksum: checksum(bytes) } as const;
  return { who, answer: { ...shard, lossSum: 1, correct: 0, count, computeMs: 1 } };
}

describe('a gradient that fails a check', () => {
  const wrong: [string, (answer: MessageOf<'gradient'>, problem: Problem) => MessageOf<'gradient'>, string][] = [
    ['its length', (answer) => ({ ...answer, bytes: answer.bytes.subarray(4) }), 'bytes, got'],
    ['its packing', (answer) => ({ ...answer, encoding: 'sparse' }), 'gradient: expected'],
    ['an encoding that the run does not want', (answer) => ({ ...answer, encoding: 'fp16' }), 'not rounded, got fp16'],
    ['its checksum', (answer) => ({ ...answer, checksum: answer.checksum ^ 1 }), 'checksum'],
    ['its count', (answer) => ({ ...answer, count: answer.count + 1 }), 'samples, got'],
    ['its step', (answer, { plan }) => ({ ...answer, step: plan.steps }), 'a step below'],
    ['its microbatches', (answer, { plan }) => ({ ...answer, lo: plan.microbatches }), 'microbatches below'],
    ['its alignment', (answer) => ({ ...answer, lo: 1, n: 2 }), 'lo a multiple of n'],
    ['its numbers', (answer) => ({ ...answer, lossSum: Number.NaN }), 'gradient.lossSum: expected a finite number'],
  ];

  it.each(wrong)(
    'for %s closes its socket with 1002 and the reason; the run ends with the right weights',
    async (_, spoil, message) => {
      const on = await stage();
      const { who, answer } = await admitted(on);
      who.say(spoil(answer, on.problem));
      await on.until(() => who.closing !== undefined);
      expect(who.closing).toMatchObject({ code: 1002, reason: expect.stringContaining(message) });
      expect(on.run.state.faults).toMatchObject({ rejected: 1, disconnects: 1 });
      good(on);
      await on.until(() => on.outcome() !== undefined);
      expect(on.outcome()).toEqual({ type: 'finished' });
      expect(on.problem.run.parameterServer.weights()).toEqual(on.problem.expected());
    },
  );

  it('for one value that is not finite is computed by somebody else, and its sender stays', async () => {
    const on = await stage();
    const { who, answer } = await admitted(on);
    good(on);
    await on.until(() => on.run.state.connections.size === 2 && on.events.length >= 3);
    const bytes = answer.bytes.slice();
    new Float32Array(bytes.buffer)[7] = Number.NEGATIVE_INFINITY;
    who.say({ ...answer, bytes, checksum: checksum(bytes) });
    await on.until(() => on.run.state.faults.rejected === 1);
    expect(who.closing).toBeUndefined();
    await on.until(() => on.outcome() !== undefined);
    expect(on.problem.run.parameterServer.weights()).toEqual(on.problem.expected());
  });

  it('for a loss beyond float32 counts as not finite', async () => {
    const on = await stage();
    const { who, answer } = await admitted(on);
    who.say({ ...answer, lossSum: 1e300 });
    await on.until(() => on.run.state.faults.rejected === 1);
    expect(on.events.at(-1)).toMatchObject({ type: 'rejected', message: expect.stringContaining('is not finite') });
  });
});

describe('a numerics check that fails', () => {
  it('in its numbers: the worker is refused with a sentence', async () => {
    const on = await stage();
    const who = stranger(on);
    const { gradient, ...rest } = proof(on);
    const floats = new Float32Array(gradient.slice().buffer);
    floats[0]! += 1;
    const bytes = new Uint8Array(floats.buffer);
    who.say(hello);
    who.say({ ...rest, gradient: bytes, hash: hash(bytes) });
    await on.until(() => who.closing !== undefined);
    expect(who.of('refuse')).toMatchObject([{ code: 'numerics', message: expect.stringContaining('differs') }]);
    expect(who.of('task')).toEqual([]);
  });

  it('in its hash: the socket is closed', async () => {
    const on = await stage();
    const who = stranger(on);
    who.say(hello);
    who.say({ ...proof(on), hash: 'abcdef01' });
    await on.until(() => who.closing !== undefined);
    expect(who.closing).toMatchObject({ code: 1002, reason: expect.stringContaining('numerics check: expected hash') });
  });
});

describe('a worker that answers pings and never a shard', () => {
  it('does not stop the run, even where it says that it takes a year for each', async () => {
    const on = await stage({ epochs: 2 });
    const lazy = stranger(on);
    lazy.say(hello);
    lazy.say({ ...proof(on), computeMs: 3e10 });
    await on.until(() => lazy.of('task').length > 0);
    const answerPings = (): void => {
      if (lazy.closing) return;
      lazy.say({ type: 'pong', sentAtMs: 0 });
      on.clock.after(1_000, answerPings);
    };
    answerPings();
    good(on);
    await on.until(() => on.outcome() !== undefined);
    expect(on.outcome()).toEqual({ type: 'finished' });
    expect(on.problem.run.parameterServer.weights()).toEqual(on.problem.expected());
  });
});

describe('a worker that was late', () => {
  it('is used again: when the one that stood in for it dies, the run goes on with it alone', async () => {
    const on = await stage({ epochs: 40 });
    const first = good(on, 'first');
    const second = good(on, 'second');
    await on.until(() => on.run.state.current.step > 6);
    first.freeze(2_000);
    await on.until(() => on.run.state.faults.duplicated > 0);
    const { step } = on.run.state.current;
    await on.until(() => on.run.state.current.step > step + 2);
    second.kill();
    await on.until(() => on.outcome() !== undefined);
    expect(on.outcome()).toEqual({ type: 'finished' });
    expect(on.problem.run.parameterServer.weights()).toEqual(on.problem.expected());
  });

  it('with shards in its queue that others have done meanwhile is not left out for ever', async () => {
    const on = await stage({ epochs: 400, startWorkers: 2, samples: 60, batch: 30, microbatchSize: 2 });
    good(on, 'quick', 10);
    const slow = good(on, 'slow', 10);
    await on.until(() => on.run.state.current.step > 2);
    slow.freeze(400);
    await on.until(() => on.run.state.faults.duplicated > 0);
    const shardsOf = (name: string) =>
      [...on.run.state.records.values()].find((record) => record.name === name)?.shards ?? 0;
    const before = shardsOf('slow');
    await on.until(() => shardsOf('slow') > before + 20);
    expect(on.outcome()).toBeUndefined();
  });
});

describe('a run', () => {
  it('from the last step’s checkpoint is finished at once', async () => {
    const on = await stage({ epochs: 1 }, 4);
    expect(on.outcome()).toEqual({ type: 'finished' });
    expect(on.clock.step()).toBe(false);
  });

  it('that has ended tells it to whoever comes, and rests', async () => {
    const on = await stage();
    good(on);
    await on.until(() => on.outcome() !== undefined);
    const late = stranger(on);
    late.say(hello);
    while (on.clock.step()) await drain();
    expect(late.heard).toEqual([{ type: 'finish', message: 'the run has ended' }]);
    expect(late.closing).toMatchObject({ code: 1000 });
  });

  it('that is stopped sends everybody home with the sentence', async () => {
    const on = await stage({ epochs: 50 });
    const { who } = await admitted(on);
    on.run.stop('stopped by Ctrl-C');
    await on.until(() => who.closing !== undefined);
    expect(who.of('finish')).toEqual([{ type: 'finish', message: 'stopped by Ctrl-C' }]);
    expect(on.outcome()).toEqual({ type: 'failed', message: 'stopped by Ctrl-C' });
  });
});
