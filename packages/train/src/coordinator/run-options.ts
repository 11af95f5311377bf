/** Options and outcome of a run. */

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
import type { RunEvent, RunHistory, RunSetup, Shard } from '@lockstep/rules';
import type { Trace } from './trace.ts';

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

export interface RunOptions extends CommonOptions {
  readonly parameterServer: ParameterServer;
  /** Called after each step, when the parameter server holds the new weights. */
  readonly onStep?: (result: StepResult) => void;
}

/** Options of a relay's run, which is asked for shards and takes no steps. */
export interface AskedRunOptions extends CommonOptions {
  /** Called when the sum of the asked shard is in the aggregator. */
  readonly onAskedDone: () => void;
  /** Called if the asked shard has no finite sum. */
  readonly onAskedFailed: (message: string) => void;
}

export type RunOutcome = { readonly type: 'finished' } | { readonly type: 'failed'; readonly message: string };
