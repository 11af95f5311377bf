/** Computes the steps of a recorded run again in this process, from any of its states. */
import { createShardSource, InlineGradient, lanesIn, ParameterServer } from '@lockstep/compute';
import { augmentations, type Dataset, weightClasses } from '@lockstep/data';
import type { Reading } from '@lockstep/data/readers';
import { errorMessage } from '@lockstep/data/shown';
import { initialize, type Model, parameterLayout, parseModel, parseOptimizer } from '@lockstep/nn';
import { checkOwnNumerics, dataHash, frozenBy, readInitialWeights, transferWeights } from '@lockstep/prepare';
import { bytesOf } from '@lockstep/protocol';
import { type RunIdentity, shortHash } from '@lockstep/record';
import { newSha256, sha256 } from '@lockstep/record/node';
import { type InnerSteps, planRun, type RunPlan, type Shard } from '@lockstep/rules';
import { type HostBackend, openBackend } from '@lockstep/tensor';
import { nodeThreads } from '@lockstep/tensor/node';
import { systemClock } from '@lockstep/worker';
import { sealedState, stateTagOf, type TrainingState, wordsOf } from './format.ts';
import { decodeShards, type Transcript, TranscriptError } from './read-transcript.ts';

/** The state of a run between two steps. */
export interface ReplayState extends TrainingState {
  /** Steps taken. */
  readonly step: number;
}

interface ReplayOptions {
  /** The run's training samples, and how they were read. */
  readonly train: Dataset;
  readonly reading: Reading | undefined;
  /** Bytes of the model file with which the run began; undefined if the seed drew all weights. */
  readonly initialWeights?: Uint8Array | undefined;
  readonly threads: number;
}

interface ReplayParts {
  readonly plan: RunPlan;
  readonly backend: HostBackend;
  readonly server: ParameterServer;
  readonly inline: InlineGradient;
}

export class Replay {
  readonly plan: RunPlan;
  /** The state before the first step. */
  readonly initial: ReplayState;
  readonly #parts: ReplayParts;
  #step = 0;

  constructor(parts: ReplayParts) {
    this.#parts = parts;
    this.plan = parts.plan;
    this.initial = this.state;
  }

  /** @throws TranscriptError with one sentence if this machine, the data or the weights are not the run's */
  static async open(
    transcript: Transcript,
    { train: given, reading, initialWeights, threads }: ReplayOptions,
  ): Promise<Replay> {
    const { header } = transcript;
    const { identity } = header;
    const { seed } = identity;
    const { train, model, plan, optimizer, samples, frozen } = describedRun(transcript, given);
    const weights = beginningOf(identity, model, initialWeights, reading);
    const { backend } = await openBackend('auto', nodeThreads(threads));
    const numerics = await checkOwnNumerics(backend, { model, plan, train }, sha256);
    requireNumerics(transcript, backend, numerics.hash);
    const server = new ParameterServer({
      ...{ backend, plan, optimizer, weights, frozen, layout: parameterLayout(model) },
    });
    const inline = new InlineGradient({
      ...{ parameterServer: server, model, plan, dataset: train, samples, seed },
      ...{ clock: systemClock, addsWhole: true, numerics },
    });
    return new Replay({ plan, backend, server, inline });
  }

  /** Steps taken. */
  get step(): number {
    return this.#step;
  }

  /** The state before the next step itself, which that changes. */
  get view(): TrainingState {
    return this.#parts.server.view();
  }

