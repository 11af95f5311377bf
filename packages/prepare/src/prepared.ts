/** A run that can start: its options with all defaults, loaded and checked, and what people are told about it. */

import type { NewHash } from '@lockstep/compute';
import type { Dataset } from '@lockstep/data';
import type { Reading } from '@lockstep/data/readers';
import { plural, significant, thousands } from '@lockstep/data/shown';
import { type Model, type OptimizerConfig, parameterCount } from '@lockstep/nn';
import { bytesOf } from '@lockstep/protocol';
import {
  type CheckpointOptions,
  type DiLoCoConfig,
  type RunConfig,
  type RunIdentity,
  samplesText,
  shortHash,
} from '@lockstep/record';
import type { RunSetup } from '@lockstep/rules';
import type { ComputeChoice, VectorChoice } from '@lockstep/worker';
import type { ListenOptions, TrainingData } from './options.ts';
import type { PlannedRun } from './run-plan.ts';
import type { WritingSetup } from './writing.ts';

export interface Tls {
  readonly key: string;
  readonly cert: string;
  /** SHA-256 of a certificate made for this run, in hex without colons; the certificate is self-signed. */
  readonly fingerprint?: string;
}

/** How a server is reached, and by whom. */
export interface NetworkSettings {
  readonly listen: ListenOptions & { readonly host: string };
  readonly token: string | undefined;
  /** Code that people may type instead of the token; undefined if none is needed. */
  readonly code: string | undefined;
  readonly adminToken: string;
  readonly tls: Tls | undefined;
}

/** Plain data, except for the samples. */
export interface Prepared extends Omit<NetworkSettings, 'listen'>, Omit<PlannedRun, 'diloco' | 'allTakePart'> {
  readonly model: Model;
  /** Initial weights; undefined if the seed draws them. */
  readonly initialWeights: Float32Array | undefined;
  /** Number of leading parameters that keep their values. */
  readonly frozen: number;
  /** The data as they were given or loaded. */
  readonly data: TrainingData;
  readonly train: Dataset;
  readonly test: Dataset;
  /** Samples held out from training, to choose an epoch; undefined if there are none. */
  readonly validation: Dataset | undefined;
  /** How a file becomes a sample; undefined if the data do not say so. */
  readonly reading: Reading | undefined;
  /** The text that the model writes every few steps; undefined if it writes none. */
  readonly writing: WritingSetup | undefined;
  readonly config: RunConfig;
  readonly backend: ComputeChoice;
  /** Compute threads in each local worker, and in this process if it computes. */
  readonly threads: number;
  /** Bits of the vectors that compute in local workers. */
  readonly vectors: VectorChoice;
  /** Processes to start on this machine. */
  readonly workers: number;
  /** Whether this process takes part as a worker, besides others. */
  readonly colocate: boolean;
  /** Options that only the rules read. */
  readonly rules: Partial<RunSetup>;
  /** Undefined in a run of this process alone. */
  readonly listen: NetworkSettings['listen'] | undefined;
  readonly checkpoint: CheckpointOptions | undefined;
  /** File for the transcript; undefined if none is written. */
  readonly transcript: string | undefined;
  /** Fraction of the training samples that was held out for validation; undefined if none was. */
  readonly heldOut: number | undefined;
}

