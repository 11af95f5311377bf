/** A run that can start: its options with all defaults, loaded and checked. */

import type { NewHash } from '@lockstep/compute';
import { type Dataset, targetValues } from '@lockstep/data';
import { type Model, type OptimizerConfig, parameterCount, type Reading } from '@lockstep/nn';
import { bytesOf } from '@lockstep/protocol';
import type { RunPlan } from '@lockstep/rules';
import type { ComputeChoice } from '@lockstep/worker';
import type { RunIdentity } from './checkpoint/checkpoint.ts';
import { describeRound } from './diloco.ts';
import { describeOptimizer } from './optimizer.ts';
import type { CheckpointOptions, ListenOptions } from './options.ts';
import type { RunConfig } from './record/report.ts';
import type { PlanAtStart } from './run-plan.ts';
import type { Tls } from './site/secrets.ts';
import { samplesWord, thousands } from './words.ts';

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
export interface Prepared extends Omit<NetworkSettings, 'listen'> {
  readonly model: Model;
  readonly optimizer: OptimizerConfig;
  /** Initial weights; undefined if the seed draws them. */
  readonly initialWeights: Float32Array | undefined;
  readonly dataName: string | undefined;
  readonly train: Dataset;
  readonly test: Dataset;
  /** How a file becomes a sample; undefined if the data do not say so. */
  readonly reading: Reading | undefined;
  readonly plan: RunPlan;
  readonly config: RunConfig;
  readonly backend: ComputeChoice;
  /** Compute threads in each local worker, and in this process if it computes. */
  readonly threads: number;
  /** Processes to start on this machine. */
  readonly workers: number;
  /** Whether this process takes part as a worker, besides others. */
  readonly colocate: boolean;
  /** Share of the shards that the coordinator computes as well; 0 in a run of this process alone. */
  readonly verifyRate: number;
  /** Whether workers that are too slow for a share take turns. */
  readonly allTakePart: boolean;
  /** Set if the batch is planned when the run is started. */
  readonly planAtStart: PlanAtStart | undefined;
  /** Undefined in a run of this process alone. */
  readonly listen: NetworkSettings['listen'] | undefined;
  readonly checkpoint: CheckpointOptions | undefined;
}

export function runText({ model, plan, planAtStart, config, optimizer }: Prepared): string {
  const from = config.initSha256 === undefined ? '' : `, from weights ${config.initSha256.slice(0, 16)}…`;
  const what = `${model.name}, ${thousands(parameterCount(model))} parameters${from}`;
  const { diloco } = config;
  if (planAtStart) {
    return `To train ${what} on ${thousands(plan.samples)} ${samplesWord(config.data)}: the batch is made for the workers that are there at the start`;
  }
  const batch = diloco ? describeRound(diloco) : `batch ${plan.batch}`;
  const how = `${batch}, ${describeOptimizer(optimizer)}`;
  const epochs = config.epochs === 1 ? '1 epoch' : `${config.epochs} epochs`;
  return `Training ${what}: ${epochs} of ${thousands(plan.samples)} ${samplesWord(config.data)}, ${how}`;
}

/** Everything that determines the bits of a run, as stored in its checkpoints. */
export function identityOf({ model, train, plan, config, optimizer }: Prepared, newHash: NewHash): RunIdentity {
  const data = dataHash(train, newHash);
  const { batch, microbatchSize, innerSteps } = plan;
  const { seed, gradients = 'exact', initSha256 } = config;
  const identity = {
    model,
    data,
    seed,
    batch,
    microbatchSize,
    ...(innerSteps && { innerSteps }),
    optimizer,
    gradients,
  };
  return initSha256 === undefined ? identity : { ...identity, initSha256 };
}

/** Hash of a data set: shape, kind of targets, samples, targets. */
export function dataHash({ samples, sampleShape, targets }: Dataset, newHash: NewHash): string {
  const hash = newHash();
  hash.update(new TextEncoder().encode(`${sampleShape.join(' x ')}, ${targets.type}`));
  hash.update(bytesOf(samples));
  hash.update(bytesOf(targetValues(targets)));
  return hash.digest('hex');
}
