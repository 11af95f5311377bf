/** What a run is given, and how it ends. */
import type { Clock } from '../clock.ts';
import type { NewHash } from '../incremental-hash.ts';
import type { NumericsCheck, ReferenceGradient } from '../numerics-check.ts';
import type { ParameterServer, StepResult } from '../parameter-server.ts';
import type { Parameters } from '../parameters.ts';
import type { ShardSource } from '../shard-source.ts';
import type { Shard } from '../tree.ts';
import type { RunEvent } from './events.ts';
import type { OwnSum } from './referee.ts';
import type { RunHistory } from './run-account.ts';
import type { RunSetup } from './run-setup.ts';
import type { Trace } from './trace.ts';

interface CommonOptions {
  readonly setup: RunSetup;
  /** The first step to take; not 0 where a run goes on from a checkpoint. */
  readonly firstStep?: number;
  /** That of the steps before the first one. */
  readonly history?: RunHistory;
  readonly samples: ShardSource;
  readonly parameterServer: Parameters;
  readonly numericsCheck: NumericsCheck;
  /** What the coordinator itself computed for the numerics check. */
  readonly referenceGradient: ReferenceGradient;
  /** Computes a shard of a step with the parameter server's weights, to decide between results that differ. */
  readonly referee: (step: number, shard: Shard) => Promise<OwnSum>;
  readonly clock: Clock;
  /** Begins the hash of a numerics check's gradient. */
  readonly newHash: NewHash;
  /** A secret that cannot be guessed, by which a worker comes back. */
  readonly newResumeKey: () => string;
  readonly onEvent?: (event: RunEvent) => void;
  /** Called in place of beginning, where a run that waits for its start is there to count its workers. */
  readonly onStart?: (() => void) | undefined;
  /** What passes between the coordinator and its workers, for a picture of the step. */
  readonly onTrace?: (trace: Trace) => void;
}

export interface RunOptions extends CommonOptions {
  readonly parameterServer: ParameterServer;
  /** Called after each step, when the parameter server holds the new weights. */
  readonly onStep?: (result: StepResult) => void;
}

/** Of the run of a relay, which is asked for shards and takes no step. */
export interface AskedRunOptions extends CommonOptions {
  /** Called when the sum of the asked shard is in the aggregator. */
  readonly onAskedDone: () => void;
  /** Called where it has no finite sum. */
  readonly onAskedFailed: (message: string) => void;
}

export type RunOutcome = { readonly type: 'finished' } | { readonly type: 'failed'; readonly message: string };
