/** The run below a relay: the relay's workers compute the shards that the coordinator above asks for. */

import type { WeightsPart } from '@lockstep/compute';
import {
  type Compute,
  ComputeError,
  checkedSetup,
  createNumericsCheck,
  createReferee,
  type GradientOptions,
  hashWith,
  type NamedShard,
  Parameters,
  referenceOf,
  type ShardGradient,
} from '@lockstep/compute';
import type { SampleBatch } from '@lockstep/data';
import { initialize, type Model, outputCount, parameterCount, parseModel } from '@lockstep/nn';
import { bytesOf, floatsFrom, type MessageOf } from '@lockstep/protocol';
import type { DataFormat, RunSetup } from '@lockstep/rules';
import { defaultLimits, type Limits, planRun, type RunPlan } from '@lockstep/rules';
import type { HostBackend } from '@lockstep/tensor';
import { Run } from '../coordinator/run.ts';
import type { AskedRunOptions } from '../coordinator/run-options.ts';
import { AskedSamples } from './asked-samples.ts';

export type Welcome = MessageOf<'welcome'>;

export interface RelayRunOptions
  extends Pick<AskedRunOptions, 'clock' | 'newHash' | 'newResumeKey' | 'onEvent' | 'onTrace'> {
  /** Welcome from the coordinator above. */
  readonly welcome: Welcome;
  readonly backend: HostBackend;
  /** Computes the numerics check, whose bits every worker must reproduce. */
  readonly compute: Compute;
  /** Token that the relay's workers must know; if undefined, they need none. */
  readonly token: string | undefined;
  /** Other addresses at which the relay's workers may join the run. */
  readonly addresses: readonly string[];
  /** Chooses the shards that the relay checks; an unsigned 32-bit number that its workers cannot know. */
  readonly verifySalt: number;
  readonly limits?: Partial<Limits> | undefined;
  /** Called if the run ends by itself: this process could not compute a shard about which its workers disagree. */
  readonly onFailed: (message: string) => void;
}

/** Returns a key that is equal for all welcomes of the same run. */
export function runKey({ id: _id, resumeKey: _key, addresses: _addresses, heartbeatMs: _ms, ...run }: Welcome): string {
  return JSON.stringify(run);
}

/** Bytes of a message besides the values of a gradient. */
const messageOverheadBytes = 64 * 1024;

export async function openRelayRun(options: RelayRunOptions): Promise<RelayRun> {
  const { welcome, compute } = options;
  const { model: data, microbatchSize, targetType, innerSteps } = welcome;
  const model = parseModel(data);
  const setup = checkedSetup({ model, microbatchSize, targetType, innerSteps });
  const check = createNumericsCheck(model, setup.microbatchSize, welcome);
  await compute.open(setup);
  compute.setWeights(check.weights);
  const { gradient } = await compute.gradient(check.samples, check.targets);
  return new RelayRun(options, model, check, floatsFrom(gradient));
}

/** Returns the geometry of the run above. @throws Error if the welcome does not contain it */
function planOf({ run, microbatchSize, innerSteps, halfUnit }: Welcome): RunPlan {
  if (!run) throw new Error('the coordinator did not say what a relay must know of its run');
  const { samples, batch, steps } = run;
  const plan = planRun({ samples, batch, steps, epochs: steps, microbatchSize, innerSteps });
  return { ...plan, ...(halfUnit !== undefined && { halfUnit }) };
}

function sampleBytesOf({ sampleType, sampleShape, targetType }: DataFormat, model: Model): number {
  const values = sampleShape.reduce((size, length) => size * length, 1);
  return values * (sampleType === 'u8' ? 1 : 4) + (targetType === 'classes' ? 2 : 4 * outputCount(model));
}

function setupOf(
  { welcome, backend, newHash, token, addresses, verifySalt, limits }: RelayRunOptions,
  model: Model,
  plan: RunPlan,
  reference: Float32Array,
): RunSetup {
  const { seed, chunkBytes, cachedSamples, run } = welcome;
  const { sampleType, sampleShape, targetType } = welcome;
  const format = { sampleType, sampleShape, targetType };
  const maxFrameBytes = Math.min(parameterCount(model) * 4, chunkBytes) + messageOverheadBytes;
  return {
    ...{ plan, model, format, token, verifySalt, addresses },
    ...(seed === undefined ? {} : { seed }),
    // Unless the coordinator above sends sample numbers, every task carries its samples.
    ...(cachedSamples === undefined ? {} : { sampleBytes: sampleBytesOf(format, model) }),
    limits: { ...defaultLimits, maxFrameBytes, ...limits, chunkBytes },
    verifyRate: run?.verifyRate ?? 0,
    participation: run?.participation ?? 'fastest',
    refereeHash: hashWith(newHash)(bytesOf(reference)),
    refereeMode: backend.numericMode,
    startWorkers: 1,
    startWithinMs: 0,
    // If this run ends by itself, another one begins.
    anotherMayFollow: true,
    isRelay: true,
  };
}

/** Request that waits for the sum of the asked shard. */
interface Pending {
  readonly startedAtMs: number;
  readonly count: number;
  resolve(result: ShardGradient): void;
  reject(error: Error): void;
}

