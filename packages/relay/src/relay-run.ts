/** The run below a relay: the relay's workers compute the shards that the coordinator above asks for. */
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
  type ShardSource,
  type WeightsMessage,
} from '@lockstep/compute';
import { type AskedRunOptions, Run } from '@lockstep/coordinator';
import { bytesPerSample, gatherRows, type SampleBatch } from '@lockstep/data';
import { initialize, type Model, parameterCount, parseModel } from '@lockstep/nn';
import { bytesOf, floatsFrom, type MessageOf } from '@lockstep/protocol';
import {
  firstSample,
  limitsFor,
  planRun,
  type RunPlan,
  type RunSetup,
  type Shard,
  samplesInShard,
  shardKey,
} from '@lockstep/rules';
import type { HostBackend } from '@lockstep/tensor';

export type Welcome = MessageOf<'welcome'>;

/** Options that all runs below a relay have in common. */
export interface RunBelow extends Pick<AskedRunOptions, 'clock' | 'newHash' | 'newResumeKey'> {
  /** Adds gradients, and computes shards as the referee of the relay's workers. */
  readonly backend: HostBackend;
  /** Chooses the shards that the relay checks; an unsigned 32-bit number that its workers cannot know. */
  readonly verifySalt: number;
}

interface RelayRunOptions extends RunBelow, Pick<AskedRunOptions, 'onEvent'> {
  /** Welcome from the coordinator above. */
  readonly welcome: Welcome;
  /** Computes the numerics check, whose bits every worker must reproduce. */
  readonly compute: Compute;
  /** Token that the relay's workers must know; if undefined, they need none. */
  readonly token: string | undefined;
  /** Other addresses at which the relay's workers may join the run. */
  readonly addresses: readonly string[];
  /** Called if the run ends by itself: this process could not compute a shard about which its workers disagree. */
  readonly onFailed: (message: string) => void;
}

/** Returns a key that is equal for all welcomes of the same run. */
export function runKey({ id: _id, resumeKey: _key, addresses: _addresses, heartbeatMs: _ms, ...run }: Welcome): string {
  return JSON.stringify(run);
}

