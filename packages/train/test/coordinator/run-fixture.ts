/** A run in virtual time over in-memory connections, with real workers and with clients that a test scripts. */

import { createLocalCompute } from '@lockstep/compute';
import {
  type Closing,
  type CoordinatorMessage,
  gradientChecksum,
  gradientMessages,
  type MessageOf,
  memoryPair,
  protocolVersion,
  type WorkerMessage,
} from '@lockstep/protocol';
import type { RunEvent, RunSetup } from '@lockstep/rules';
import { decodeBatch } from '@lockstep/rules';
import { expect } from 'vitest';
import { drain, hash, hostBackend } from '../../../compute/test/support.ts';
import { VirtualClock } from '../../../sim/src/simulated-process.ts';
import { type Listener, SimulatedWorker } from '../../../sim/src/simulated-worker.ts';
import { createProblem, type Problem, type ProblemOptions } from '../../../sim/test/support.ts';
import { Run } from '../../src/coordinator/run.ts';
import type { RunOutcome, Trace } from '../../src/coordinator/run-options.ts';

/** Virtual time after which a run counts as hung. */
const limitMs = 3_600_000;

export class RunFixture {
  readonly clock = new VirtualClock();
  readonly events: RunEvent[] = [];
  readonly traces: Trace[] = [];
  readonly run: Run;
  readonly problem: Problem;
  outcome: RunOutcome | undefined;
  readonly #listener: Listener;
  #resumeKeys = 0;

  constructor(problem: Problem, setup: Partial<RunSetup> = {}, firstStep = 0) {
    this.problem = problem;
    this.run = new Run({
      ...problem.run,
      setup: { ...problem.setup, ...setup },
      clock: this.clock,
      firstStep,
      newResumeKey: () => `key-${++this.#resumeKeys}`,
      onEvent: (event) => this.events.push(event),
      onTrace: (trace) => this.traces.push(trace),
    });
    this.#listener = { process: this.clock, accept: (transport, address) => this.run.connect(transport, address) };
    void this.run.outcome.then((outcome) => {
      this.outcome = outcome;
    });
  }

  /** Advances virtual time until the condition holds. */
  async until(condition: () => boolean): Promise<void> {
    await drain();
    while (!condition()) {
      expect(this.clock.nowMs()).toBeLessThan(limitMs);
      expect(this.clock.step()).toBe(true);
      await drain();
    }
  }

  /** Plays the run to its end and compares its weights with the oracle's. */
  async finish(): Promise<void> {
    await this.until(() => this.outcome !== undefined);
    expect(this.outcome).toEqual({ type: 'finished' });
    expect(this.problem.run.parameterServer.weights()).toEqual(this.problem.expected());
  }

  /** Joins a real worker that computes a sample per millisecond. */
  join(options: Partial<ConstructorParameters<typeof SimulatedWorker>[0]> = {}): SimulatedWorker {
    return new SimulatedWorker({
      name: 'worker',
      address: '',
      coordinator: this.#listener,
      clock: this.clock,
      backend: this.problem.backend,
      random: () => 0,
      hash,
      computeMs: (samples) => samples,
      link: { latencyMs: 1, bytesPerMs: 1e9 },
      resultFault: () => undefined,
      sampleCacheBytes: 0,
      ...options,
    });
  }

  /** Joins a client, which passes the numerics check and has its first task. */
  async joinClient(): Promise<Client> {
    const client = new Client(this);
    client.send(hello);
    await this.until(() => client.received('numericsCheck').length > 0);
    client.send(this.numericsResult());
    await this.until(() => client.received('task').length > 0);
    return client;
  }

  /** Returns the right result of the numerics check. */
  numericsResult(): MessageOf<'numericsResult'> {
    const gradient = new Uint8Array(this.problem.run.referenceGradient.values.slice().buffer);
    return { type: 'numericsResult', gradient, hash: hash(gradient), lossSum: 1, correct: 0, computeMs: 1 };
  }
}

