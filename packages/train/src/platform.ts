/** The platform of a run: a Node process, or a page. */

import { type Compute, createLocalCompute, type NewHash } from '@lockstep/compute';
import type { Dataset } from '@lockstep/data';
import type { TextOptions } from '@lockstep/data/readers';
import { errorMessage } from '@lockstep/data/shown';
import type { DatasetEvaluator } from '@lockstep/nn';
import { isHostBackend, openBackend, type ThreadOptions } from '@lockstep/tensor';
import { type ComputeChoice, configurationError, optionName, systemClock } from '@lockstep/worker';
import type { OpenedCheckpoints } from './checkpoint/checkpoints.ts';
import type { TrainingEvent } from './events.ts';
import type { CheckpointOptions, ListenOptions, TrainingData } from './options.ts';
import type { NetworkSettings, Prepared } from './prepared.ts';
import type { MachineReport } from './record/report.ts';
import type { Site } from './site/site.ts';
import type { Transcriber } from './transcript/transcriber.ts';
import type { Evaluated, Measured } from './writing.ts';

export interface Platform {
  /** Runtime, system and processor, for the report. */
  readonly machine: MachineReport;
  /** Threads that can run at the same time. */
  readonly cores: number;
  /** Memory that this process may use. */
  readonly memoryBytes: number;
  /** Options to start `count` compute threads, including the calling one. */
  threads(count: number): ThreadOptions;
  /** Opens TensorFlow.js; undefined where it cannot run. */
  readonly openTensorFlow: (() => Promise<Compute>) | undefined;
  /** Returns the hash in hex. */
  sha256(bytes: Uint8Array): string;
  /** Starts a hash of bytes that arrive in parts. */
  newSha256: NewHash;
  /**
   * @param data path of a file or folder
   * @param seed splits data without test samples
   * @param model how the model reads a text
   * @throws DataError if the data cannot be read, ConfigurationError if there is nothing to read from
   */
  loadData(data: string | undefined, seed: number, model?: TextOptions['model']): Promise<TrainingData>;
  /**
   * Reads every sample of another file or folder in the same way as the training samples.
   * @throws DataError if they cannot be read, ConfigurationError if there is nothing to read from
   */
  loadAlike(path: string, data: TrainingData): Promise<Dataset>;
  /** Files, sockets and processes; undefined in a page. */
  readonly host: Host | undefined;
}

export interface Host {
  /** @throws ConfigurationError if the folder cannot be used */
  requireCheckpointFolder(checkpoint: CheckpointOptions | undefined): void;
  /** Creates tokens and certificate. @throws ConfigurationError */
  prepareNetwork(listen: ListenOptions, checkpoint: CheckpointOptions | undefined): Promise<NetworkSettings>;
  /** Undefined in a run without checkpoints. */
  openCheckpoints(prepared: Prepared): Promise<OpenedCheckpoints | undefined>;
  /** Undefined in a run without a transcript. @throws ConfigurationError if it cannot be continued */
  openTranscript(prepared: Prepared, checkpoints: OpenedCheckpoints | undefined): Promise<Transcriber | undefined>;
  /** @param createInline creates an evaluator in this thread if no other thread can evaluate */
  createEvaluator(
    setup: EvaluationSetup,
    createInline: (reason: string) => DatasetEvaluator<Evaluated>,
  ): DatasetEvaluator<Evaluated>;
  /** Creates a place for a server and its local workers; nothing is open yet. */
  createSite(emit: (event: TrainingEvent) => void): Site;
}

/** Setup of an evaluation thread. */
export interface EvaluationSetup extends Measured {
  /** The name of a host backend. */
  readonly backend: string;
  readonly threads: number;
}

/**
 * Opens a computer for shards besides the run's own backend, with a line that explains the choice.
 * @throws ConfigurationError if the choice does not compute in this process
 */
export async function openInlineCompute(platform: Platform, name: ComputeChoice, threads: number) {
  try {
    if (name === 'tfjs-node') {
      const compute = await platform.openTensorFlow?.();
      if (compute) return { compute, choice: 'computing on tfjs-node' };
    } else {
      const { backend, choice } = await openBackend(name, platform.threads(threads));
      if (isHostBackend(backend)) return { compute: createLocalCompute(backend, systemClock), choice };
    }
  } catch (error) {
    throw configurationError`${optionName('backend', name)}: ${errorMessage(error)}`;
  }
  throw configurationError`${optionName('backend', name)}: expected one that computes in this ${platform.host ? 'process' : 'thread'}`;
}
