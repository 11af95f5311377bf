/** What a run needs of the Node process or the page in which it is prepared. */

import type { Compute, NewHash } from '@lockstep/compute';
import type { Dataset } from '@lockstep/data';
import type { TextOptions } from '@lockstep/data/readers';
import type { CheckpointOptions, MachineReport } from '@lockstep/record';
import type { ThreadOptions } from '@lockstep/tensor';
import type { ListenOptions, TrainingData } from './options.ts';
import type { NetworkSettings } from './prepared.ts';

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
  readonly host: PreparingHost | undefined;
}

/** Checks and settings of a run that other processes can join. */
export interface PreparingHost {
  /** @throws ConfigurationError if the folder cannot be used */
  requireCheckpointFolder(checkpoint: CheckpointOptions | undefined): void;
  /** Creates tokens and certificate. @throws ConfigurationError */
  prepareNetwork(listen: ListenOptions, checkpoint: CheckpointOptions | undefined): Promise<NetworkSettings>;
}