export async function createRunFixture(options: ProblemOptions = {}, firstStep = 0): Promise<RunFixture> {
  // Test clients send a vector in one message.
  const limits = { chunkBytes: 1_024, ...options.limits };
  const fixture = new RunFixture(await createProblem(await hostBackend(), { ...options, limits }), {}, firstStep);
  await drain();
  return fixture;
}

export const hello: MessageOf<'hello'> = {
  type: 'hello',
  protocol: protocolVersion,
  kind: 'node',
  backend: 'any',
  numericMode: 'any',
  name: 'client',
  threads: 1,
};

/** Returns a gradient message with the right checksum. */
export function signed(sum: Parameters<typeof gradientChecksum>[0]): MessageOf<'gradient'> {
  return { computeMs: 1, ...sum, type: 'gradient', checksum: gradientChecksum(sum) };
}

/** Splits a gradient into the messages in which a worker sends it. */
export function inChunks(
  { bytes, step, lo, n, lossSum, correct, count }: MessageOf<'gradient'>,
  chunkBytes: number,
): MessageOf<'gradient' | 'chunk'>[] {
  return [
    ...gradientMessages({
      sum: { step, lo, n, lossSum, correct, count },
      parameterCount: bytes.length / 4,
      chunkBytes,
      encode: (from, to) => ({ bytes: bytes.subarray(4 * from, 4 * to) }),
      times: () => ({ computeMs: 1 }),
    }),
  ];
}

/** A client that a test scripts; its messages are encoded as real frames. */
export class Client {
  readonly messages: CoordinatorMessage[] = [];
  closing: Closing | undefined;
  readonly #pair;
  readonly #problem: Problem;

  constructor({ run, clock, problem }: RunFixture) {
    this.#problem = problem;
    this.#pair = memoryPair({ encode: true, schedule: (deliver) => void clock.after(1, deliver) });
    this.#pair.worker.listen({
      onMessage: (message) => this.messages.push(message),
      onClose: (closing) => {
        this.closing = closing;
      },
    });
    run.connect(this.#pair.coordinator);
  }

  send(message: WorkerMessage): void {
    this.#pair.worker.send(message);
  }

  /** Cuts the connection, as a dead network does. */
  sever(): void {
    this.#pair.sever('gone');
  }

  received<Type extends CoordinatorMessage['type']>(type: Type): MessageOf<Type>[] {
    return this.messages.filter((message) => message.type === type) as MessageOf<Type>[];
  }

  /** Returns an answer to a task that passes all checks; its gradient has this value everywhere. */
  answerTo({ step, lo, n, count }: MessageOf<'task'>, value: number): MessageOf<'gradient'> {
    const bytes = new Uint8Array(new Float32Array(this.#problem.run.parameterServer.parameterCount).fill(value).buffer);
    return signed({ step, lo, n, bytes, lossSum: 1, correct: 0, count });
  }

  /** Returns the right answer to a task. */
  async rightAnswerTo(task: MessageOf<'task'>): Promise<MessageOf<'gradient'>> {
    const { backend, setup } = this.#problem;
    const compute = createLocalCompute(backend, { nowMs: () => 0 });
    await compute.open({ model: setup.model, microbatchSize: setup.plan.microbatchSize });
    const { bytes: first, values } = this.received('weights').find(({ step }) => step === task.step)!;
    // Only a real worker's session assembles weights in chunks; here they are taken from the run itself.
    compute.setWeights(values === undefined ? first : this.#problem.run.parameterServer.weightBytes());
    const { samples, targets } = decodeBatch(setup.format, task);
    const { gradient, lossSum, correct } = await compute.gradient(samples, targets);
    const bytes = gradient.slice();
    await compute.close();
    return signed({ ...this.answerTo(task, 0), bytes, lossSum, correct });
  }
}