/** Such as `Training mlp, 101,770 parameters: 5 epochs of 60,000 images, batch 128, momentum, learning rate 0.05`. */
export function runText({ model, plan, planAtStart, config, optimizer }: Prepared): string {
  const from = config.initSha256 === undefined ? '' : `, from weights ${shortHash(config.initSha256)}`;
  const { transfer, freeze = 0 } = config;
  const drawn = transfer && transfer.drawn.length > 0 ? ` (newly initialized: ${transfer.drawn.join(', ')})` : '';
  const kept = freeze === 0 ? '' : `, ${freeze === 1 ? 'the first layer' : `the first ${freeze} layers`} frozen`;
  const what = `${model.name}, ${thousands(parameterCount(model))} parameters${from}${drawn}${kept}`;
  const changed = config.augment ? ` (augmented: ${config.augment.join(', ')})` : '';
  const held = config.validation ? ` and ${samplesText(config.validation.samples, config.data)} for validation` : '';
  const samples = `${samplesText(plan.samples, config.data)}${changed}${held}`;
  if (planAtStart) return `Ready to train ${what} on ${samples}; the batch size will be chosen when the run starts`;
  const step = config.diloco ? describeRound(config.diloco) : `batch ${plan.batch},`;
  const isWhole = plan.steps === config.epochs * plan.stepsPerEpoch;
  const length = isWhole ? `${plural(config.epochs, 'epoch')} of` : `${plural(plan.steps, 'step')} on`;
  const weighted = 'classWeights' in config.data.targetField ? ', weighted by class' : '';
  return `Training ${what}: ${length} ${samples}${weighted}, ${step} ${describeOptimizer(optimizer)}`;
}

/** A description of a round, to be followed by one of the outer optimizer. */
function describeRound({ replicas, innerSteps, batch, learningRate, momentum }: DiLoCoConfig): string {
  const round = `rounds of ${replicas} replicas x ${innerSteps} inner steps x ${batch} samples`;
  return `${round} (learning rate ${learningRate}, momentum ${momentum}), then`;
}

/** A rate that was scaled with the batch has more digits than anyone typed. */
const rateDigits = 6;

/** A description such as `adam, learning rate 0.001, cosine schedule, 100 steps of warm-up`. */
export function describeOptimizer(optimizer: OptimizerConfig): string {
  const { type, learningRate, schedule, clipNorm } = optimizer;
  const name = 'nesterov' in optimizer && optimizer.nesterov ? `${type} (Nesterov)` : type;
  const parts = [name, `learning rate ${significant(learningRate, rateDigits)}`];
  const { type: course = 'constant', warmup = 0 } = schedule ?? {};
  if (course !== 'constant') parts.push(`${course} schedule`);
  if (warmup > 0) parts.push(`${warmup} ${warmup === 1 ? 'step' : 'steps'} of warm-up`);
  if (clipNorm !== undefined) parts.push(`gradients clipped to ${clipNorm}`);
  return parts.join(', ');
}

/** Everything that determines the bits of a run, as stored in its checkpoints. */
export function identityOf(prepared: Prepared, newHash: NewHash): RunIdentity {
  const { model, train, validation, plan, config, optimizer } = prepared;
  const { batch, microbatchSize, innerSteps } = plan;
  const { seed, gradients = 'exact', initSha256, augment, freeze } = config;
  const { targets } = train;
  return {
    // In this order a difference names its cause: the seed cuts the data, whose shape the model takes.
    ...{ seed, data: dataHash(train, newHash), model, batch, microbatchSize },
    ...(innerSteps && { innerSteps }),
    ...{ optimizer, gradients },
    ...(initSha256 !== undefined && { initSha256 }),
    ...(targets.role === 'index' && targets.classWeights && { classWeights: targets.classWeights }),
    ...(augment && { augment: augment.join(',') }),
    ...(freeze !== undefined && { freeze }),
    ...(validation && { validation: { data: dataHash(validation, newHash), ...config.validation! } }),
  };
}

/** Hash of a data set: shape, role of the targets, what is said of tokens, samples, targets. */
export function dataHash({ samples, targets }: Dataset, newHash: NewHash): string {
  const hash = newHash();
  const tokens = samples.role === 'index' ? `, ${samples.tokens} tokens` : '';
  const next = targets.role === 'next' ? `, ${targets.positions} positions${targets.lines ? ' of lines' : ''}` : '';
  hash.update(new TextEncoder().encode(`${samples.shape.join(' x ')}, ${targets.role}${tokens}${next}`));
  hash.update(bytesOf(samples.values));
  hash.update(bytesOf(targets.values));
  return hash.digest('hex');
}

/** Setup of local workers, known before there is a run to join. */
export type LocalWorkersSetup = Pick<Prepared, 'workers' | 'backend' | 'threads' | 'vectors'>;