  /** @param before the tag of the state one step before */
  stateTag(before: Uint8Array, state: TrainingState): Buffer {
    return stateTagOf(before, wordsOf(state, lanesIn(this.#parts.backend.codec)));
  }

  /** A copy of the state before the next step. */
  get state(): ReplayState {
    const { server } = this.#parts;
    return { step: this.#step, weights: server.weights(), optimizer: server.optimizerState() };
  }

  /** Hashes of the state before the next step. */
  get sealed() {
    return sealedState(this.#step, this.view);
  }

  restore({ step, weights, optimizer }: ReplayState): void {
    this.#parts.server.restore(step, weights, optimizer);
    this.#step = step;
  }

  /**
   * Computes a shard of the next step, and adds it.
   * @param look called with its sum [parameters + 2] before it is added
   * @returns whether the sum is finite; otherwise it is not added
   */
  async add(shard: Shard, look?: (sum: Float32Array) => void): Promise<boolean> {
    const { backend, server, inline } = this.#parts;
    const { sum } = await inline.compute(this.#step, shard, () => false);
    if (sum === undefined) return false;
    if (sum instanceof Float32Array || 'left' in sum) throw new Error('replay: expected a sum in one vector');
    // The next shard overwrites the vector.
    const isWhole = shard.n === this.plan.microbatches;
    const vector = isWhole ? sum : server.aggregator.reserveVector();
    if (!isWhole) backend.view(vector).set(backend.view(sum));
    look?.(backend.view(vector));
    server.aggregator.add(shard, vector);
    return true;
  }

  /** Takes the optimizer step with the sums that were added. */
  advance(): void {
    this.#parts.server.step(this.#step);
    this.#step += 1;
  }

  /** Computes and takes the next step at once. @returns whether its gradient is finite */
  async take(): Promise<boolean> {
    const isAdded = await this.add({ lo: 0, n: this.plan.microbatches });
    if (isAdded) this.advance();
    return isAdded;
  }

  async close(): Promise<void> {
    await this.#parts.backend.close?.();
  }
}

/** The run that a transcript's header describes, on its samples. @throws TranscriptError unless it is a run of these */
function describedRun({ header, plannedSteps: steps }: Transcript, given: Dataset) {
  const { identity, data } = header;
  const { batch, microbatchSize, innerSteps, gradients, classWeights, augment, seed, freeze } = identity;
  requireData(given, identity, data.name);
  try {
    const train = classWeights ? weightClasses(given, classWeights) : given;
    const model = parseModel(identity.model);
    const plan = planRun({
      ...{ samples: train.count, batch, microbatchSize, steps },
      epochs: Math.ceil(steps / Math.ceil(train.count / batch)),
      ...(innerSteps !== undefined && { innerSteps: innerSteps as InnerSteps }),
      roundsToHalves: gradients === 'fp16-exact',
    });
    const names = augment?.split(',') ?? [];
    const changes = augmentations.filter((name) => names.includes(name));
    const samples = createShardSource(train, plan, seed, changes);
    const optimizer = parseOptimizer(identity.optimizer);
    return { train, model, plan, samples, optimizer, frozen: frozenBy({ freeze }, model) };
  } catch (error) {
    throw new TranscriptError(`expected a header that describes a run, got another one: ${errorMessage(error)}`);
  }
}

function requireData(train: Dataset, { data }: RunIdentity, name: string | null): void {
  const got = dataHash(train, newSha256);
  if (got === data) return;
  const [expected, other] = [data, got].map(shortHash);
  throw new TranscriptError(
    `expected the training samples of the run (${name ?? 'given by a program'}, SHA-256 ${expected}), got others (${other}): the transcript is of other data, or they were read in another way`,
  );
}

/** @throws TranscriptError unless this machine computes the bits of every worker of the transcript */
function requireNumerics({ header, steps, workers }: Transcript, backend: HostBackend, hash: string): void {
  const { numericMode, numericsHash } = header;
  if (numericsHash !== hash) {
    throw new TranscriptError(
      `expected a machine that computes in ${numericMode} with the bits of the coordinator, got ${backend.numericMode} with others: use the version that wrote the transcript, ${header.lockstep}`,
    );
  }
  const used = new Set(steps.flatMap((step) => decodeShards(step).map(({ worker }) => worker)));
  const other = workers.find((worker, index) => used.has(index + 1) && worker.numericsHash !== hash);
  if (other === undefined) return;
  throw new TranscriptError(
    `expected results in ${numericMode}, got some of ${other.id} ${other.name} in ${other.numericMode}, whose bits this machine cannot compute: such a run cannot be audited`,
  );
}

/** The weights before the first step, drawn by the seed or from a file. @throws TranscriptError */
function beginningOf(
  { seed, initSha256 }: RunIdentity,
  model: Model,
  given: Uint8Array | undefined,
  reading: Reading | undefined,
): Float32Array {
  if (initSha256 === undefined) return initialize(model, seed);
  if (given === undefined) {
    throw new TranscriptError(
      `expected the file of initial weights with which the run began (SHA-256 of its weights ${shortHash(initSha256)}), got none`,
    );
  }
  const readers = [() => readInitialWeights(given, model), () => transferWeights(given, model, seed, reading)];
  for (const read of readers) {
    try {
      const { weights } = read();
      if (sha256(bytesOf(weights)) === initSha256) return weights;
    } catch {
      // A file of another model can only be transferred from.
    }
  }
  throw new TranscriptError(
    `expected initial weights with SHA-256 ${shortHash(initSha256)}, got a file with other weights`,
  );
}
