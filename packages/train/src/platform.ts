/** The machine of a run: a Node process, or a page. */
import type { Evaluator, LabeledSamples, Model } from '@lockstep/nn';
import type { ThreadOptions } from '@lockstep/tensor';
import type { Compute, NewHash } from '@lockstep/training';
import type { ComputeChoice } from '@lockstep/worker';
import type { Checkpointer, CheckpointerOptions } from './checkpoint/checkpointer.ts';
import type { OpenedCheckpoints } from './checkpoint/open.ts';
import type { ListeningEvent } from './events.ts';
import type { CheckpointOptions, ListenOptions, TrainingData } from './options.ts';
import type { NetworkSettings, Prepared } from './prepared.ts';
import type { MachineReport } from './record/report.ts';
import type { Site } from './site/site.ts';

/** Setup of local workers, known before there is a run to join. */
export interface LocalWorkersSetup {
  readonly count: number;
  readonly backend: ComputeChoice;
  /** Compute threads of each. */
  readonly threads: number;
}

export interface Platform {
  /** Runtime, system and processor, for the report. */
  readonly machine: MachineReport;
  /** Threads that it can run at one time. */
  readonly cores: number;
  /** Memory that this process may use. */
  readonly memoryBytes: number;
  /** How compute threads are started; `count` of them, the calling one among them. */
  threads(count: number): ThreadOptions;
  /**
   * Opens what computes besides the run's own backend, with a line that says why nothing else does.
   * @throws ConfigurationError
   */
  openCompute(choice: ComputeChoice, threads: number): Promise<{ readonly compute: Compute; readonly choice: string }>;
  /** In hex. */
  sha256(bytes: Uint8Array): string;
  /** Begins one of bytes that come part by part. */
  newSha256: NewHash;
  /**
   * @param data the path of a file or folder
   * @param seed splits what has no samples to test with
   * @throws DataError if they cannot be read, ConfigurationError if there is nothing to read from
   */
  loadData(data: string | undefined, seed: number): Promise<TrainingData>;
  /** Files, sockets and processes; undefined in a page. */
  readonly host: Host | undefined;
}

export interface Host {
  /** @throws ConfigurationError if the folder cannot be used */
  requireCheckpointFolder(checkpoint: CheckpointOptions | undefined): void;
  /** Tokens and certificate. @throws ConfigurationError */
  prepareNetwork(listen: ListenOptions, checkpoint: CheckpointOptions | undefined): Promise<NetworkSettings>;
  /** Undefined in a run without checkpoints. */
  openCheckpoints(prepared: Prepared): Promise<OpenedCheckpoints | undefined>;
  createCheckpointer(options: CheckpointerOptions): Checkpointer;
  /** @param createInline creates what evaluates in this thread if no other one can */
  createEvaluator(setup: EvaluationSetup, createInline: (reason: string) => Evaluator): Evaluator;
  /** A place for a server and its local workers; nothing is open yet. */
  createSite(emit: (event: ListeningEvent) => void): Site;
}

/** Setup of a thread that evaluates. */
export interface EvaluationSetup {
  /** The name of a host backend. */
  readonly backend: string;
  readonly threads: number;
  readonly model: Model;
  readonly data: LabeledSamples;
}
