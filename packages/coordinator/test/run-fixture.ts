/** A run in virtual time over in-memory connections, with real workers and with clients that a test scripts. */

import {
  checkedSetup,
  createLocalCompute,
  createNumericsCheck,
  createReferee,
  createShardSource,
  ParameterServer,
  referenceOf,
} from '@lockstep/compute';
import { bytesPerSample, type Dataset } from '@lockstep/data';
import { initialize, type Model, type OptimizerConfig, parseOptimizer } from '@lockstep/nn';
import {
  type Closing,
  type CoordinatorMessage,
  floatsFrom,
  gradientChecksum,
  gradientMessages,
  type Message,
  type MessageOf,
  memoryPair,
  protocolVersion,
  type Transport,
  type TransportListener,
  type WorkerMessage,
} from '@lockstep/protocol';
import { decodeBatch, defaultLimits, formatOf, type RunEvent, type RunPlan, type RunSetup } from '@lockstep/rules';
import type { HostBackend } from '@lockstep/tensor';
import { expect } from 'vitest';
import { drain, hash, hostBackend, newHash } from '../../compute/test/support.ts';
import { oracleWeights } from '../../sim/src/oracle.ts';
import { VirtualClock } from '../../sim/src/simulated-process.ts';
import { type Listener, SimulatedWorker } from '../../sim/src/simulated-worker.ts';
import { createProblem, type Problem, type ProblemOptions } from '../../sim/test/support.ts';
import { Run } from '../src/run.ts';
import type { RunOutcome, Trace } from '../src/run-options.ts';

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

interface RunParts {
  readonly backend: HostBackend;
  readonly model: Model;
  readonly dataset: Dataset;
  readonly plan: RunPlan;
  readonly optimizer?: OptimizerConfig;
  readonly seed?: number;
  readonly setup?: Partial<RunSetup>;
}

const usualOptimizer = parseOptimizer({ type: 'momentum', learningRate: 0.05 });

/** Creates a run of any model on any data, with its parts and the oracle's weights. Time stands still. */
export async function createRunOf({ backend, model, dataset, plan, seed = 1, ...given }: RunParts) {
  const { optimizer = usualOptimizer } = given;
  const clock = new VirtualClock();
  const format = formatOf(dataset);
  const { microbatchSize, innerSteps } = plan;
  const { targetField } = format;
  const computing = { model, microbatchSize, targetField, innerSteps };
  const checked = checkedSetup(computing);
  const samples = createShardSource(dataset, plan, seed);
  const weights = initialize(model, seed);
  const parameterServer = new ParameterServer({ backend, plan, weights, optimizer });
  const numericsCheck = createNumericsCheck(model, checked.microbatchSize, format);
  const own = createLocalCompute(backend, clock);
  await own.open(checked);
  own.setWeights(numericsCheck.weights);
  const { gradient } = await own.gradient(numericsCheck.samples, numericsCheck.targets);
  const referenceGradient = referenceOf(floatsFrom(gradient));
  const refereeHash = hash(gradient);
  let keys = 0;
  const run = new Run({
    setup: {
      ...{ plan, model, format, seed, limits: defaultLimits, startWorkers: 1, startWithinMs: 5_000 },
      ...{ sampleBytes: bytesPerSample(dataset), refereeHash, refereeMode: backend.numericMode },
      ...given.setup,
    },
    ...{ samples, parameterServer, numericsCheck, referenceGradient, clock, newHash },
    referee: createReferee({ model, targetField, plan, samples, seed, parameterServer }),
    newResumeKey: () => `key-${++keys}`,
  });
  const expected = (): Float32Array =>
    oracleWeights({ backend, model, targetField, plan, samples, weights, optimizer, seed });
  return {
    run,
    clock,
    parameterServer,
    samples,
    weights,
    computing,
    numericsCheck,
    referenceGradient,
    refereeHash,
    expected,
  };
}

interface Observer {
  /** Called with each message before the listener. */
  received?(message: Message): void;
  /** Called with each message after the listener. */
  handled?(message: Message): void;
  /** Called with each message before it is sent. */
  sent?(message: Message): void;
}

/** Wraps a transport so that a test sees its messages. */
export function observed<Receives extends Message, Sends extends Message>(
  transport: Transport<Receives, Sends>,
  { received, handled, sent }: Observer,
): Transport<Receives, Sends> {
  return {
    remote: transport.remote,
    bufferedBytes: 0,
    listen: ({ onMessage, onClose }) =>
      transport.listen({
        onMessage(message) {
          received?.(message);
          onMessage(message);
          handled?.(message);
        },
        onClose,
      }),
    send(message) {
      sent?.(message);
      transport.send(message);
    },
    sendVector: (stream) =>
      transport.sendVector({
        next() {
          const message = stream.next();
          if (message) sent?.(message);
          return message;
        },
      }),
    close: (code, reason) => transport.close(code, reason),
  };
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
  /** Bytes of it that have arrived, also those of an unfinished frame, if the coordinator counts them. */
  sentBytes: number | undefined;
  /** The run's listener. */
  listener: TransportListener<WorkerMessage> | undefined;
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
    const { coordinator } = this.#pair;
    Object.defineProperty(coordinator, 'receivedBytes', { get: () => this.sentBytes });
    const listen = coordinator.listen.bind(coordinator);
    run.connect(
      Object.assign(coordinator, {
        listen: (listener: TransportListener<WorkerMessage>) => {
          this.listener = listener;
          listen(listener);
        },
      }),
    );
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
