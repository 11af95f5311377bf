/** What a run can do beside computing where there are files, sockets and processes. */
import type { OpenedDataset } from '@lockstep/data/readers';
import type { Evaluator, LabeledSamples, Model } from '@lockstep/nn';
import type { HostBackend } from '@lockstep/tensor';
import type { Limits, ParameterServer, Run } from '@lockstep/training';
import type { ComputeChoice } from '@lockstep/worker';
import type { Checkpointer, CheckpointerOptions } from './checkpoint/checkpointer.ts';
import type { OpenedCheckpoints } from './checkpoint/open.ts';
import type { ListeningEvent, TrainingEvent } from './events.ts';
import type { CheckpointOptions, ListenOptions, TrainingData } from './options.ts';
import type { NetworkSettings, Prepared } from './prepared.ts';
import type { Recorder } from './record/recorder.ts';
import type { OnRunAgain } from './run/run-again.ts';
import type { WorkerPool } from './run/worker-pool.ts';

export interface Host {
  /** @throws ConfigurationError where the folder cannot be used */
  requireCheckpointFolder(checkpoint: CheckpointOptions | undefined): void;
  /** Tokens and certificate. @throws ConfigurationError */
  prepareNetwork(listen: ListenOptions, checkpoint: CheckpointOptions | undefined): Promise<NetworkSettings>;
  /** Undefined in a run without checkpoints. */
  openCheckpoints(prepared: Prepared): Promise<OpenedCheckpoints | undefined>;
  createCheckpointer(options: CheckpointerOptions): Checkpointer;
  /** @param createInline what evaluates in this thread where no other one can */
  createEvaluator(setup: EvaluationSetup, createInline: (reason: string) => Evaluator): Evaluator;
  /** Starts server and local workers. @throws ConfigurationError where it cannot listen */
  serve(serving: Serving): Promise<WorkerPool>;
  /** Opens a server that stands before its run. @throws ConfigurationError where it cannot listen */
  stand(settings: NetworkSettings, emit: (event: ListeningEvent) => void): Promise<Standing>;
  /** Starts local workers that load while their run is prepared, where no server has any. */
  startWorkers(setup: LocalWorkersSetup): StartedWorkers;
}

/** What is asked of local workers before it is known what they join. */
export interface LocalWorkersSetup {
  readonly count: number;
  readonly backend: ComputeChoice;
  /** Compute threads of each. */
  readonly threads: number;
}

/** Local workers without a run. */
export interface StartedWorkers {
  /** Serves the run that they join. */
  readonly host: Host;
  /** Ends them. */
  close(): Promise<void>;
}

/** A server without a run. */
export interface Standing {
  /** Serves a run there. */
  readonly host: Host;
  /**
   * Takes uploads until an owner starts the run on one, whose files stay until `close`, for another run.
   * @throws AbortError where the signal is aborted before that
   */
  receiveData(request: DataRequest): Promise<Prepared>;
  /** Removes the uploaded files. */
  forgetData(): void;
  close(): Promise<void>;
}

export type UploadedData = OpenedDataset & Pick<TrainingData, 'splitBy'>;

export interface DataRequest {
  /** Splits what has no samples to test with. */
  readonly seed: number;
  /** @throws ConfigurationError where there can be no such run on the data */
  readonly prepare: (data: UploadedData) => Promise<Prepared>;
  readonly signal: AbortSignal;
}

/** What a thread that evaluates is started with. */
export interface EvaluationSetup {
  /** The name of a host backend. */
  readonly backend: string;
  readonly threads: number;
  readonly model: Model;
  readonly data: LabeledSamples;
}

export interface Serving {
  readonly run: Run;
  readonly limits: Limits;
  readonly parameterServer: ParameterServer;
  readonly backend: HostBackend;
  readonly prepared: Prepared;
  readonly listen: NonNullable<Prepared['listen']>;
  readonly recorder: Recorder;
  readonly emit: (event: TrainingEvent) => void;
  /** Left out where the server does not stay. */
  readonly onRunAgain: OnRunAgain | undefined;
}