export async function openRelayRun(options: RelayRunOptions): Promise<RelayRun> {
  const { welcome, compute } = options;
  const { model: data, microbatchSize, targetField, innerSteps } = welcome;
  const model = parseModel(data);
  const setup = checkedSetup({ model, microbatchSize, targetField, innerSteps });
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

function setupOf(
  { welcome, backend, newHash, token, addresses, verifySalt }: RelayRunOptions,
  model: Model,
  plan: RunPlan,
  reference: Float32Array,
): RunSetup {
  const { seed, chunkBytes, cachedSamples, run, sampleField, targetField } = welcome;
  const format = { sampleField, targetField };
  return {
    ...{ plan, model, format, token, verifySalt, addresses },
    ...(seed === undefined ? {} : { seed }),
    // Unless the coordinator above sends sample numbers, every task carries its samples.
    ...(cachedSamples === undefined
      ? {}
      : { sampleBytes: bytesPerSample({ samples: sampleField, targets: targetField }) }),
    limits: limitsFor(parameterCount(model), { chunkBytes }),
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
    const { welcome, backend, clock, newHash, newResumeKey, onEvent } = options;
    const { seed = 0, targetField } = welcome;
    const plan = planOf(welcome);
    this.#options = options;
    this.key = runKey(welcome);
    this.setup = setupOf(options, model, plan, gradient);
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
      referee: createReferee({ model, targetField, plan, samples, seed, parameterServer }),
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
  takeWeightsPart(part: WeightsMessage): void {
    if (part.type === 'weights') {
      // The connection above has broken, or the coordinator has gone back, before all of other weights arrived.
      if (this.#arriving) this.run.forwardWeights(this.#arriving.step, undefined);
      this.#arriving = undefined;
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

  /** Forgets weights of this step and of later ones, because the coordinator above goes back; so do the workers. */
  goBack(step: number): void {
    this.#weightsStep = Math.min(this.#weightsStep, step - 1);
    this.run.goBack(step);
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

type Batch = Pick<SampleBatch, 'samples' | 'targets'>;

interface Asked extends Batch {
  readonly shard: NamedShard;
  readonly count: number;
  /** Indices of samples in the batch, by their number in the training set; built on first use. */
  places: ReadonlyMap<number, number> | undefined;
}

class AskedSamples implements ShardSource {
  readonly #plan: RunPlan;
  #asked: Asked | undefined;

  constructor(plan: RunPlan) {
    this.#plan = plan;
  }

  /** Replaces the asked shard and its samples. @returns the number of samples. @throws Error if that number is wrong */
  use(shard: NamedShard, { samples, targets }: Batch): number {
    const count = samplesInShard(this.#plan, shard.step, shard.lo, shard.n);
    const isWhole = count > 0 && samples.length % count === 0 && targets.length % count === 0;
    const numbered = shard.numbers?.length ?? count;
    if (!isWhole || numbered !== count) {
      const got = isWhole ? numbered : `${samples.length} values and ${targets.length} targets`;
      throw new Error(`microbatches ${shardKey(shard)} of step ${shard.step}: expected ${count} samples, got ${got}`);
    }
    this.#asked = { shard, samples, targets, count, places: undefined };
    return count;
  }

  shard(step: number, lo: number, n: number): SampleBatch {
    const { samples, targets, count } = this.#askedWith(step, { lo, n });
    const { from, to } = this.#rangeOf(step, { lo, n });
    const rows = <Values extends SampleBatch['samples'] | SampleBatch['targets']>(values: Values): Values =>
      values.subarray((values.length / count) * from, (values.length / count) * to) as Values;
    return { samples: rows(samples), targets: rows(targets), count: to - from };
  }

  numbers(step: number, lo: number, n: number): Uint32Array {
    const { numbers } = this.#askedWith(step, { lo, n }).shard;
    if (!numbers) throw new Error('expected the numbers of the samples, got none');
    const { from, to } = this.#rangeOf(step, { lo, n });
    return numbers.subarray(from, to);
  }

  targets(step: number, lo: number, n: number): SampleBatch['targets'] {
    return this.shard(step, lo, n).targets;
  }

  take(numbers: Uint32Array): SampleBatch {
    const asked = this.#asked;
    if (!asked) throw new Error('expected an asked shard, got none');
    asked.places ??= new Map(Array.from(asked.shard.numbers ?? [], (number, place) => [number, place]));
    // An unknown number maps to a row past the end, for which `gatherRows` throws.
    const places = numbers.map((number) => asked.places?.get(number) ?? asked.count);
    const rows = <Values extends SampleBatch['samples'] | SampleBatch['targets']>(values: Values): Values =>
      gatherRows(values, values.length / asked.count, places);
    return { samples: rows(asked.samples), targets: rows(asked.targets), count: numbers.length };
  }

  #askedWith(step: number, { lo, n }: Shard): Asked {
    const asked = this.#asked;
    const isPart = asked?.shard.step === step && asked.shard.lo <= lo && lo + n <= asked.shard.lo + asked.shard.n;
    if (!asked || !isPart)
      throw new Error(`microbatches ${lo}+${n} of step ${step}: expected a part of the asked shard`);
    return asked;
  }

  /** Returns the range in the batch of the samples of a part of the asked shard. */
  #rangeOf(step: number, { lo, n }: Shard): { readonly from: number; readonly to: number } {
    const first = firstSample(this.#plan, step, this.#askedWith(step, { lo, n }).shard.lo);
    const from = firstSample(this.#plan, step, lo) - first;
    return { from, to: from + samplesInShard(this.#plan, step, lo, n) };
  }
}

interface RelayComputeOptions {
  /** Computes numerics checks, and so determines the relay's numeric mode. */
  readonly local: Compute;
  /** Number of threads of the relay's workers. */
  readonly threads: () => number;
  readonly run: () => RelayRun | undefined;
  /** Opens the run of the newest welcome. */
  readonly open: () => Promise<void>;
  /** Resolves once a worker is ready. Until then numerics checks wait, so that the relay is not asked for shards. */
  readonly present: () => Promise<void>;
  /** Replaces the run below by a new one. */
  readonly renew: () => Promise<void>;
}

/** Creates a relay's `Compute`. It has no byte cache, so that it gets all samples of a shard at once. */
export function createRelayCompute({ local, threads, run, open, renew, present }: RelayComputeOptions): Compute {
  /** Weights of an earlier step than those of the workers below. */
  let early: { readonly bytes: Uint8Array; readonly step: number } | undefined;
  return {
    backend: local.backend,
    numericMode: local.numericMode,
    codec: local.codec,
    get threads() {
      return threads();
    },
    async open(setup) {
      await local.open(setup);
      await open();
    },
    takeWeightsPart: (part) => run()?.takeWeightsPart(part),
    goBack: (step) => run()?.goBack(step),
    setWeights(bytes, step) {
      if (step === undefined) local.setWeights(bytes);
      else early = run()?.setWeights(bytes, step) === false ? { bytes: bytes.slice(), step } : undefined;
    },
    async gradient(samples, targets, options = {}) {
      const { shard } = options;
      if (!shard) {
        await present();
        // A later connection may have begun its own numerics check.
        if (options.isCanceled?.()) throw new ComputeError('failed', 'the numerics check was canceled');
        return local.gradient(samples, targets, options);
      }
      if (samples instanceof Uint32Array) {
        throw new Error('shard: expected samples as they travel, got numbers of cached ones');
      }
      if (early) {
        // The coordinator has resumed from an earlier step, but the workers below have later weights.
        const { bytes, step } = early;
        early = undefined;
        await renew();
        run()?.setWeights(bytes, step);
      }
      const current = run();
      if (!current || options.isCanceled?.()) throw new ComputeError('failed', 'the shard was canceled');
      return current.gradient(shard, { samples, targets }, options);
    },
    close: () => local.close(),
  };
}