export class RelayRun {
  readonly run: Run;
  readonly setup: RunSetup;
  /** Bytes of a sample and its target. */
  readonly sampleBytes: number;
  readonly key: string;
  readonly #options: RelayRunOptions;
  readonly #parameters: Parameters;
  readonly #samples: AskedSamples;
  #weightsStep = -1;
  /** Newest step whose weights the workers may have. */
  #forwardedStep = -1;
  /** Step of the weights that are arriving, and the number of their missing bytes. */
  #arriving: { readonly step: number; missingBytes: number } | undefined;
  #pending: Pending | undefined;
  #isClosed = false;

  constructor(
    options: RelayRunOptions,
    model: Model,
    numericsCheck: ReturnType<typeof createNumericsCheck>,
    gradient: Float32Array,
  ) {
    const { welcome, backend, clock, newHash, newResumeKey, onEvent, onTrace } = options;
    const { seed = 0, targetType } = welcome;
    const plan = planOf(welcome);
    this.#options = options;
    this.key = runKey(welcome);
    this.setup = setupOf(options, model, plan, gradient);
    this.sampleBytes = sampleBytesOf(this.setup.format, model);
    const weights = initialize(model, seed);
    const parameterServer = new Parameters({ backend, plan, weights });
    const samples = new AskedSamples(plan);
    this.#parameters = parameterServer;
    this.#samples = samples;
    this.run = new Run({
      ...{ setup: this.setup, samples, parameterServer, numericsCheck },
      referenceGradient: referenceOf(gradient),
      ...{ clock, newHash, newResumeKey },
      ...(onEvent && { onEvent }),
      ...(onTrace && { onTrace }),
      referee: createReferee({
        ...{ model, targetType, plan, samples, seed, parameterServer },
      }),
      onAskedDone: () => this.#finish(),
      onAskedFailed: (message) => this.#fail(new ComputeError('non-finite', message)),
    });
    void this.run.outcome.then((outcome) => {
      if (outcome.type === 'failed' && !this.#isClosed) options.onFailed(outcome.message);
    });
  }

  /**
   * Takes the weights of a step.
   * @returns false if the weights are not of this run: of an earlier step, or different ones of the same step
   */
  setWeights(bytes: Uint8Array, step: number): boolean {
    if (step < Math.max(this.#weightsStep, this.#forwardedStep)) return false;
    if (step === this.#weightsStep) return this.#parameters.hasWeights(bytes);
    this.#weightsStep = step;
    this.#parameters.setWeights(bytes);
    return true;
  }

  /** Forwards weights as they arrive. */
  takeWeightsPart(part: WeightsPart): void {
    if (part.type === 'weights') {
      this.dropArriving();
      const { step, values = 0 } = part;
      if (step <= this.#weightsStep) return;
      this.#arriving = { step, missingBytes: 4 * values };
    }
    const arriving = this.#arriving;
    if (!arriving) return;
    this.run.forwardWeights(arriving.step, part);
    arriving.missingBytes -= part.bytes.length;
    if (arriving.missingBytes > 0) return;
    this.#forwardedStep = arriving.step;
    this.#arriving = undefined;
  }

  /** Drops incomplete weights, because the connection above broke. */
  dropArriving(): void {
    if (this.#arriving) this.run.forwardWeights(this.#arriving.step, undefined);
    this.#arriving = undefined;
  }

  /** Returns the workers' sum of the gradients over a shard. @throws ComputeError if there is none */
  gradient(
    shard: NamedShard,
    batch: Pick<SampleBatch, 'samples' | 'targets'>,
    { onCancel }: Pick<GradientOptions, 'onCancel'>,
  ): Promise<ShardGradient> {
    const count = this.#samples.use(shard, batch);
    return new Promise((resolve, reject) => {
      const startedAtMs = this.#options.clock.nowMs();
      this.#pending = { startedAtMs, count, resolve, reject };
      onCancel?.(() => this.#cancel());
      this.run.ask(shard.step, shard);
    });
  }

  /** Ends the run, also for its workers. */
  close(message: string, anotherMayFollow: boolean): void {
    this.#isClosed = true;
    this.#cancel();
    this.run.stop(message, anotherMayFollow);
    this.#parameters.dispose();
  }

  #finish(): void {
    const pending = this.#pending;
    this.#pending = undefined;
    if (!pending) return;
    const { startedAtMs, count, resolve } = pending;
    const computeMs = this.#computeMs(count, this.#options.clock.nowMs() - startedAtMs);
    const { aggregator, parameterCount: size } = this.#parameters;
    const total = aggregator.total();
    const [lossSum, correct] = [total[size]!, total[size + 1]!];
    const gradient = bytesOf(total.slice(0, size));
    resolve({ gradient, lossSum, correct, count, computeMs });
  }

  /**
   * Returns the time of `count` samples at the workers' total rate, at most `totalMs`. The rest of `totalMs` is
   * overhead, whatever the shard's size: counted as computing, it would make a relay seem faster the larger its shards
   * are.
   */
  #computeMs(count: number, totalMs: number): number {
    let samplesPerMs = 0;
    for (const connection of this.run.state.connections.values()) {
      if (connection.phase === 'ready') samplesPerMs += connection.samplesPerMs;
    }
    return samplesPerMs > 0 ? Math.min(totalMs, count / samplesPerMs) : totalMs;
  }

  #fail(error: Error): void {
    const pending = this.#pending;
    this.#pending = undefined;
    pending?.reject(error);
  }

  #cancel(): void {
    if (!this.#pending) return;
    this.run.askNoMore();
    this.#fail(new ComputeError('failed', 'the shard was canceled'));
  }
}
