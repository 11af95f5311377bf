/** What a run needs of the machine that it runs on: a Node process, or a page. */
import type { ThreadOptions } from '@lockstep/tensor';
import type { Compute, NewHash } from '@lockstep/training';
import type { ComputeChoice } from '@lockstep/worker';
import type { Host } from './host.ts';
import type { TrainingData } from './options.ts';
import type { MachineReport } from './record/report.ts';

export interface Platform {
  /** Runtime, system and processor, for the report. */
  readonly machine: MachineReport;
  /** Threads that it can run at one time. */
  readonly cores: number;
  /** What this process may use. */
  readonly memoryBytes: number;
  /** How compute threads are started; `count` of them, the calling one among them. */
  threads(count: number): ThreadOptions;
  /**
   * What computes beside the run's own backend, and a line that says why nothing else does.
   * @throws ConfigurationError
   */
  openCompute(choice: ComputeChoice, threads: number): Promise<{ readonly compute: Compute; readonly choice: string }>;
  /** In hex. */
  sha256(bytes: Uint8Array): string;
  /** Begins one of bytes that come part by part. */
  newSha256: NewHash;
  /** Calls back when events and timers have had their turn. */
  defer(callback: () => void): void;
  /**
   * @param data the path of a file or folder
   * @param seed splits what has no samples to test with
   * @throws DataError if they cannot be read, ConfigurationError if there is nothing to read from
   */
  loadData(data: string | undefined, seed: number): Promise<TrainingData>;
  /** Files, sockets and processes, where there are any. */
  readonly host: Host | undefined;
}
