/** What a run can do beside computing if there are files, sockets and processes. */
import type { Evaluator, LabeledSamples, Model } from '@lockstep/nn';
import type { Checkpointer, CheckpointerOptions } from './checkpoint/checkpointer.ts';
import type { OpenedCheckpoints } from './checkpoint/open.ts';
import type { ListeningEvent } from './events.ts';
import type { CheckpointOptions, ListenOptions } from './options.ts';
import type { NetworkSettings, Prepared } from './prepared.ts';
import type { Site } from './site/site.ts';

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

/** What a thread that evaluates is started with. */
export interface EvaluationSetup {
  /** The name of a host backend. */
  readonly backend: string;
  readonly threads: number;
  readonly model: Model;
  readonly data: LabeledSamples;
}
