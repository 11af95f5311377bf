/** Options, outcome and traces of a run. */
import type {
  NewHash,
  NumericsCheck,
  OwnSum,
  ParameterServer,
  Parameters,
  ReferenceGradient,
  ShardSource,
  StepResult,
} from '@lockstep/compute';
import type { Clock } from '@lockstep/protocol';
import type { Command, RunEvent, RunHistory, RunSetup, Shard, WorkerRecord } from '@lockstep/rules';

interface CommonOptions {
  readonly setup: RunSetup;
  /** The first step to take; 0 unless the run continues from a checkpoint. */
  readonly firstStep?: number;
  /** History of the steps before `firstStep`. */
  readonly history?: RunHistory;
  readonly samples: ShardSource;
  readonly parameterServer: Parameters;
  readonly numericsCheck: NumericsCheck;
  /** The coordinator's own gradient of the numerics check. */
  readonly referenceGradient: ReferenceGradient;
  /** Computes a shard with the parameter server's weights, to decide between results that differ. */
  readonly referee: (step: number, shard: Shard) => Promise<OwnSum>;
  readonly clock: Clock;
  /** Begins the hash of a numerics check's gradient. */
  readonly newHash: NewHash;
  /** Returns an unguessable secret by which a worker can return under its identity. */
  readonly newResumeKey: () => string;
  readonly onEvent?: (event: RunEvent) => void;
  /** Called instead of starting or resuming, if the run only gathers workers before the real run. */
  readonly onStart?: (() => void) | undefined;
  /** Called for each task and result, to visualize the step. */
  readonly onTrace?: (trace: Trace) => void;
}

/** Records the sums that each step consists of. */
export interface SumRecorder {
  /**
   * Called before a shard's sum is added.
   * @param worker undefined if the coordinator computed the sum
   * @param sum [parameters + 2]: gradient, sum of losses, correct answers; valid during the call
   */
  add(place: Shard & { readonly step: number }, worker: WorkerRecord | undefined, sum: Float32Array): void;
  /** The current step begins again, without the sums so far. */
  restart(): void;
  /** Called when the parameter server holds the weights after a step. */
  stepped(step: number): void;
  /** This step and later ones do not count any more; called before the weights go back. */
  goBack(step: number): void;
}

export interface RunOptions extends CommonOptions {
  readonly parameterServer: ParameterServer;
  readonly transcript?: SumRecorder | undefined;
  /** Called after each step, when the parameter server holds the new weights. */
  readonly onStep?: (result: StepResult) => void;
  /** Called when the parameter server keeps the state before `step`, and forgets the one before the step `forget`. */
  readonly onKeep?: (step: number, forget: number | undefined) => void;
  /** Called when the parameter server has returned to the kept state before `step`. */
  readonly onGoBack?: (step: number) => void;
}

/** Options of a relay's run, which is asked for shards and takes no steps. */
export interface AskedRunOptions extends CommonOptions {
  /** Called when the sum of the asked shard is in the aggregator. */
  readonly onAskedDone: () => void;
  /** Called if the asked shard has no finite sum. */
  readonly onAskedFailed: (message: string) => void;
}

export type RunOutcome = Extract<Command, { type: 'finished' | 'failed' }>;

export type Trace =
  /** A worker was sent the last message that it needs to begin a shard of the step. */
  | { readonly type: 'asked'; readonly workerId: string; readonly step: number; readonly atMs: number }
  /** A valid gradient arrived, wanted or not. */
  | {
      readonly type: 'answered';
      readonly workerId: string;
      readonly step: number;
      /** Time at which its last frame had been decoded. */
      readonly arrivedAtMs: number;
      /** Time at which the gradient had been received and checked. */
      readonly atMs: number;
      /** Reported by the worker, like `turnaroundMs`. */
      readonly computeMs: number;
      readonly turnaroundMs: number | undefined;
    }
  /** The step's sum is complete; its optimizer step follows. */
  | { readonly type: 'whole'; readonly step: number; readonly atMs: number };
